"""The commands everybody begins with: they explain themselves and destroy no work."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORK = (
    "submitted/ada/14_profiling/profiling.ipynb",
    "autograded/ada/x.ipynb",
    "feedback/ada/x.html",
    "gradebook/gradebook.db",
    "demo/gradebook.csv",
    "assignments/14_profiling/profiling.ipynb",
    ".venv/pyvenv.cfg",
    "modules/14_profiling/profiling.py",
)
LEFTOVERS = (".mypy_cache/a", "tinytorch/nn/__pycache__/a.pyc", "book/_build/html/index.html")


def make(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", *words], cwd=folder, capture_output=True, text=True
    )


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept or not", encoding="utf-8")


def test_make_alone_explains_every_command() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None
    answer = make(ROOT)
    assert answer.returncode == 0
    explained = re.findall(r"^  make (\w+) +\S", answer.stdout, re.MULTILINE)
    assert sorted(explained) == sorted(phony[1].split())


def test_clean_removes_caches_and_no_work(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    rooms = [f"{room}/a.py" for room in ("tinytorch", "tito", "tests", "benchmarks", "book")]
    fill(tmp_path, *WORK, *LEFTOVERS, *rooms)
    answer = make(tmp_path, "clean")
    assert answer.returncode == 0, answer.stderr
    assert [name for name in (*WORK, *rooms) if not (tmp_path / name).is_file()] == []
    assert [name for name in LEFTOVERS if (tmp_path / name).exists()] == []


def interpreter(folder: Path, name: str, works: bool) -> None:
    """A program that stands for a Python, good enough for the course or not."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = --version ] && echo "Python {"3.12.1" if works else "3.9.2"}" && exit 0\n'
        f"exit {0 if works else 1}\n",
        encoding="utf-8",
    )
    path.chmod(0o755)


def find_python(folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the search where only `folder` and the plainest tools are on PATH."""
    for tool in ("env", "bash", "head"):
        where = shutil.which(tool)
        assert where is not None
        (folder / tool).symlink_to(where)
    return subprocess.run(
        [ROOT / ".ci" / "find-python"],
        env={"PATH": str(folder), **more},
        capture_output=True,
        text=True,
    )


def test_the_first_python_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    interpreter(tmp_path, "python3", works=False)
    interpreter(tmp_path, "python3.12", works=True)
    answer = find_python(tmp_path)
    assert answer.stdout.strip() == str(tmp_path / "python3.12")


@pytest.mark.parametrize("more", [{}, {"PYTHON": "python3"}])
def test_an_old_python_is_named_and_the_cure_too(tmp_path: Path, more: dict[str, str]) -> None:
    interpreter(tmp_path, "python3", works=False)
    answer = find_python(tmp_path, **more)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "needs Python 3.11" in answer.stderr
    assert "python3: Python 3.9.2" in answer.stderr
    assert "make PYTHON=" in answer.stderr


def test_the_lock_pins_every_package_with_a_hash_and_names_no_index() -> None:
    for lock in ("requirements.lock", "book/requirements.lock", "benchmarks/requirements.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        entries = re.findall(r"^[A-Za-z0-9].*\n(?:    .*\n?)*", text, re.MULTILINE)
        assert len(entries) > 5
        assert [e for e in entries if "==" not in e or "--hash=sha256:" not in e] == [], lock
        assert not re.search(r"index-url|find-links|https?://|file:", text), lock


def unpinned(project: dict[str, Any], lock: str) -> list[str]:
    """What pyproject.toml asks for and the lock does not give."""
    pinned = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", lock, re.MULTILINE))
    wanted = [
        Requirement(line)
        for line in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    ]
    return [
        str(each)
        for each in wanted
        if not each.specifier.contains(pinned.get(each.name.lower(), "0"), prereleases=True)
    ]


def test_the_lock_gives_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert unpinned(project, lock) == []


def test_a_lock_that_was_not_renewed_is_found() -> None:
    project = {
        "project": {"dependencies": ["numpy>=2.2", "newcomer>=1"]},
        "dependency-groups": {"dev": ["pytest>=99"]},
    }
    lock = "numpy==2.4.6 \\\npytest==9.2.0 ; x == 'y' \\\n"
    assert unpinned(project, lock) == ["newcomer>=1", "pytest>=99"]
