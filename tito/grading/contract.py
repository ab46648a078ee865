"""The contract of a lesson's grading, proved by running it.

The blank notebook earns nothing; the reference earns everything; each planted mistake loses exactly
the tests it names; each honest other solution keeps every point.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tito.course import Course, CourseError, Lesson
from tito.grading import confinement
from tito.grading.confinement import INSIDE
from tito.grading.execution import label
from tito.grading.mutants import Change, read_mutants, read_variants
from tito.lessons import notebook as nb
from tito.lessons.build import lesson_notebook
from tito.lessons.given import given_tree
from tito.lessons.roles import visible_text
from tito.lessons.rules import read_lesson

BLANK, REFERENCE, MUTANT, VARIANT = "blank", "reference", "mutant", "variant"
_CELL_S = 20.0
_JOB_S = 120.0
_AT_ONCE = 2


@dataclass(frozen=True)
class Case:
    """A notebook to run, and the tests it must lose."""

    name: str
    kind: str
    about: str
    must_lose: frozenset[str]
    change: Change | None = None


@dataclass(frozen=True)
class Outcome:
    """What a case came to.

    Attributes:
        case: What was run.
        lost: The tests that did not pass.
        points: The points its tests earned.
        most: The points they can earn.
        seconds: How long its cells ran.
        messages: Why each lost test was lost.
        broken: Cells that are no tests and failed, where none may.
    """

    case: Case
    lost: frozenset[str]
    points: float
    most: float
    seconds: float
    messages: dict[str, str]
    broken: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether the case did what the contract says."""
        return self.lost == self.case.must_lose and not self.broken

    @property
    def verdict(self) -> str:
        """One line that says what is wrong, or that nothing is."""
        if self.kept:
            return "kept"
        words: list[str] = []
        survived = sorted(self.case.must_lose - self.lost)
        also = sorted(self.lost - self.case.must_lose)
        if survived:
            words.append(f"does not lose {', '.join(survived)}")
        words += [f"loses {test} ({self.messages.get(test, '')})" for test in also]
        words += [f"cell {label} fails ({self.messages.get(label, '')})" for label in self.broken]
        return "; ".join(words)


class LessonUnderContract:
    """A lesson with its mutants and variants, read from modules/ alone.

    Raises:
        CourseError: The lesson's text, mutants.toml or variants.toml breaks a rule.
    """

    def __init__(self, course: Course, lesson: Lesson) -> None:
        text = course.text(lesson)
        self.lesson = lesson
        self.notebook = lesson_notebook(read_lesson(text, course.relative(text)))
        self.cases = list(self._cases(text.parent))
        self._points = {
            str(nb.grade_id(cell)): float(cell["metadata"]["nbgrader"]["points"])
            for cell in self.notebook["cells"]
            if nb.is_test(cell)
        }

    def run(self) -> Iterator[Outcome]:
        """Run every case; yields each outcome as it is known."""
        cases = {f"{case.kind} {case.name}": case for case in self.cases}
        jobs = [self._job(name, case) for name, case in cases.items()]
        for result in run_jobs(jobs, self.lesson.number):
            yield self._outcome(cases[result["name"]], result)

    def _cases(self, folder: Path) -> Iterator[Case]:
        tests = frozenset(str(nb.grade_id(c)) for c in self.notebook["cells"] if nb.is_test(c))
        yield Case("reference", REFERENCE, "the full solution", frozenset())
        yield Case("blank", BLANK, "the notebook as it is given out", tests)
        for change in read_mutants(folder / "mutants.toml", self.notebook):
            yield Case(change.name, MUTANT, change.about, frozenset(change.loses), change)
        for change in read_variants(folder / "variants.toml", self.notebook):
            yield Case(change.name, VARIANT, change.about, frozenset(), change)

    def _job(self, name: str, case: Case) -> dict[str, Any]:
        cells = [
            {"id": label(cell, index), "source": self._source(cell, case)}
            for index, cell in enumerate(self.notebook["cells"])
            if cell["cell_type"] == "code"
            and (case.kind == REFERENCE or not nb.has_tag(cell, "measure"))
        ]
        return {"name": name, "cells": cells, "cell_s": _CELL_S, "job_s": _JOB_S}

    def _source(self, cell: nb.Cell, case: Case) -> str:
        """A cell's text as this case has it."""
        source = str(cell["source"])
        if case.kind == BLANK and nb.is_solution(cell):
            return visible_text(source)
        if case.change is not None and nb.grade_id(cell) == case.change.cell:
            return case.change.apply(source)
        return source

    def _outcome(self, case: Case, result: dict[str, Any]) -> Outcome:
        cells: dict[str, dict[str, Any]] = result["cells"]
        failed = [label for label, cell in cells.items() if cell["status"] != "passed"]
        lost = frozenset(label for label in failed if label in self._points)
        others = tuple(label for label in failed if label not in self._points)
        most = sum(self._points.values())
        return Outcome(
            case=case,
            lost=lost,
            points=most - sum(self._points[test] for test in lost),
            most=most,
            seconds=sum(cell["seconds"] for cell in cells.values()),
            messages={label: cells[label]["message"] for label in failed},
            broken=others if case.kind in (REFERENCE, VARIANT) else (),
        )


def run_jobs(jobs: list[dict[str, Any]], before: int) -> Iterator[dict[str, Any]]:
    """Run jobs in forks of one warm process, which can import the given tree and no more of ours.

    Args:
        jobs: As inside/fork_server.py wants them.
        before: The lesson under test.

    Raises:
        CourseError: The process ended before all results were there.
    """
    with tempfile.TemporaryDirectory(prefix="tito-contract-") as name:
        given, work = Path(name) / "given", Path(name) / "work"
        given_tree(given, before)
        work.mkdir()
        server = subprocess.Popen(
            [sys.executable, "-P", str(INSIDE / "fork_server.py"), str(_AT_ONCE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=confinement.environment(given, str(work)),
            cwd=work,
            text=True,
        )
        with server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert server.stderr is not None
            try:
                server.stdin.write("".join(json.dumps(job) + "\n" for job in jobs))
                server.stdin.close()
                yield from (json.loads(line) for line in server.stdout)
            except BrokenPipeError:
                server.kill()
            said = server.stderr.read().strip().splitlines()
        if server.returncode != 0:
            raise CourseError(
                f"The process that runs the contract ended: {said[-1] if said else 'no message'}.",
                "Correct what it says; `tinytorch` and `tito.testing` must import by themselves.",
            )
