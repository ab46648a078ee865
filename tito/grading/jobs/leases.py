"""What a worker does with the table: it claims a job, renews its lease, and writes one result.

A claim is one statement. Whoever holds the newest claim of a job is the only one who can write to
it: a worker that slept through the end of its lease changes nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update

from tito.grading.jobs.database import Database
from tito.grading.jobs.payload import squeezed
from tito.grading.jobs.schema import BLOBS, DONE, FAILED, JOBS, MOST_ATTEMPTS, QUEUED, RUNNING

LEASE_S = 30.0


@dataclass(frozen=True)
class Claim:
    """One attempt at one job."""

    key: str
    token: str
    student: str
    attempt: int
    payload: bytes


class Leases:
    """The worker's side of the table of jobs.

    Args:
        database: Where it is.
        scope: Which jobs to take.
        worker: Who takes them.
        lease_s: How long a claim lasts unless it is renewed.
    """

    def __init__(
        self, database: Database, scope: str, worker: str, lease_s: float = LEASE_S
    ) -> None:
        self._database = database
        self._scope = scope
        self._worker = worker
        self.lease_s = lease_s

    def claim(self) -> Claim | None:
        """Take the next job that nobody holds; None when there is none at the moment."""
        now, token = self._database.now, secrets.token_hex(16)
        free = or_(JOBS.c.state == QUEUED, and_(JOBS.c.state == RUNNING, JOBS.c.lease_until < now))
        next_key = (
            select(JOBS.c.key)
            .where(JOBS.c.scope == self._scope, free, JOBS.c.attempts < MOST_ATTEMPTS)
            .order_by(JOBS.c.position)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        taken = {
            "state": RUNNING,
            "attempts": JOBS.c.attempts + 1,
            "claim": token,
            "worker": self._worker,
            "lease_until": now + self.lease_s,
            "cells_done": 0,
        }
        statement = (
            update(JOBS)
            .where(JOBS.c.key == next_key)
            .values(taken)
            .returning(JOBS.c.key, JOBS.c.student, JOBS.c.attempts, JOBS.c.payload)
        )
        for row in self._database.execute(statement).rows:
            return Claim(row.key, token, row.student, row.attempts, row.payload)
        return None

    def renew(self, claim: Claim, cells_done: int = 0, cells_all: int = 0) -> bool:
        """Hold a job for another lease and tell how far it is; False when it was lost."""
        until = self._database.now + self.lease_s
        return self._write(
            claim, {"lease_until": until, "cells_done": cells_done, "cells_all": cells_all}
        )

    def finish(self, claim: Claim, result: bytes) -> bool:
        """Write the graded notebook; False, and nothing changed, when the lease was lost."""
        return self._write(claim, {"state": DONE, "result": squeezed(result), "error": None})

    def give_up(self, claim: Claim, error: str, final: bool = False) -> bool:
        """Put a job back after an attempt that failed, or end it when that was the last one.

        Args:
            claim: The attempt.
            error: What happened, as a sentence.
            final: Whether another attempt would be of no use.
        """
        over = case((JOBS.c.attempts >= MOST_ATTEMPTS, FAILED), else_=QUEUED)
        state: Any = FAILED if final else over
        return self._write(claim, {"state": state, "claim": None, "error": error})

    def give_back(self, claim: Claim) -> bool:
        """Put a job back as if it had never been claimed: the worker was asked to end."""
        return self._write(claim, {"state": QUEUED, "claim": None, "attempts": JOBS.c.attempts - 1})

    def unfinished(self) -> int:
        """How many jobs are not yet done, whoever holds them."""
        statement = select(func.count()).where(
            JOBS.c.scope == self._scope, JOBS.c.state.in_([QUEUED, RUNNING])
        )
        return int(self._database.execute(statement).rows[0][0])

    def blob(self, name: str) -> bytes | None:
        """What jobs share, by its hash, compressed."""
        rows = self._database.execute(select(BLOBS.c.content).where(BLOBS.c.hash == name)).rows
        return bytes(rows[0][0]) if rows else None

    def _write(self, claim: Claim, values: dict[str, Any]) -> bool:
        mine: ColumnElement[bool] = and_(
            JOBS.c.key == claim.key, JOBS.c.claim == claim.token, JOBS.c.state == RUNNING
        )
        return self._database.execute(update(JOBS).where(mine).values(values)).count == 1
