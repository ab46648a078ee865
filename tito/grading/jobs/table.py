"""What the coordinator does with the table: it puts jobs in, and takes results out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, func, not_, select, update

from tito.grading.jobs.database import Database
from tito.grading.jobs.payload import squeezed, unsqueezed
from tito.grading.jobs.schema import (
    BLOBS,
    DONE,
    FAILED,
    JOBS,
    MOST_ATTEMPTS,
    QUEUED,
    RUNNING,
    STORED,
)
from tito.grading.jobs.tally import Standing

ATTENTION = "needs attention"


@dataclass(frozen=True)
class Ended:
    """A job that will not run again; `error` is empty when it has a result."""

    key: str
    student: str
    error: str = ""


class JobTable:
    """The coordinator's side of the table of jobs.

    Args:
        database: Where it is.
        scope: Which jobs are this coordinator's: one lesson of one class.
    """

    def __init__(self, database: Database, scope: str) -> None:
        self._database = database
        self._scope = scope
        self._mine: ColumnElement[bool] = JOBS.c.scope == scope

    def enqueue(
        self, key: str, student: str, position: int, payload: bytes, again: bool = False
    ) -> None:
        """Put a job in; one that runs now or has a result stays as it is, unless `again`.

        A job that failed gets all its attempts anew: a person asked for it.
        """
        fresh: dict[str, Any] = {
            "student": student,
            "position": position,
            "state": QUEUED,
            "attempts": 0,
            "claim": None,
            "worker": None,
            "lease_until": None,
            "cells_done": 0,
            "cells_all": 0,
            "payload": payload,
            "result": None,
            "error": None,
        }
        statement = self._database.insert(JOBS).values(key=key, scope=self._scope, **fresh)
        keep = None if again else JOBS.c.state.not_in([RUNNING, DONE])
        self._database.execute(
            statement.on_conflict_do_update(index_elements=["key"], set_=fresh, where=keep)
        )

    def put_blob(self, name: str, content: bytes) -> None:
        """Store what jobs share, once."""
        known = select(func.count()).where(BLOBS.c.hash == name)
        if not self._database.execute(known).rows[0][0]:
            statement = self._database.insert(BLOBS).values(hash=name, content=squeezed(content))
            self._database.execute(statement.on_conflict_do_nothing())

    def keep_only(self, keys: Iterable[str]) -> None:
        """Remove this coordinator's jobs but these, so that no worker does what nobody wants."""
        wanted = set(keys)
        rows = self._database.execute(select(JOBS.c.key).where(self._mine)).rows
        for unwanted in {str(row.key) for row in rows} - wanted:
            self._database.execute(delete(JOBS).where(JOBS.c.key == unwanted, self._mine))

    def workers(self) -> list[str]:
        """Who holds jobs at the moment."""
        held = select(JOBS.c.worker).where(self._mine, JOBS.c.state == RUNNING).distinct()
        return [str(row.worker) for row in self._database.execute(held).rows]

    def release(self, worker: str) -> int:
        """Free the jobs of a worker that is dead; the number of jobs."""
        return self._free(JOBS.c.worker == worker)

    def reap(self) -> int:
        """Free the jobs whose leases are over; the number of jobs."""
        return self._free(JOBS.c.lease_until < self._database.now)

    def ended(self) -> list[Ended]:
        """Jobs that are done or failed and wait for the gradebook, in the order they were put."""
        statement = (
            select(JOBS.c.key, JOBS.c.student, JOBS.c.state, JOBS.c.error)
            .where(self._mine, JOBS.c.state.in_([DONE, FAILED]))
            .order_by(JOBS.c.position)
        )
        return [
            Ended(row.key, row.student, str(row.error) if row.state == FAILED else "")
            for row in self._database.execute(statement).rows
        ]

    def result(self, key: str) -> bytes:
        """The graded notebook of a job that is done."""
        rows = self._database.execute(select(JOBS.c.result).where(JOBS.c.key == key)).rows
        return unsqueezed(bytes(rows[0][0]))

    def mark_stored(self, key: str) -> None:
        """Its marks are in the gradebook: the copies here are not needed any more."""
        done = and_(JOBS.c.key == key, JOBS.c.state == DONE)
        values = {"state": STORED, "payload": None, "result": None, "claim": None}
        self._database.execute(update(JOBS).where(done).values(values))

    def running(self) -> list[Standing]:
        """How far the running jobs are."""
        columns = (JOBS.c.student, JOBS.c.cells_done, JOBS.c.cells_all)
        statement = select(*columns).where(self._mine, JOBS.c.state == RUNNING)
        rows = self._database.execute(statement.order_by(JOBS.c.position)).rows
        return [Standing(row.student, row.cells_done, row.cells_all) for row in rows]

    def states(self) -> dict[str, int]:
        """How many jobs are in each state."""
        statement = select(JOBS.c.state, func.count()).where(self._mine).group_by(JOBS.c.state)
        return {str(row[0]): int(row[1]) for row in self._database.execute(statement).rows}

    def sweep(self, keep: Iterable[str]) -> None:
        """Remove shared blobs but these, when no job of anybody is unfinished."""
        waiting = select(JOBS.c.key).where(JOBS.c.state.in_([QUEUED, RUNNING])).exists()
        self._database.execute(delete(BLOBS).where(BLOBS.c.hash.not_in(list(keep)), not_(waiting)))

    def _free(self, which: ColumnElement[bool]) -> int:
        last = JOBS.c.attempts >= MOST_ATTEMPTS
        why = f"{ATTENTION}: the process that graded it ended {MOST_ATTEMPTS} times"
        values = {
            "state": case((last, FAILED), else_=QUEUED),
            "error": case((last, why), else_=JOBS.c.error),
            "claim": None,
        }
        dead = and_(self._mine, JOBS.c.state == RUNNING, which)
        return self._database.execute(update(JOBS).where(dead).values(values)).count
