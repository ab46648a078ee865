"""The judge with real sandboxes: IPython's shell, the given tree, and clocks read from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.grading.judge.test_notebook_run import errors, passed, ran
from tests.grading.judge.test_parts import texts
from tests.grading.small_course import (
    TESTS,
    cell_of,
    changed,
    instructor_notebook,
    student_notebook,
)
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.judge.speed_clock import why_no_cpu_clock
from tito.grading.rebuild import rebuilt
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import Zygote
from tito.lessons import notebook as nb
from tito.lessons.given import given_tree


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    given = tmp_path_factory.mktemp("given")
    given_tree(given, 14)
    with Zygote(given, Level.PROCESS) as made:
        yield made


def test_a_right_solution_passes_and_its_outputs_stay(zygote: Any) -> None:
    notebook, verdicts = ran(changed("given_words", ""), zygote=zygote)
    assert passed(verdicts) == set(TESTS)
    assert cell_of(notebook, "given_words")["execution_count"] == 3
    shown = [out for cell in notebook["cells"] for out in cell.get("outputs", [])]
    text = "pairs of up to three: [0, 0, 1, 3]\n"
    assert {"output_type": "stream", "name": "stdout", "text": text} in shown


def test_a_students_traceback_is_shown_with_the_tests(zygote: Any) -> None:
    student = changed("middle", "def middle(samples):\n    return samples['no']")
    notebook, verdicts = ran(student, zygote=zygote)
    (error,) = cell_of(notebook, "test_middle")["outputs"]
    assert "return samples['no']" in "\n".join(error["traceback"])
    assert "agent.py" not in "\n".join(error["traceback"])
    assert passed(verdicts) == {"test_pairs", "test_pairs__ordered"}


def test_ended_and_endless_processes(zygote: Any) -> None:
    student = changed("middle", "def middle(samples):\n    import os\n    os._exit(0)")
    cell_of(student, "pairs__ordered")["source"] = "def ordered_pairs(n):\n    while True: pass"
    notebook, verdicts = ran(student, cell_s=1.0, zygote=zygote)
    assert passed(verdicts) == {"test_pairs"}
    assert errors(notebook, "test_middle") == ["KernelDied"]
    assert errors(notebook, "test_pairs__ordered") == ["CellTimeout"]


def test_displays_are_bounded(zygote: Any) -> None:
    shown = "from IPython.display import HTML, display\nfor _ in range(8):\n"
    shown += "    display(HTML('x' * 1_000_000))\ndisplay(HTML('x' * 20_000_000))"
    notebook, verdicts = ran(changed("pairs__ordered", shown), zygote=zygote)
    outputs = cell_of(notebook, "pairs__ordered")["outputs"]
    assert sum(len(str(output)) for output in outputs) < 5_000_000
    assert outputs[-1]["text"].startswith("[outputs left out")
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}


def test_half_characters_in_outputs_can_be_written(zygote: Any) -> None:
    source = "print('\\ud800'); raise ValueError('\\udfff')"
    notebook, verdicts = ran(changed("pairs__ordered", source), zygote=zygote)
    assert nb.to_bytes(notebook)
    verdicts["pairs__ordered"].message.encode()


SPEED = """
from tito.testing import speedup, reference
speedup({candidate}, {baseline}, lambda rng: (int(rng.integers(200, 400)),), at_least=1.5, pairs=15)
"""
SLOW = """
def slow_pairs(size):
    return sum(1 for a in range(size) for b in range(a))
"""


@pytest.mark.skipif(why_no_cpu_clock() is not None, reason="no CPU clock of other processes")
@pytest.mark.parametrize("fast", [True, False])
def test_speed_is_judged_between_two_sandboxes(zygote: Any, fast: bool) -> None:
    lesson, student = instructor_notebook(), student_notebook()
    cell_of(lesson, "given_words")["source"] = SLOW
    cell_of(lesson, "test_pairs")["source"] = SPEED.format(candidate="pairs", baseline="slow_pairs")
    if not fast:
        cell_of(student, "pairs")["source"] = "def pairs(size): return slow_pairs(size)"
    notebook = rebuilt(student, lesson).notebook
    run = NotebookRun(notebook, lesson, zygote, RunSettings(Level.PROCESS, 60.0))
    verdicts = {verdict.label: verdict for verdict in run.run().values()}
    assert verdicts["test_pairs"].status == ("passed" if fast else "failed"), verdicts["test_pairs"]
    if fast:
        assert "speed: pairs is" in texts(cell_of(notebook, "test_pairs"))
    else:
        assert "too slow" in verdicts["test_pairs"].message
