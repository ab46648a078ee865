"""Running a whole notebook: the student's cells in sandboxes, the graded cells here.

A cell that ends its process, or will not be interrupted, costs only itself: the others run again
in a new sandbox, and tests that have a verdict are not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tito.grading.judge.cell_outputs import CellOutputs, finish, label
from tito.grading.judge.cells import JudgedCell, Place, Plan, plan_of
from tito.grading.judge.contests import Contests, no_speed
from tito.grading.judge.error_text import clean, error_content
from tito.grading.judge.graded_cell import Printed, Ran, run_code
from tito.grading.judge.hooks import JudgeHooks, Parts, hooked
from tito.grading.judge.link import Channel, Link
from tito.grading.judge.names import Names
from tito.grading.judge.remote_errors import (
    CellDeadlineError,
    CellEndedError,
    remote_traceback,
)
from tito.grading.outputs import NOTEBOOK_BYTES
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.limits import Limits
from tito.grading.verdicts import DIED, ENDLESS, FAILED, NOT_RUN, PASSED, CellVerdict
from tito.lessons import notebook as nb

_SANDBOXES = 8


class OpenSandbox(Channel, Protocol):
    """A running sandbox; leaving its `with` block ends it."""

    def __enter__(self) -> OpenSandbox: ...

    def __exit__(self, *error: Any) -> object: ...


class Spawner(Protocol):
    """What starts sandboxes; a `Zygote` is one."""

    def spawn(self) -> Any:
        """Start a sandbox."""


@dataclass(frozen=True)
class RunSettings:
    """How a submission is run.

    Attributes:
        isolation: The level of its sandboxes.
        cell_s: Deadline of a cell, in seconds.
        notebook_s: Deadline of the notebook, in seconds.
        limits: What a sandbox may use.
        measure_cells: Whether cells tagged `measure` run.
        timed: Whether `speedup` measures; without, it only compares answers.
    """

    isolation: Level
    cell_s: float = 30.0
    notebook_s: float = 600.0
    limits: Limits = field(default_factory=Limits)
    measure_cells: bool = True
    timed: bool = True


class NotebookRun:
    """One notebook on its way through as many sandboxes as it needs.

    Args:
        notebook: The rebuilt notebook in format 4; its cells receive outputs.
        lesson: The instructor's notebook: what the judge runs comes from here.
        zygote: Starts the sandboxes.
        settings: Deadlines and limits.
        progress: Told the number of cells done, out of all.

    Attributes:
        verdicts: The verdict of each code cell that ran or should have, by its index.
        problems: What went wrong in the judge with given cells: the lesson's own mistakes, when
            the notebook is the reference.

    Raises:
        CourseError: A cell that the judge must run is no Python.
    """

    def __init__(
        self,
        notebook: nb.Notebook,
        lesson: nb.Notebook,
        zygote: Spawner,
        settings: RunSettings,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.verdicts: dict[int, CellVerdict] = {}
        self.problems: list[str] = []
        self._cells: list[nb.Cell] = notebook["cells"]
        self._plan: Plan = plan_of(lesson)
        self._zygote = zygote
        self._settings = settings
        self._progress = progress
        self._printed = Printed(settings.limits.printed)
        self._names = Names(self._plan.remote, lambda name: self._link.ask("name", name))
        self._by_file = {f"<cell {each.label}>": each for each in self._plan.cells.values()}
        self._judged: set[int] = set()
        self._sizes: dict[int, int] = {}
        self._contests = Contests(
            notebook,
            lesson,
            self._plan,
            self._names,
            zygote,
            str(settings.isolation),
            settings.timed,
        )
        self._link: Link  # to the sandbox in use

    def run(self) -> dict[int, CellVerdict]:
        """Run all code cells; returns a verdict for each that was to run, by its index."""
        code = [index for index, cell in enumerate(self._cells) if self._to_run(cell)]
        limit = time.monotonic() + self._settings.notebook_s
        for attempt in range(_SANDBOXES):
            if self._one_sandbox([i for i in code if self._wanted(i, attempt)], limit):
                break
        late = time.monotonic() >= limit
        for index in code:
            if index not in self.verdicts:
                self._not_run(index, late)
            finish(self._cells[index], self.verdicts[index])
        return self.verdicts

    def _to_run(self, cell: nb.Cell) -> bool:
        measures = nb.has_tag(cell, "measure") and not nb.grade_id(cell)
        return cell["cell_type"] == "code" and (self._settings.measure_cells or not measures)

    def _wanted(self, index: int, attempt: int) -> bool:
        """Whether a cell runs in the next sandbox: not if it ended one, or is a judged test."""
        cell, verdict = self._cells[index], self.verdicts.get(index)
        if verdict is None:
            return True
        if verdict.status in (DIED, ENDLESS) or nb.is_test(cell):
            return False
        return not nb.has_tag(cell, "measure")

    def _one_sandbox(self, indices: list[int], limit: float) -> bool:
        """Run cells with one sandbox; whether it came to their end."""
        if not indices:
            return True
        with self._zygote.spawn() as sandbox:
            self._link = Link(sandbox, self._names.given_name, self._print)
            self._names.forget_student()
            for index in indices:
                left = limit - time.monotonic()
                if left <= 0:
                    return True
                self._progress(len(self.verdicts), len(self._cells))
                self._run_cell(index, min(self._settings.cell_s, left))
                if self._link.lost is not None:
                    return False
        return True

    def _run_cell(self, index: int, seconds: float) -> None:
        """Run one cell where it belongs, and store its outputs and verdict."""
        cell, judged = self._cells[index], self._plan.cell(self._cells[index])
        spent = sum(size for each, size in self._sizes.items() if each != index)
        outputs = CellOutputs(max(0, NOTEBOOK_BYTES - spent))
        started = time.monotonic()
        if judged is not None and judged.place is Place.TEST:
            self._link.begin_cell(started + seconds, test=True)
            verdict = self._run_test(judged, outputs, seconds)
        else:
            self._link.begin_cell(started + seconds, test=False)
            verdict = self._run_students(index, outputs, seconds)
            if judged is not None and judged.place is Place.GIVEN:
                self._run_given(index, judged, started + seconds)
            self._bound_anew(judged)
        verdict.seconds = time.monotonic() - started
        cell["outputs"] = outputs.finished()
        self._sizes[index] = outputs.size
        self.verdicts[index] = verdict

    # ---- the student's cells --------------------------------------------------------------------

    def _run_students(self, index: int, outputs: CellOutputs, seconds: float) -> CellVerdict:
        cell = self._cells[index]
        verdict = CellVerdict(label(cell, index), FAILED)
        try:
            reply = self._link.run_cell(cell["source"], outputs.show)
        except CellDeadlineError:
            verdict.status, verdict.message = ENDLESS, f"stopped after {seconds:.0f} s"
        except CellEndedError as lost:
            verdict.status, verdict.message = DIED, str(lost)
        except Exception as error:  # its own process could not say how the cell ended
            verdict.message = _short(error)
            outputs.add("error", error_content(error, {}, []))
        else:
            claimed = reply if type(reply) is dict else {}
            count = claimed.get("execution_count")
            cell["execution_count"] = count if type(count) is int and count >= 0 else None
            if claimed.get("status") == "ok":
                verdict.status = PASSED
            else:
                verdict.message = self._failure(claimed, outputs)
        return verdict

    @staticmethod
    def _failure(claimed: dict[str, Any], outputs: CellOutputs) -> str:
        """Why a student's cell failed; a failure without an error output receives one."""
        name, value = str(claimed.get("ename"))[:200], str(claimed.get("evalue"))[:2_000]
        if not outputs.has_error:
            content = {"ename": name, "evalue": value, "traceback": [f"{name}: {value}"]}
            outputs.show({"msg_type": "error", "content": content})
        return clean(f"{name}: {value}")[:300]

    def _bound_anew(self, judged: JudgedCell | None) -> None:
        """A student's cell has run: what it binds is the student's again, also after a test."""
        self._names.forget_student()
        for name in judged.binds if judged is not None else ():
            if name in self._plan.remote:
                self._names.pop(name, None)

    # ---- the instructor's cells -----------------------------------------------------------------

    def _run_given(self, index: int, judged: JudgedCell, deadline: float) -> None:
        """Run a given cell in the judge, once; have the sandbox keep what it bound, each time."""
        assert judged.code is not None
        if index not in self._judged:
            self._judged.add(index)
            with hooked(JudgeHooks(self._link, no_speed)):
                ran = run_code(judged.code, self._names, self._printed, deadline)
            if ran.error is not None:
                self.problems.append(
                    f"The given cell {judged.label} failed in the judge, so tests lack what it "
                    f"binds: {_short(ran.error)}"
                )
        own = self._names.bound_by_given(judged.binds)
        if self._link.lost is None:
            try:
                self._link.ask("keep", tuple(own))
            except (CellEndedError, Exception) as error:
                self.problems.append(
                    f"The names of {judged.label} could not be kept: {_short(error)}"
                )

    def _run_test(self, judged: JudgedCell, outputs: CellOutputs, seconds: float) -> CellVerdict:
        assert judged.code is not None
        self._names.forget_student()
        deadline = self._link.deadline
        ended = {i for i, each in self.verdicts.items() if each.status in (DIED, ENDLESS)}
        hooks = JudgeHooks(self._link, self._contests.on(judged, deadline, ended))
        with hooked(hooks):
            ran = run_code(judged.code, self._names, self._printed, deadline)
        outputs.text(ran.printed)
        verdict = self._test_verdict(judged, ran, hooks.parts, seconds)
        if verdict.status is FAILED and ran.error is not None:
            notes = self.problems if isinstance(ran.error, NameError) else []
            outputs.add("error", error_content(ran.error, self._by_file, notes))
        elif verdict.status is FAILED:
            outputs.text(_about_parts(hooks.parts, verdict.points or 0.0, judged.points))
        return verdict

    def _test_verdict(
        self, judged: JudgedCell, ran: Ran, parts: Parts, seconds: float
    ) -> CellVerdict:
        error, link = ran.error, self._link
        verdict = CellVerdict(judged.label, FAILED, points=0.0)
        if link.late or isinstance(error, CellDeadlineError):
            verdict.status, verdict.message = ENDLESS, f"stopped after {seconds:.0f} s"
        elif link.lost is not None:
            verdict.status, verdict.message = DIED, link.lost
        elif error is not None:
            verdict.message = _short(error)
        elif parts.failures:
            verdict.points = judged.points * parts.share
            verdict.message = clean("; ".join(parts.failures))[:300]
        else:
            verdict.status, verdict.points = PASSED, judged.points
        return verdict

    def _print(self, text: str) -> None:
        self._printed.write(text)

    def _not_run(self, index: int, late: bool) -> None:
        why = (
            f"the notebook's time limit of {self._settings.notebook_s:.0f} s was over"
            if late
            else f"{_SANDBOXES} cells before it ended their processes"
        )
        cell = self._cells[index]
        points = 0.0 if nb.is_test(cell) else None
        self.verdicts[index] = CellVerdict(label(cell, index), NOT_RUN, why, points=points)


def _short(error: BaseException) -> str:
    """An error as the one line of a verdict."""
    return clean(f"{type(error).__name__}: {error}")[:300]


def _about_parts(parts: Parts, earned: float, points: float) -> str:
    lines = [f"earned {earned:.6g} of {points:.6g} points"]
    for error in parts.errors:
        text = clean(remote_traceback(error)).rstrip()
        if text:
            lines += ["", "It was raised by the code of this notebook:", text]
    return "\n".join(lines) + "\n"
