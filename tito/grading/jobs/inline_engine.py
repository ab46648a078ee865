"""The engine for looking closely: jobs run in this process, one after the other.

A debugger and a print work in it. A submission's deadline and limits hold in its sandbox only: a
judge that hangs or dies takes the command with it.
"""

from __future__ import annotations

import time

from tito.course import CourseError
from tito.grading.jobs.database import Database
from tito.grading.jobs.engine import Site
from tito.grading.jobs.leases import Claim, Leases
from tito.grading.jobs.payload import unpack_order
from tito.grading.jobs.processes import worker_name
from tito.grading.jobs.workbench import Workbench


class InlineEngine:
    """Runs one job at a time, in `tend`."""

    def __init__(self, site: Site) -> None:
        self._database = Database(site.url)
        self._leases = Leases(self._database, site.scope, worker_name())
        self._bench = Workbench(self._leases, site.folder)

    def start(self) -> None:
        """Nothing begins before `tend`."""

    def tend(self, seconds: float) -> None:
        """Run the next job to its end; wait a moment when there is none."""
        claim = self._leases.claim()
        if claim is None:
            time.sleep(seconds)
        else:
            self._one(claim)

    def close(self) -> None:
        """End what is warm."""
        self._bench.clear()
        self._database.close()

    def _one(self, claim: Claim) -> None:
        order, submission = unpack_order(claim.payload)

        def tell(done: int, total: int) -> None:
            self._leases.renew(claim, done, total)

        try:
            result = self._bench.grade(order, submission, tell)
        except (CourseError, OSError) as error:
            self._leases.give_up(claim, f"{type(error).__name__}: {error}")
        except BaseException:  # an error to be looked at, or Ctrl-C
            self._leases.give_back(claim)
            raise
        else:
            self._leases.finish(claim, result)
