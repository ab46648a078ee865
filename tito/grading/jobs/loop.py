"""A worker's life: claim a job, fork a judge for it, hold the lease, write the result."""

from __future__ import annotations

import time

from tito.course import CourseError
from tito.grading.jobs.ending import Ending
from tito.grading.jobs.judge_child import JudgeChild
from tito.grading.jobs.leases import Claim, Leases
from tito.grading.jobs.payload import unpack_order
from tito.grading.jobs.workbench import Workbench

OVERTIME_S = 60.0  # for sandboxes that start and end, beyond the notebook's own deadline
_IDLE_S = 0.05
_BEATS_A_LEASE = 6
_TELL_S = 0.5


class Worker:
    """Empties the table of jobs.

    Args:
        leases: The table, as this worker sees it.
        bench: Grades.
        ending: When to stop.
        overtime_s: How much longer than its notebook's deadline a judge may take.
    """

    def __init__(
        self,
        leases: Leases,
        bench: Workbench,
        ending: Ending,
        overtime_s: float = OVERTIME_S,
    ) -> None:
        self._leases = leases
        self._bench = bench
        self._ending = ending
        self._overtime_s = overtime_s

    def run(self, stay: bool) -> None:
        """Work until none is left; with `stay` until asked to end."""
        while not self._ending.due():
            claim = self._leases.claim()
            if claim is not None:
                self._one(claim)
            elif not stay and not self._leases.unfinished():
                return
            else:
                self._ending.wait([], _IDLE_S)

    def _one(self, claim: Claim) -> None:
        """Grade one submission; whatever happens, the table knows it afterwards."""
        try:
            order, submission = unpack_order(claim.payload)
            self._bench.lesson(order.lesson)
            self._bench.prepare(order.given, order.isolation)
            child = JudgeChild(lambda tell: self._bench.grade(order, submission, tell))
        except (CourseError, OSError) as error:
            self._bench.clear()
            self._leases.give_up(claim, f"{type(error).__name__}: {error}")
            self._ending.wait([], _IDLE_S)
            return
        try:
            self._watch(claim, child, order.notebook_s + self._overtime_s)
        finally:
            child.close()

    def _watch(self, claim: Claim, child: JudgeChild, limit_s: float) -> None:
        """Hold the lease while the judge works, then write what came of it."""
        started = told = time.monotonic()
        shown = child.progress
        while not child.ended:
            self._ending.wait([child.pipe], _TELL_S)
            child.listen()
            now = time.monotonic()
            if self._ending.due():
                child.kill()
                self._leases.give_back(claim)
                return
            if now - started > limit_s:
                child.kill()
                why = f"it did not end within {limit_s:.0f} s"
                self._leases.give_up(claim, why, final=True)
                return
            news = child.progress != shown and now - told > _TELL_S
            if news or now - told > self._leases.lease_s / _BEATS_A_LEASE:
                told, shown = now, child.progress
                if not self._leases.renew(claim, *shown):
                    return  # somebody else has it now: this attempt is of no use
        self._conclude(claim, child)

    def _conclude(self, claim: Claim, child: JudgeChild) -> None:
        if child.result is not None:
            self._leases.finish(claim, child.result)
            return
        self._bench.clear()  # the warm process may be what failed
        self._leases.give_up(claim, child.error)
