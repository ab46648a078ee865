"""The programs that `speedup` compares: the student's cells and the instructor's, kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tito.grading.judge.cells import JudgedCell, Place, Plan
from tito.grading.judge.handles import Handle
from tito.grading.judge.link import Link
from tito.grading.judge.names import Names
from tito.grading.judge.speed import Contest, Program, answers_agree, judged
from tito.grading.judge.speed_sandbox import StoppedSandbox
from tito.grading.sandbox.errors import SandboxEndedError
from tito.lessons import notebook as nb
from tito.testing import speed_calls
from tito.testing.speed import Reference, Speed, same
from tito.testing.speed_pairs import Task


@dataclass(frozen=True)
class Contests:
    """Makes the programs of one notebook's speed tests.

    Attributes:
        students: The rebuilt notebook.
        lesson: The instructor's notebook.
        plan: The lesson as the judge sees it.
        names: The names that the judge's cells read.
        zygote: Starts sandboxes.
        isolation: Their level.
        timed: Whether anything is measured; without, only answers are compared.
    """

    students: nb.Notebook
    lesson: nb.Notebook
    plan: Plan
    names: Names
    zygote: Any
    isolation: str
    timed: bool = True

    def on(
        self, test: JudgedCell, deadline: float, left_out: set[int]
    ) -> Callable[..., Speed | None]:
        """What `tito.testing.speedup` calls in a test cell.

        Args:
            test: The test cell.
            deadline: When it must be done.
            left_out: Student's cells that do not run: those that ended a sandbox.
        """

        def speedup(
            candidate: Any,
            baseline: Any,
            make_input: Callable[..., tuple[Any, ...]],
            at_least: float,
            check: Any = None,
            what: str = "",
            pairs: int = 0,
        ) -> Speed | None:
            name = self._name_of(candidate)
            other = self._baseline(baseline)
            contest = Contest(
                lambda: self._program(self.students, test, name, left_out, deadline),
                lambda: self._program(self.lesson, test, other, set(), deadline),
                what or name,
                other,
                self.isolation,
            )
            task = Task(make_input, at_least, check or same, pairs, deadline)
            if self.timed:
                return judged(contest, task)
            answers_agree(contest, task)
            return None

        return speedup

    def _name_of(self, candidate: object) -> str:
        name = self.names.student_name(candidate) if type(candidate) is Handle else None
        if name is None:
            raise TypeError(
                "speedup(candidate, ...) needs a function that a solution cell binds to a name, "
                f"got {candidate!r:.80}"
            )
        return name

    def _baseline(self, baseline: object) -> str:
        name = baseline.name if isinstance(baseline, Reference) else self.names.given_name(baseline)
        if name is None:
            raise TypeError(
                'the baseline of speedup() is a function of a read-only cell or reference("name"), '
                f"got {baseline!r:.80}"
            )
        return name

    @contextmanager
    def _program(
        self, notebook: nb.Notebook, test: JudgedCell, name: str, left_out: set[int], until: float
    ) -> Iterator[Program]:
        """A fresh sandbox in which a notebook's cells ran, up to a test."""
        with self.zygote.spawn() as sandbox:
            stopped = _Channel(sandbox)
            link = Link(stopped)
            link.begin_cell(until, test=True)
            for index, cell in enumerate(notebook["cells"]):
                known = self.plan.cell(cell)
                if known is test:
                    break
                if index not in left_out and self._runs(cell, known):
                    link.run_cell(cell["source"], lambda message: None)
            function = link.ask("name", name)
            yield Program(
                stopped,
                lambda inputs: link.ask("call", speed_calls.run_all, (function, inputs), {}),
                lambda inputs: link.ask("call", speed_calls.answer_again, (inputs,), {}),
            )

    @staticmethod
    def _runs(cell: nb.Cell, known: JudgedCell | None) -> bool:
        if cell["cell_type"] != "code" or (nb.has_tag(cell, "measure") and not nb.grade_id(cell)):
            return False
        return known is None or known.place is not Place.TEST


class _Channel(StoppedSandbox):
    """A stopped sandbox as a link's channel; one that is late is not interrupted but given up."""

    def interrupt(self) -> None:
        """Give it up."""
        raise SandboxEndedError("a measured program is never interrupted")


def no_speed(*_: object, **__: object) -> None:
    """What `speedup` finds outside of tests.

    Raises:
        TypeError: Always.
    """
    raise TypeError("speedup() belongs in a test cell")
