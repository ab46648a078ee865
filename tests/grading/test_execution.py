"""Running a notebook: each cell's verdict, and that nothing costs more than itself.

These run in plain processes, so that they run everywhere; the walls have tests of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.grading.small_course import TESTS, cell_of, changed, instructor_notebook
from tito.grading.confinement import Isolation
from tito.grading.execution import NotebookRun, RunSettings, finish
from tito.grading.verdicts import CellVerdict
from tito.grading.rebuild import rebuilt
from tito.lessons import notebook as nb
from tito.lessons.given import given_tree


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    given_tree(folder, 14)
    return folder


def ran(
    given: Path, student: nb.Notebook, cell_s: float = 20.0, notebook_s: float = 120.0
) -> tuple[nb.Notebook, dict[str, CellVerdict]]:
    """A student's notebook after its run, and its verdicts by label."""
    notebook = rebuilt(student, instructor_notebook()).notebook
    settings = RunSettings(Isolation.PROCESS, cell_s, notebook_s)
    verdicts = NotebookRun(notebook, given, settings).run()
    return notebook, {verdict.label: verdict for verdict in verdicts.values()}


def passed(verdicts: dict[str, CellVerdict]) -> set[str]:
    return {test for test in TESTS if verdicts[test].status == "passed"}


def errors(notebook: nb.Notebook, grade_id: str) -> list[str]:
    outputs: list[dict[str, Any]] = cell_of(notebook, grade_id)["outputs"]
    return [output["ename"] for output in outputs if output["output_type"] == "error"]


def test_a_right_solution_passes_and_its_outputs_stay(given: Path) -> None:
    notebook, verdicts = ran(given, changed("given_words", ""))
    assert passed(verdicts) == set(TESTS)
    assert cell_of(notebook, "given_words")["execution_count"] == 3
    shown = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    assert {
        "output_type": "stream",
        "name": "stdout",
        "text": "pairs of up to three: [0, 0, 1, 3]\n",
    } in shown


def test_a_wrong_solution_loses_its_tests_only(given: Path) -> None:
    notebook, verdicts = ran(given, changed("middle", "def middle(samples):\n    return 2.0"))
    assert passed(verdicts) == {"test_pairs", "test_pairs__ordered"}
    assert errors(notebook, "test_middle") == ["AssertionError"]
    assert "AssertionError" in verdicts["test_middle__even"].message


def test_a_cell_that_ends_its_process_costs_only_itself(given: Path) -> None:
    student = changed("pairs__ordered", "import os\nos._exit(0)")
    notebook, verdicts = ran(given, student)
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].status == "died"
    assert errors(notebook, "pairs__ordered") == ["KernelDied"]


def test_a_test_that_ends_its_process_costs_only_itself(given: Path) -> None:
    student = changed("middle", "def middle(samples):\n    import os\n    os._exit(0)")
    notebook, verdicts = ran(given, student)
    assert passed(verdicts) == {"test_pairs", "test_pairs__ordered"}
    assert errors(notebook, "test_middle") == ["KernelDied"]


def test_a_cell_that_never_ends_is_stopped(given: Path) -> None:
    student = changed("pairs__ordered", "while True:\n    pass")
    notebook, verdicts = ran(given, student, cell_s=1.0)
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].message == "stopped after 1 s"
    assert errors(notebook, "pairs__ordered") == ["CellTimeout"]


def test_a_cell_that_will_not_be_interrupted_is_ended(given: Path) -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"
    notebook, verdicts = ran(given, changed("pairs__ordered", stubborn), cell_s=1.0)
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].status == "endless"
    assert errors(notebook, "pairs__ordered") == ["CellTimeout"]


def test_what_the_notebooks_deadline_leaves_out_earns_nothing(given: Path) -> None:
    student = changed("pairs", "while True:\n    pass")
    notebook, verdicts = ran(given, student, cell_s=60.0, notebook_s=3.0)
    assert passed(verdicts) <= {"test_middle", "test_middle__even"}
    assert verdicts["test_pairs"].status == "not run"
    assert errors(notebook, "test_pairs") == ["NotRun"]
    assert "time limit of 3 s" in verdicts["test_pairs"].message


def test_a_notebook_that_ends_every_kernel_comes_to_an_end(given: Path) -> None:
    student = changed("middle", "import os\nos._exit(0)")
    for grade_id in ("pairs", "pairs__ordered"):
        cell_of(student, grade_id)["source"] = "import os\nos._exit(0)"
    student["cells"].insert(0, nb.new_cell("code", "import os\nos._exit(0)", "own", {}))
    _, verdicts = ran(given, student)
    assert passed(verdicts) == set()
    assert verdicts["test_pairs__ordered"].status in ("not run", "failed")


def test_printing_is_bounded(given: Path) -> None:
    notebook, verdicts = ran(given, changed("pairs__ordered", "print('x' * 100_000_000)"))
    (output,) = cell_of(notebook, "pairs__ordered")["outputs"]
    assert len(output["text"]) < 101_000
    assert output["text"].endswith("[output truncated: a cell may print 100000 characters]\n")
    assert verdicts["test_pairs"].status == "passed"


def test_displays_are_bounded(given: Path) -> None:
    shown = "from IPython.display import HTML, display\nfor _ in range(8):\n"
    shown += "    display(HTML('x' * 1_000_000))"
    notebook, _ = ran(given, changed("pairs__ordered", shown))
    outputs = cell_of(notebook, "pairs__ordered")["outputs"]
    assert sum(len(str(output)) for output in outputs) < 5_000_000
    assert outputs[-1]["text"].startswith("[outputs left out")


def test_one_giant_message_costs_nothing_but_itself(given: Path) -> None:
    giant = "from IPython.display import HTML, display\ndisplay(HTML('x' * 20_000_000))"
    _, verdicts = ran(given, changed("pairs__ordered", giant))
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].status == "passed"


def test_the_module_under_test_cannot_be_imported(given: Path) -> None:
    student = changed("pairs__ordered", "from tinytorch.profiling import Timer")
    _, verdicts = ran(given, student)
    assert verdicts["pairs__ordered"].status == "failed"
    assert "tinytorch.profiling" in verdicts["pairs__ordered"].message


def outputs_after(status: str, outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A test cell's outputs, once its verdict is written into them."""
    cell = dict(cell_of(instructor_notebook(), "test_pairs"), outputs=outputs)
    finish(cell, CellVerdict("test_pairs", status))
    return list(cell["outputs"])


def test_a_warning_costs_a_test_nothing() -> None:
    warned = {"output_type": "stream", "name": "stderr", "text": "careful"}
    assert outputs_after("passed", [warned]) == [dict(warned, name="stdout")]


def test_a_value_gives_a_test_no_number_of_points() -> None:
    value = {"output_type": "execute_result", "data": {"text/plain": "0"}, "metadata": {}}
    assert outputs_after("passed", [value]) == []


def test_a_test_that_did_not_run_shows_an_error() -> None:
    (output,) = outputs_after("not run", [])
    assert output["output_type"] == "error"
