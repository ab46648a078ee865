"""Whatever workers, clocks and coordinators do in whatever order, no result is lost or doubled."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select, update

from tito.grading.jobs.database import Database
from tito.grading.jobs.leases import Claim, Leases
from tito.grading.jobs.schema import JOBS, MOST_ATTEMPTS
from tito.grading.jobs.table import JobTable

KEYS = st.sampled_from(["k1", "k2", "k3"])
WORKERS = st.sampled_from(["w1", "w2"])


class Jobs(RuleBasedStateMachine):
    """The table beside the simplest model: who holds each job, and what was stored for it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(f"sqlite:///{self.folder / 'jobs.db'}")
        self.table = JobTable(self.database, "scope")
        self.claims: list[tuple[Leases, Claim]] = []
        self.holder: dict[str, str] = {}
        self.results: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.folder)

    @rule(key=KEYS, again=st.booleans())
    def enqueue(self, key: str, again: bool) -> None:
        if again or (key not in self.holder and key not in self.results):
            self.holder.pop(key, None)
            self.results.pop(key, None)
        self.table.enqueue(key, key, 0, b"", again)

    @rule(name=WORKERS)
    def claim(self, name: str) -> None:
        leases = Leases(self.database, "scope", name)
        claim = leases.claim()
        if claim is not None:
            assert claim.key not in self.results
            assert claim.attempt <= MOST_ATTEMPTS
            self.holder[claim.key] = claim.token
            self.claims.append((leases, claim))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), how=st.sampled_from(["finish", "give_up", "give_back", "renew"]))
    def act(self, data: st.DataObject, how: str) -> None:
        """Any worker acts on any claim it ever had: only the newest one counts."""
        leases, claim = data.draw(st.sampled_from(self.claims))
        holds = self.holder.get(claim.key) == claim.token
        content = claim.token.encode()
        outcome = {
            "finish": lambda: leases.finish(claim, content),
            "give_up": lambda: leases.give_up(claim, "no"),
            "give_back": lambda: leases.give_back(claim),
            "renew": lambda: leases.renew(claim),
        }[how]()
        assert outcome == holds
        if holds and how != "renew":
            del self.holder[claim.key]
        if holds and how == "finish":
            self.results[claim.key] = content

    @rule(key=KEYS)
    def sleep_past_the_lease(self, key: str) -> None:
        self.database.execute(update(JOBS).where(JOBS.c.key == key).values(lease_until=1.0))

    @rule()
    def reap(self) -> None:
        self.table.reap()
        self._drop_what_is_not_running()

    @rule(name=WORKERS)
    def die(self, name: str) -> None:
        self.table.release(name)
        self._drop_what_is_not_running()

    @rule(key=KEYS)
    def store(self, key: str) -> None:
        if key in self.results:
            assert self.table.result(key) == self.results.pop(key)
            self.table.mark_stored(key)

    @invariant()
    def every_result_is_there_and_no_other(self) -> None:
        done = {each.key for each in self.table.ended() if not each.error}
        assert done == set(self.results)
        for key in done:
            assert self.table.result(key) == self.results[key]

    def _drop_what_is_not_running(self) -> None:
        rows = self.database.execute(select(JOBS.c.key, JOBS.c.claim)).rows
        held = {row.claim for row in rows if row.claim is not None}
        self.holder = {key: token for key, token in self.holder.items() if token in held}


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
