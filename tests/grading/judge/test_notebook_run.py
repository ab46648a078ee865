"""Running a notebook under the judge: each cell's verdict, and that nothing costs more than itself.

These run in plain forks, so that they run everywhere; the walls have tests of their own.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.grading.judge.transport import ForkedZygote
from tests.grading.small_course import TESTS, cell_of, changed, instructor_notebook
from tito.grading.judge.cell_outputs import finish
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.rebuild import rebuilt
from tito.grading.sandbox.levels import Level
from tito.grading.verdicts import CellVerdict
from tito.lessons import notebook as nb


def ran(
    student: nb.Notebook,
    cell_s: float = 20.0,
    notebook_s: float = 120.0,
    zygote: ForkedZygote | None = None,
    **settings: Any,
) -> tuple[nb.Notebook, dict[str, CellVerdict]]:
    """A student's notebook after its run, and its verdicts by label."""
    lesson = instructor_notebook()
    notebook = rebuilt(student, lesson).notebook
    chosen = RunSettings(Level.PROCESS, cell_s, notebook_s, **settings)
    verdicts = NotebookRun(notebook, lesson, zygote or ForkedZygote(), chosen).run()
    return notebook, {verdict.label: verdict for verdict in verdicts.values()}


def passed(verdicts: dict[str, CellVerdict]) -> set[str]:
    return {test for test in TESTS if verdicts[test].status == "passed"}


def errors(notebook: nb.Notebook, grade_id: str) -> list[str]:
    outputs: list[dict[str, Any]] = cell_of(notebook, grade_id)["outputs"]
    return [output["ename"] for output in outputs if output["output_type"] == "error"]


def test_a_right_solution_earns_all_points() -> None:
    zygote = ForkedZygote()
    _, verdicts = ran(changed("given_words", ""), zygote=zygote)
    assert {test: verdicts[test].points for test in TESTS} == TESTS
    assert verdicts["middle"].points is None
    assert zygote.spawned == 1


def test_a_wrong_solution_loses_its_tests_only() -> None:
    notebook, verdicts = ran(changed("middle", "def middle(samples):\n    return 2.0"))
    assert passed(verdicts) == {"test_pairs", "test_pairs__ordered"}
    assert verdicts["test_middle__even"].points == 0
    assert errors(notebook, "test_middle") == ["AssertionError"]
    assert "AssertionError" in verdicts["test_middle__even"].message


def test_a_failure_shows_the_tests_lines_and_the_students_but_no_machinery() -> None:
    notebook, _ = ran(changed("middle", "def middle(samples):\n    return samples['no']"))
    (error,) = cell_of(notebook, "test_middle")["outputs"]
    text = "\n".join(error["traceback"])
    assert "Cell test_middle, line 1" in text
    assert "----->" in text or "---->   1 assert_close(middle" in text
    assert "in middle" in text
    assert "link.py" not in text
    assert "agent.py" not in text
    assert error["ename"] == "TypeError"


def test_a_blank_solution_earns_nothing() -> None:
    _, verdicts = ran(changed("middle", "", solved=False))
    assert passed(verdicts) == set()
    assert verdicts["test_middle"].message.startswith("NameError: name 'middle' is not defined")
    assert verdicts["test_pairs"].message.startswith("NotImplementedError")


def test_a_cell_that_ends_its_process_costs_only_itself() -> None:
    notebook, verdicts = ran(changed("pairs__ordered", "import os\nos._exit(0)"))
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].status == "died"
    assert errors(notebook, "pairs__ordered") == ["KernelDied"]


def test_a_given_cell_that_a_student_made_end_its_process_costs_the_judge_nothing() -> None:
    student = changed("given_words", "")
    student["cells"][2]["source"] += "\nimport os\nos._exit(0)"
    assert "assert_close" in student["cells"][2]["source"]
    _, verdicts = ran(student)
    assert passed(verdicts) == set(TESTS)


def test_a_test_that_ends_the_process_costs_only_itself() -> None:
    zygote = ForkedZygote()
    student = changed("middle", "def middle(samples):\n    import os\n    os._exit(0)")
    notebook, verdicts = ran(student, zygote=zygote)
    assert passed(verdicts) == {"test_pairs", "test_pairs__ordered"}
    assert errors(notebook, "test_middle") == ["KernelDied"]
    assert verdicts["test_middle"].message == "ended the student's process"
    assert zygote.spawned == 3


def test_a_cell_that_never_ends_is_stopped() -> None:
    zygote = ForkedZygote()
    student = changed("pairs__ordered", "while True:\n    pass")
    notebook, verdicts = ran(student, cell_s=1.0, zygote=zygote)
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].message == "stopped after 1 s"
    assert errors(notebook, "pairs__ordered") == ["CellTimeout"]
    assert zygote.spawned == 1


def test_a_call_that_never_ends_costs_its_test_only() -> None:
    zygote = ForkedZygote()
    student = changed("middle", "def middle(samples):\n    while True:\n        pass")
    notebook, verdicts = ran(student, cell_s=1.0, zygote=zygote)
    assert passed(verdicts) == {"test_pairs", "test_pairs__ordered"}
    assert verdicts["test_middle"].status == "endless"
    assert errors(notebook, "test_middle") == ["CellTimeout"]
    assert zygote.spawned == 1


def test_a_cell_that_will_not_be_interrupted_is_ended() -> None:
    stubborn = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"
    notebook, verdicts = ran(changed("pairs__ordered", stubborn), cell_s=1.0)
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}
    assert verdicts["pairs__ordered"].status == "endless"
    assert errors(notebook, "pairs__ordered") == ["CellTimeout"]


def test_what_the_notebooks_deadline_leaves_out_earns_nothing() -> None:
    student = changed("pairs", "while True:\n    pass")
    notebook, verdicts = ran(student, cell_s=60.0, notebook_s=2.0)
    assert passed(verdicts) <= {"test_middle", "test_middle__even"}
    assert verdicts["test_pairs"].status == "not run"
    assert verdicts["test_pairs"].points == 0
    assert errors(notebook, "test_pairs") == ["NotRun"]
    assert "time limit of 2 s" in verdicts["test_pairs"].message


def test_a_notebook_that_ends_every_process_comes_to_an_end() -> None:
    zygote = ForkedZygote()
    student = changed("middle", "import os\nos._exit(0)")
    for number in range(12):
        student["cells"].insert(0, nb.new_cell("code", f"import os\nos._exit({number})", "own", {}))
    _, verdicts = ran(student, zygote=zygote)
    assert passed(verdicts) == set()
    assert verdicts["test_pairs"].status == "not run"
    assert "8 cells before it ended" in verdicts["test_pairs"].message
    assert zygote.spawned == 8


def test_measure_cells_can_be_left_out() -> None:
    notebook, verdicts = ran(changed("given_words", ""), measure_cells=False)
    assert passed(verdicts) == set(TESTS)
    assert not next(cell for cell in notebook["cells"] if nb.has_tag(cell, "measure"))["outputs"]
    assert "number 8" not in verdicts


def test_the_judge_runs_the_instructors_given_cells_and_the_sandbox_the_students() -> None:
    student = changed("given_words", "")
    student["cells"][2]["source"] = "def assert_close(*a, **k): pass\nassert_int = assert_close"
    cell_of(student, "middle")["source"] = "def middle(samples):\n    return 2.0"
    _, verdicts = ran(student)
    assert verdicts["test_middle__even"].status == "failed"


def test_a_cell_number_is_the_students() -> None:
    notebook, _ = ran(changed("given_words", ""))
    assert cell_of(notebook, "given_words")["execution_count"] == 3


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


@pytest.mark.parametrize("status", ["not run", "died", "endless"])
def test_a_test_that_was_stopped_shows_an_error(status: str) -> None:
    (output,) = outputs_after(status, [])
    assert output["output_type"] == "error"
