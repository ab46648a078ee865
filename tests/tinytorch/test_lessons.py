"""Importing the package: light, and helpful about lessons that are not there yet."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tinytorch import _lessons

PACKAGE = Path(_lessons.__file__).parent
HEAVY = ("numba", "plotly", "ipywidgets", "anywidget", "matplotlib", "scipy", "pandas", "IPython")


def python(code: str, folder: Path) -> str:
    """Output of a fresh interpreter whose `tinytorch` is the one in `folder`."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def bare_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package without any exported lesson."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copytree(PACKAGE, folder / "tinytorch", ignore=shutil.ignore_patterns("__pycache__"))
    for name in _lessons.LESSONS:
        (folder / "tinytorch" / f"{name}.py").unlink(missing_ok=True)
    return folder


def test_a_missing_lesson_says_what_to_do(bare_package: Path) -> None:
    code = f"""
import importlib, tinytorch
for name in {list(_lessons.LESSONS)!r}:
    for form in ("import tinytorch.%s", "from tinytorch import %s", "from tinytorch.%s import x"):
        try:
            exec(form % name)
        except ImportError as error:
            print(error.name, "|", error)
"""
    lines = python(code, bare_package).splitlines()
    assert len(lines) == 21, lines
    for number, line in enumerate(lines):
        name, module = list(_lessons.LESSONS.items())[number // 3]
        assert line.startswith(f"tinytorch.{name} | tinytorch.{name} does not exist yet")
        assert f"{module}_{name}/{name}.ipynb" in line
        assert line.endswith(f"tito export {module}")


def test_an_exported_lesson_is_imported(bare_package: Path, tmp_path: Path) -> None:
    shutil.copytree(bare_package / "tinytorch", tmp_path / "tinytorch")
    (tmp_path / "tinytorch" / "memoization.py").write_text("ANSWER = 42\n", encoding="utf-8")
    code = "from tinytorch import memoization as a; import tinytorch.memoization as b; "
    assert python(code + "print(a.ANSWER, b.ANSWER)", tmp_path).strip() == "42 42"


def test_an_error_inside_an_exported_lesson_stays_its_own(
    bare_package: Path, tmp_path: Path
) -> None:
    shutil.copytree(bare_package / "tinytorch", tmp_path / "tinytorch")
    (tmp_path / "tinytorch" / "memoization.py").write_text("import nowhere\n", encoding="utf-8")
    output = python("import tinytorch.memoization", tmp_path)
    assert "No module named 'nowhere'" in output
    assert "tito export" not in output


def test_other_missing_modules_are_reported_as_usual(bare_package: Path) -> None:
    assert "No module named 'tinytorch.nowhere'" in python("import tinytorch.nowhere", bare_package)
    with pytest.raises(ModuleNotFoundError, match="memoization_of_another"):
        importlib.import_module("memoization_of_another")


def test_the_finder_is_installed_once_and_last() -> None:
    _lessons.install()
    finders = [finder for finder in sys.meta_path if type(finder).__name__ == "LessonFinder"]
    assert len(finders) == 1
    assert importlib.util.find_spec("tinytorch.nowhere") is None


def test_importing_the_package_is_light(bare_package: Path) -> None:
    output = python(
        f"import tinytorch\nprint([m for m in {HEAVY!r} if m in sys.modules])", bare_package
    )
    assert output.strip() == "[]"
    assert python("import tinytorch; tinytorch.nn; tinytorch.functional", bare_package) == ""
