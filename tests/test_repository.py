"""The rooms keep their walls, and nothing lies in them that must not travel.

Each check is also shown a tree that it has to refuse.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.imports import cycle, imports_of, start_graph
from tests.repository.layers import undeclared_imports, wrong_imports
from tests.repository.tree import (
    code_beside_notebooks,
    notebooks_with_outputs,
    paths_of_a_machine,
    private_files,
    project_files,
    says_nothing,
)

ROOT = Path(__file__).resolve().parents[1]
# Loading one of these would make every start of the framework slow, or tie it to the course.
HEAVY = {
    "numba",
    "llvmlite",
    "plotly",
    "ipywidgets",
    "anywidget",
    "nbgrader",
    "torch",
    "tito",
    "IPython",
}


@pytest.fixture(scope="module")
def files() -> list[Path]:
    return project_files(ROOT)


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def packages_after(start: str) -> set[str]:
    """The top-level packages that a fresh Python has loaded after a line of code."""
    code = f"import sys\n{start}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(answer.stdout.split())


class TestLayers:
    @pytest.mark.parametrize("package", ["tinytorch", "tito"])
    def test_rooms_import_only_what_they_may(self, package: str) -> None:
        assert wrong_imports(ROOT, package) == []

    @pytest.mark.parametrize(
        "line",
        [
            "import tito.course",
            "from tito import course",
            "import torch",
            "def late():\n    import plotly",
        ],
    )
    def test_an_import_out_of_the_framework_is_refused(self, tmp_path: Path, line: str) -> None:
        write(tmp_path, "tinytorch/tensor.py", f"import math\nimport numpy\n{line}\n")
        assert len(wrong_imports(tmp_path, "tinytorch")) == 1

    def test_only_dashboards_may_draw(self, tmp_path: Path) -> None:
        write(tmp_path, "tinytorch/dashboards/view.py", "import plotly.graph_objects as go\n")
        assert wrong_imports(tmp_path, "tinytorch") == []
        write(tmp_path, "tinytorch/optim.py", "import plotly.graph_objects as go\n")
        assert wrong_imports(tmp_path, "tinytorch") == [
            "tinytorch/optim.py:1 imports plotly.graph_objects"
        ]

    def test_only_the_compiled_kernels_may_compile(self, tmp_path: Path) -> None:
        write(tmp_path, "tinytorch/kernels/compiled/sums.py", "from numba import njit\n")
        assert wrong_imports(tmp_path, "tinytorch") == []
        write(tmp_path, "tinytorch/kernels/sums.py", "def late():\n    import numba\n")
        write(tmp_path, "tinytorch/models/step.py", "from llvmlite import ir\n")
        assert wrong_imports(tmp_path, "tinytorch") == [
            "tinytorch/kernels/sums.py:2 imports numba",
            "tinytorch/models/step.py:1 imports llvmlite.ir",
        ]

    def test_every_package_that_is_imported_is_declared(self) -> None:
        assert undeclared_imports(ROOT, ["tinytorch", "tito"]) == []

    def test_an_undeclared_package_is_found(self, tmp_path: Path) -> None:
        write(tmp_path, "pyproject.toml", '[project]\ndependencies = ["jupyter-client>=8"]\n')
        write(tmp_path, "tito/a.py", "import os, jupyter_client.manager\nimport nbformat\n")
        assert undeclared_imports(tmp_path, ["tito"]) == ["nbformat"]

    @pytest.mark.parametrize(
        "start",
        [
            "import tinytorch",
            "import tinytorch.models",
            "from tinytorch.models import FusedStep",
            "import tinytorch.kernels",
        ],
    )
    def test_the_framework_starts_light(self, start: str) -> None:
        loaded = packages_after(start)
        assert {"numpy", "tinytorch"} <= loaded
        assert loaded & HEAVY == set()

    @pytest.mark.parametrize(
        "start", ["from tinytorch.models import CompiledStep", "import tinytorch.kernels.compiled"]
    )
    def test_the_compiler_comes_when_it_is_asked_for(self, start: str) -> None:
        assert packages_after(start) & HEAVY == {"numba", "llvmlite"}


class TestCycles:
    @pytest.mark.parametrize("package", ["tinytorch", "tito"])
    def test_no_import_cycle(self, package: str) -> None:
        assert cycle(start_graph(ROOT, package)) is None

    def test_a_cycle_is_found(self, tmp_path: Path) -> None:
        write(tmp_path, "tito/a.py", "from tito.b import thing\n")
        write(tmp_path, "tito/b.py", "from . import c\n")
        write(tmp_path, "tito/c.py", "import tito.a\n")
        assert cycle(start_graph(tmp_path, "tito")) == ["tito.a", "tito.b", "tito.c", "tito.a"]

    def test_an_import_for_types_or_inside_a_function_closes_no_cycle(self, tmp_path: Path) -> None:
        write(tmp_path, "tito/a.py", "from tito.b import thing\n")
        late = "def later():\n    import tito.a\n"
        typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tito import a\n"
        write(tmp_path, "tito/b.py", late + typed)
        assert cycle(start_graph(tmp_path, "tito")) is None

    def test_relative_imports_are_resolved(self, tmp_path: Path) -> None:
        path = write(tmp_path, "tito/x/y.py", "from ..course import Course\nfrom . import z\n")
        assert [each.target for each in imports_of(path, tmp_path)] == [
            "tito.course.Course",
            "tito.x.z",
        ]


class TestTree:
    def test_every_name_says_something(self, files: list[Path]) -> None:
        assert says_nothing(files) == []

    @pytest.mark.parametrize(
        "name",
        ["tito/utils.py", "tests/helpers/a.py", "tinytorch/nn_common.py", "cache_manager.py"],
    )
    def test_an_empty_name_is_refused(self, name: str) -> None:
        assert says_nothing([Path(name), Path("tito/commonplace.py")]) == [name]

    def test_no_code_beside_notebooks(self, files: list[Path]) -> None:
        assert code_beside_notebooks(files) == []

    def test_code_beside_a_notebook_is_refused(self) -> None:
        given = [Path("source/14_x/x.ipynb"), Path("source/14_x/x.py"), Path("modules/14_x/x.py")]
        assert code_beside_notebooks(given) == ["source/14_x/x.py"]

    def test_no_student_work_and_no_gradebook_travels(self, files: list[Path]) -> None:
        assert private_files(files) == []

    @pytest.mark.parametrize(
        "name",
        ["gradebook.db", "gradebook/marks.csv", "submitted/ada/14_profiling/profiling.ipynb"],
    )
    def test_student_work_is_refused(self, name: str) -> None:
        given = [Path(name), Path("submitted/README.md"), Path("tito/grading/gradebook.py")]
        assert private_files(given) == [name]

    def test_no_notebook_keeps_outputs(self, files: list[Path]) -> None:
        assert notebooks_with_outputs(ROOT, files) == []

    @pytest.mark.parametrize(
        "notebook",
        [
            {"cells": [{"outputs": [{"text": "42"}]}]},
            {"cells": [{"execution_count": 3}]},
            {"cells": [], "metadata": {"widgets": {}}},
        ],
    )
    def test_an_executed_notebook_is_refused(
        self, tmp_path: Path, notebook: dict[str, object]
    ) -> None:
        write(tmp_path, "ran.ipynb", json.dumps(notebook))
        write(tmp_path, "clean.ipynb", json.dumps({"cells": [{"outputs": []}], "metadata": {}}))
        given = [Path("ran.ipynb"), Path("clean.ipynb")]
        assert notebooks_with_outputs(tmp_path, given) == ["ran.ipynb"]

    def test_no_path_of_one_machine(self, files: list[Path]) -> None:
        assert paths_of_a_machine(ROOT, files) == []

    def test_a_path_of_one_machine_is_refused(self, tmp_path: Path) -> None:
        personal = "/".join(["", "home", "ada", "course"])  # not as one word, or this file fails
        write(tmp_path, "a.md", f"go to {personal}\n")
        write(tmp_path, "b.md", f"go to\n{tmp_path}/out\n")
        write(tmp_path, "c.md", "go to /home/student/work or ./out\n")
        found = paths_of_a_machine(tmp_path, [Path(name) for name in ("a.md", "b.md", "c.md")])
        assert [line.split(": ")[0] for line in found] == ["a.md:1", "b.md:2"]
