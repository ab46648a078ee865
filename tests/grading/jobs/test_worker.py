"""The worker's loop: leases held, deadlines kept, an end when the coordinator ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.grading.jobs.forked import forked, wait_for
from tito.grading.jobs.database import Database
from tito.grading.jobs.leases import Claim, Leases
from tito.grading.jobs.loop import Ending, Worker
from tito.grading.jobs.payload import Order, pack_order, unpack_order
from tito.grading.jobs.table import Ended, JobTable
from tito.grading.submission import Progress

SCOPE = "scope"


class Bench:
    """Grades by what the submission's bytes say."""

    def __init__(self) -> None:
        self.cleared = 0

    def lesson(self, name: str) -> None: ...

    def prepare(self, given: str, isolation: str) -> None: ...

    def clear(self) -> None:
        self.cleared += 1

    def grade(self, order: Order, submission: bytes | None, progress: Progress) -> bytes:
        assert submission is not None
        progress(1, 2)
        word = submission.decode()
        if word == "sleep":
            time.sleep(60)
        if word == "raise":
            raise ValueError("no")
        return b"graded " + submission


def order(notebook_s: float = 60.0) -> Order:
    return Order("profiling.ipynb", "l", "g", "process", 10.0, notebook_s, "c", notes=("a note",))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield opened
    opened.close()


@pytest.fixture
def table(database: Database) -> JobTable:
    return JobTable(database, SCOPE)


def worker(leases: Leases, bench: Any, overtime_s: float = 60.0) -> Worker:
    return Worker(leases, bench, Ending(), overtime_s)


def put(table: JobTable, *words: str, notebook_s: float = 60.0) -> None:
    for position, word in enumerate(words):
        table.enqueue(word, word, position, pack_order(order(notebook_s), word.encode()))


def test_orders_survive_packing() -> None:
    whole = order()
    assert unpack_order(pack_order(whole, b"\0work")) == (whole, b"\0work")
    nothing = Order(**{**whole.__dict__, "unreadable": "it is a link"})
    assert unpack_order(pack_order(nothing, None)) == (nothing, None)


def test_it_works_until_none_is_left(database: Database, table: JobTable) -> None:
    put(table, "one", "two")
    worker(Leases(database, SCOPE, "w"), Bench()).run(stay=False)
    assert table.states() == {"done": 2}
    assert table.result("two") == b"graded two"


def test_an_error_costs_three_attempts_and_a_new_warm_process(
    database: Database, table: JobTable
) -> None:
    put(table, "raise", "one")
    bench = Bench()
    worker(Leases(database, SCOPE, "w"), bench).run(stay=False)
    assert table.states() == {"failed": 1, "done": 1}
    assert table.ended()[0].error.startswith("ValueError: no")
    assert bench.cleared == 3


def test_a_payload_that_is_nonsense_costs_nobody_else(database: Database, table: JobTable) -> None:
    table.enqueue("bad", "bad", 0, b"\0")
    put(table, "one")
    worker(Leases(database, SCOPE, "w"), Bench()).run(stay=False)
    assert table.states() == {"failed": 1, "done": 1}


def test_a_judge_that_does_not_end_is_ended(database: Database, table: JobTable) -> None:
    put(table, "sleep", notebook_s=0.2)
    worker(Leases(database, SCOPE, "w"), Bench(), overtime_s=0.1).run(stay=False)
    assert table.ended() == [Ended("sleep", "sleep", "it did not end within 0 s")]


def test_the_lease_is_held_while_a_judge_works(database: Database, table: JobTable) -> None:
    put(table, "sleep", notebook_s=3.0)
    other = Leases(database, SCOPE, "other")
    taken: list[Claim | None] = []

    def try_to_take() -> None:
        own = Database(f"sqlite:///{database._engine.url.database}")
        time.sleep(1.5)
        taken.append(Leases(own, SCOPE, "other").claim())
        own.close()

    thread = threading.Thread(target=try_to_take)
    thread.start()
    worker(Leases(database, SCOPE, "w", lease_s=1.0), Bench(), overtime_s=0.0).run(stay=False)
    thread.join()
    assert taken == [None]
    assert table.states() == {"failed": 1}
    assert other.claim() is None


def test_a_worker_whose_job_was_taken_away_drops_it(database: Database, table: JobTable) -> None:
    put(table, "sleep")

    class Thief(Leases):
        def renew(self, claim: Claim, cells_done: int = 0, cells_all: int = 0) -> bool:
            table.keep_only([])
            return super().renew(claim, cells_done, cells_all)

    worker(Thief(database, SCOPE, "w", lease_s=1.0), Bench()).run(stay=False)
    assert table.states() == {}


def test_a_worker_that_is_asked_to_end_gives_its_job_back(
    database: Database, table: JobTable
) -> None:
    put(table, "sleep")

    def work() -> None:
        ending = Ending()
        ending.heed()
        own = Database(f"sqlite:///{database._engine.url.database}")
        Worker(Leases(own, SCOPE, "w"), Bench(), ending).run(stay=True)  # type: ignore[arg-type]

    pid = forked(work)
    limit = time.monotonic() + 30
    while not any(each.cells_done for each in table.running()) and time.monotonic() < limit:
        time.sleep(0.02)
    os.kill(pid, signal.SIGTERM)
    assert wait_for(pid) == 0
    assert table.states() == {"queued": 1}
    again = Leases(database, SCOPE, "w").claim()
    assert again is not None
    assert again.attempt == 1  # it was not the job's fault
