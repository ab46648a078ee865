"""The contract of a lesson's grading, proved by running it.

The blank notebook earns nothing; the reference earns everything; each planted mistake loses exactly
the tests it names; each honest other solution keeps every point; no trick earns any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from tito.course import Course, Lesson
from tito.grading.contract_attacks import Trick, tricks
from tito.grading.contract_runs import NotebookToRun, run_notebooks
from tito.grading.judge.names import bound_names
from tito.grading.mutants import Change, read_mutants, read_variants
from tito.grading.verdicts import PASSED, CellVerdict
from tito.lessons import notebook as nb
from tito.lessons.build import lesson_notebook
from tito.lessons.roles import visible_text
from tito.lessons.rules import read_lesson

BLANK, REFERENCE, MUTANT, VARIANT = "blank", "reference", "mutant", "variant"
ATTACK = "attack"
_CELL_S = 40.0  # a speed test beside other work takes its time


@dataclass(frozen=True)
class Case:
    """A notebook to run, and the tests it must lose."""

    name: str
    kind: str
    about: str
    must_lose: frozenset[str]
    change: Change | None = None
    trick: Trick | None = None


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
        tests = [cell for cell in self.notebook["cells"] if nb.is_test(cell)]
        self._points = {
            str(nb.grade_id(cell)): float(cell["metadata"]["nbgrader"]["points"]) for cell in tests
        }
        self._speed_tests = {str(nb.grade_id(c)) for c in tests if "speedup(" in str(c["source"])}

    def run(self) -> Iterator[Outcome]:
        """Run every case; yields each outcome as it is known."""
        cases = {f"{case.kind} {case.name}": case for case in self.cases}
        wanted = [
            NotebookToRun(name, self._notebook(case), case.kind == REFERENCE, self._timed(case))
            for name, case in cases.items()
        ]
        for name, verdicts in run_notebooks(wanted, self.notebook, self.lesson.number, _CELL_S):
            yield self._outcome(cases[name], verdicts)

    def _cases(self, folder: Path) -> Iterator[Case]:
        tests = frozenset(str(nb.grade_id(c)) for c in self.notebook["cells"] if nb.is_test(c))
        yield Case("reference", REFERENCE, "the full solution", frozenset())
        yield Case("blank", BLANK, "the notebook as it is given out", tests)
        names = sorted(bound_names(self.notebook))
        for trick in tricks(names, self.lesson.name):
            yield Case(trick.name, ATTACK, trick.about, tests, trick=trick)
        for change in read_mutants(folder / "mutants.toml", self.notebook):
            yield Case(change.name, MUTANT, change.about, frozenset(change.loses), change)
        for change in read_variants(folder / "variants.toml", self.notebook):
            yield Case(change.name, VARIANT, change.about, frozenset(), change)

    def _timed(self, case: Case) -> bool:
        """Whether its speed is measured: not for a mistake that has nothing to do with speed.

        Such a mistake must still answer right in a speed test; only the seconds are saved.
        """
        return case.kind != MUTANT or bool(self._speed_tests & case.must_lose)

    def _untouched(self, case: Case) -> frozenset[str]:
        """The tests that stand above the changed cell: the change cannot reach them."""
        if case.change is None:
            return frozenset()
        changed = case.change.cell
        above = takewhile(lambda cell: nb.grade_id(cell) != changed, self.notebook["cells"])
        return frozenset(str(nb.grade_id(cell)) for cell in above if nb.is_test(cell))

    def _notebook(self, case: Case) -> nb.Notebook:
        """The notebook as this case has it, without the tests that its change cannot reach."""
        untouched = self._untouched(case)
        cells = [
            {**cell, "source": self._source(cell, case)}
            for cell in self.notebook["cells"]
            if nb.grade_id(cell) not in untouched
        ]
        return nb.new_notebook(cells)

    def _source(self, cell: nb.Cell, case: Case) -> str:
        """A cell's text as this case has it; a trick follows every blank solution."""
        source = str(cell["source"])
        if case.kind in (BLANK, ATTACK) and nb.is_solution(cell):
            source = visible_text(source)
            is_code = cell["cell_type"] == "code"
            return f"{source}\n\n{case.trick.source}" if case.trick and is_code else source
        if case.change is not None and nb.grade_id(cell) == case.change.cell:
            return case.change.apply(source)
        return source

    def _outcome(self, case: Case, verdicts: list[CellVerdict]) -> Outcome:
        failed = {each.label: each.message for each in verdicts if each.status != PASSED}
        earned = {test: self._points[test] for test in self._untouched(case)}
        earned |= {each.label: each.points or 0.0 for each in verdicts if each.points is not None}
        lost = frozenset(test for test, most in self._points.items() if earned.get(test, 0) < most)
        others = tuple(label for label in failed if label not in self._points)
        return Outcome(
            case=case,
            lost=lost,
            points=sum(earned.values()),
            most=sum(self._points.values()),
            seconds=sum(each.seconds for each in verdicts),
            messages=failed,
            broken=others if case.kind in (REFERENCE, VARIANT) else (),
        )
