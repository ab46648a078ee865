"""Partial credit, and what else a graded cell shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grading.judge.transport import ForkedZygote
from tests.grading.small_course import cell_of, instructor_notebook, student_notebook
from tito.grading.judge.cells import plan_of
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.rebuild import rebuilt
from tito.grading.sandbox.levels import Level
from tito.grading.verdicts import CellVerdict
from tito.lessons import notebook as nb


def judged(
    test: str, solution: str = "", given: str = "", seconds: float = 20.0
) -> tuple[nb.Cell, CellVerdict, NotebookRun]:
    """The test cell `test_middle` after a run, with this text, beside a solution."""
    lesson, student = instructor_notebook(), student_notebook()
    cell_of(lesson, "test_middle")["source"] = test
    lesson["cells"][2]["source"] += f"\nfrom tito.testing import part, inside\n{given}"
    student["cells"][2]["source"] = lesson["cells"][2]["source"]
    if solution:
        cell_of(student, "middle")["source"] = solution
    notebook = rebuilt(student, lesson).notebook
    run = NotebookRun(notebook, lesson, ForkedZygote(), RunSettings(Level.PROCESS, seconds))
    verdicts = {verdict.label: verdict for verdict in run.run().values()}
    return cell_of(notebook, "test_middle"), verdicts["test_middle"], run


PARTS = """
with part(3, "odd"):
    assert_close(middle([1.0, 2.0, 9.0]), 2.0)
with part(1, "even"):
    assert_close(middle([1.0, 2.0]), 1.5)
"""


def texts(cell: nb.Cell) -> str:
    return "".join(out["text"] for out in cell["outputs"] if out["output_type"] == "stream")


def values(cell: nb.Cell) -> list[Any]:
    shown = [out for out in cell["outputs"] if out["output_type"] == "execute_result"]
    return [out["data"]["text/plain"] for out in shown]


def test_all_parts_earn_all_points() -> None:
    cell, verdict, _ = judged(PARTS)
    assert (verdict.status, verdict.points) == ("passed", 20)
    assert texts(cell) == "part passed: odd\npart passed: even\n"
    assert values(cell) == []


def test_a_failing_part_costs_its_share_and_the_cell_goes_on() -> None:
    cell, verdict, _ = judged(PARTS, "def middle(s):\n    return s[5]")
    assert (verdict.status, verdict.points) == ("failed", 0)
    cell, verdict, _ = judged(PARTS, "def middle(s): return float(sorted(s)[len(s) // 2])")
    assert (verdict.status, verdict.points) == ("failed", 15)
    assert values(cell) == ["15"]
    assert "part passed: odd\npart failed: even (AssertionError: the result is 2.0" in texts(cell)
    assert "earned 15 of 20 points" in texts(cell)
    assert not [out for out in cell["outputs"] if out["output_type"] == "error"]
    cell, verdict, _ = judged(PARTS, "def middle(s):\n    return 2.0 if len(s) > 2 else s['x']")
    assert verdict.points == 15
    assert "in middle" in texts(cell)


def test_a_failure_outside_all_parts_fails_the_cell() -> None:
    cell, verdict, _ = judged(PARTS + "\nassert_close(1.0, 2.0)")
    assert (verdict.status, verdict.points) == ("failed", 0)
    assert values(cell) == []


def test_a_part_does_not_hide_the_end_of_the_process() -> None:
    _, verdict, _ = judged(PARTS, "import os\ndef middle(s): os._exit(0)")
    assert (verdict.status, verdict.points) == ("died", 0)


def test_swallowing_every_error_does_not_hide_the_end_of_the_process() -> None:
    test = "try:\n    middle([1.0])\nexcept BaseException:\n    pass\n"
    _, verdict, _ = judged(test, "import os\ndef middle(s): os._exit(0)")
    assert verdict.status == "died"


def test_an_endless_test_of_the_instructors_ends() -> None:
    _, verdict, run = judged("while True:\n    pass", seconds=0.2)
    assert verdict.status == "endless"
    assert sum(each.points or 0 for each in run.verdicts.values()) == 70


def test_warnings_and_prints_cost_nothing() -> None:
    test = "import warnings, sys\nwarnings.warn('careful')\nprint('a', middle([1.0]))\n"
    cell, verdict, _ = judged(
        test + "print('b', file=sys.stderr)", "def middle(s):\n    print('hi')"
    )
    assert verdict.status == "passed"
    assert {out["name"] for out in cell["outputs"]} == {"stdout"}
    assert "careful" in texts(cell)
    assert "hi\na None\nb\n" in texts(cell)


def test_printing_of_a_test_is_bounded() -> None:
    cell, verdict, _ = judged("print('x' * 10_000_000)")
    assert verdict.status == "passed"
    assert len(texts(cell)) < 101_000
    assert texts(cell).endswith("[output truncated: a cell may print 100000 characters]\n")


def test_a_given_cell_that_fails_in_the_judge_is_told() -> None:
    cell, verdict, run = judged("helper()", given="import no_such_module\ndef helper(): pass")
    assert verdict.status == "failed"
    (problem,) = run.problems
    assert "number 3 failed in the judge" in problem
    assert "no_such_module" in problem
    assert problem in cell["outputs"][-1]["traceback"]


def test_given_classes_work_as_in_a_notebook() -> None:
    given = (
        "from dataclasses import dataclass\n"
        "from typing import NamedTuple, ClassVar\n"
        "@dataclass(frozen=True)\nclass Span:\n    a: int\n    kind: ClassVar[int] = 3\n"
        "class Pair(NamedTuple):\n    x: int\n    y: int\n"
    )
    test = (
        "assert inside(type(Span(1)), 4).a == 4\nassert middle(Span(2)) == 2\n"
        "assert middle(Pair(5, 6)) == 5\nimport pickle\n"
    )
    solution = "def middle(s): return s.a if isinstance(s, Span) else s.x"
    _, verdict, _ = judged(test, solution, given)
    assert (verdict.status, verdict.message) == ("passed", "")


def test_names_of_tests_are_rebound_by_later_solutions() -> None:
    test = "def pairs(size): return -1\nassert pairs(3) == -1\n"
    _, verdict, run = judged(test)
    assert verdict.status == "passed"
    assert sum(each.points or 0 for each in run.verdicts.values()) == 90


def test_a_plan_knows_what_runs_where() -> None:
    plan = plan_of(instructor_notebook())
    assert plan.remote == {"middle", "pairs", "ordered_pairs"}
    assert {key: cell.place.name for key, cell in plan.cells.items() if "id " not in key} == {
        "given_words": "GIVEN",
        "middle": "STUDENT",
        "test_middle": "TEST",
        "test_middle__even": "TEST",
        "pairs": "STUDENT",
        "pairs__ordered": "STUDENT",
        "test_pairs": "TEST",
        "test_pairs__ordered": "TEST",
    }
    assert plan is plan_of(instructor_notebook())
    plan.warm()


def test_a_lesson_the_judge_cannot_read_is_refused() -> None:
    from tito.course import CourseError

    lesson = instructor_notebook()
    cell_of(lesson, "test_pairs")["source"] = "assert ("
    with pytest.raises(CourseError, match="test_pairs is no Python"):
        plan_of(lesson)
