"""`speedup` in a graded cell: two sandboxes behind walls, from the notebook to the points."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.grading.needed_walls import need_walls
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.rebuild import rebuilt
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import Zygote
from tito.grading.verdicts import CellVerdict
from tito.lessons import notebook as nb
from tito.lessons.build import lesson_notebook
from tito.lessons.given import given_tree
from tito.lessons.rules import read_lesson

TEXT = Path(__file__).with_name("speed.percent")


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    need_walls()
    folder = Path(tempfile.mkdtemp(prefix="given-"))
    given_tree(folder, 14)
    folder.chmod(0o755)
    with Zygote(folder, Level.NAMESPACES) as started:
        yield started
    shutil.rmtree(folder)


def ran(zygote: Zygote, solution: str | None, timed: bool = True) -> tuple[CellVerdict, str]:
    """The verdict on `tables` with this solution, and all that the test cell shows."""
    lesson = lesson_notebook(read_lesson(TEXT, TEXT.name))
    student = lesson_notebook(read_lesson(TEXT, TEXT.name))
    for cell in student["cells"]:
        if nb.grade_id(cell) == "tables" and solution is not None:
            cell["source"] = solution
    notebook = rebuilt(student, lesson).notebook
    settings = RunSettings(Level.NAMESPACES, cell_s=120.0, timed=timed)
    verdicts = NotebookRun(notebook, lesson, zygote, settings).run()
    test = next(cell for cell in notebook["cells"] if nb.grade_id(cell) == "test_tables")
    verdict = next(each for each in verdicts.values() if each.label == "test_tables")
    return verdict, "".join(map(shown, test["outputs"]))


def shown(output: dict[str, Any]) -> str:
    return str(output.get("text") or output.get("evalue") or "")


def test_the_instructors_solution_is_as_fast_as_itself(zygote: Zygote) -> None:
    verdict, text = ran(zygote, None)
    assert verdict.points == 100, text
    assert "speed: tables is" in text
    assert "x slow_tables [" in text
    assert "isolation: namespaces)" in text


def test_a_slow_solution_fails_with_the_line(zygote: Zygote) -> None:
    verdict, text = ran(zygote, "def tables(x):\n    return slow_tables(x)")
    assert verdict.points == 0
    assert "speed: tables is 1.0" in text or "speed: tables is 0.9" in text
    assert "needed 2.00 x" in text


def test_without_the_clock_answers_still_count(zygote: Zygote) -> None:
    slow, text = ran(zygote, "def tables(x):\n    return slow_tables(x)", timed=False)
    assert slow.points == 100
    assert "speed:" not in text
    wrong, text = ran(zygote, "def tables(x):\n    return slow_tables(x) + 1", timed=False)
    assert wrong.points == 0


def test_a_helper_process_is_seen_through_the_walls(zygote: Zygote) -> None:
    verdict, text = ran(
        zygote,
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    while True:\n"
        "        time.sleep(1)\n"
        "def tables(x):\n"
        "    return np.tanh(x @ x.T)",
    )
    assert verdict.points == 0
    assert "not measured: helper processes" in text


def test_a_lazy_result_is_no_result(zygote: Zygote) -> None:
    verdict, text = ran(
        zygote,
        "class Lazy:\n"
        "    def __init__(self, x):\n"
        "        self.x = x\n"
        "    def __array__(self, *_, **__):\n"
        "        return np.tanh(self.x @ self.x.T)\n"
        "def tables(x):\n"
        "    return Lazy(x)",
    )
    assert verdict.points == 0
    assert "no data" in text
