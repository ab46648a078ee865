"""One holder a job: claims are atomic, leases end, and who lost one changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from tito.grading.jobs.database import Database
from tito.grading.jobs.leases import Claim, Leases
from tito.grading.jobs.schema import JOBS, MOST_ATTEMPTS
from tito.grading.jobs.table import ATTENTION, Ended, JobTable

SCOPE = "a class"


@pytest.fixture
def table(database: Database) -> JobTable:
    return JobTable(database, SCOPE)


def put(table: JobTable, *keys: str, again: bool = False) -> None:
    for position, key in enumerate(keys):
        table.enqueue(key, f"student of {key}", position, b"work", again)


def worker(database: Database, name: str = "one", lease_s: float = 60.0) -> Leases:
    return Leases(database, SCOPE, name, lease_s)


def must_claim(leases: Leases) -> Claim:
    claim = leases.claim()
    assert claim is not None
    return claim


def expire(database: Database, key: str) -> None:
    """Let a lease run out, without waiting for it."""
    database.execute(update(JOBS).where(JOBS.c.key == key).values(lease_until=1.0))


def test_jobs_come_in_order_and_once(database: Database, table: JobTable) -> None:
    put(table, "k1", "k2")
    one, two = worker(database), worker(database, "two")
    first, second = must_claim(one), must_claim(two)
    assert [first.key, second.key] == ["k1", "k2"]
    assert (first.student, first.payload, first.attempt) == ("student of k1", b"work", 1)
    assert one.claim() is None
    assert one.unfinished() == 2
    assert one.finish(first, b"result")
    assert one.unfinished() == 1
    assert table.ended() == [Ended("k1", "student of k1")]
    assert table.result("k1") == b"result"


def test_many_at_once_never_take_the_same_job(url: str, database: Database) -> None:
    table = JobTable(database, SCOPE)
    keys = [f"k{number:02d}" for number in range(60)]
    put(table, *keys)

    def drain(name: str) -> list[str]:
        own = Database(url)
        leases = Leases(own, SCOPE, name)
        taken = []
        while (claim := leases.claim()) is not None:
            taken.append(claim.key)
            assert leases.finish(claim, claim.key.encode())
        own.close()
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [key for keys in pool.map(drain, "abcd") for key in keys]
    assert sorted(taken) == keys
    assert table.states() == {"done": 60}


def test_other_classes_jobs_are_left_alone(database: Database, table: JobTable) -> None:
    JobTable(database, "another class").enqueue("k1", "ada", 0, b"", again=False)
    assert worker(database).claim() is None
    assert worker(database).unfinished() == 0
    table.keep_only([])
    assert JobTable(database, "another class").states() == {"queued": 1}


def test_a_renewed_lease_lasts_and_tells_how_far_it_is(database: Database, table: JobTable) -> None:
    put(table, "k1")
    one, two = worker(database), worker(database, "two")
    claim = must_claim(one)
    expire(database, "k1")
    assert one.renew(claim, 3, 12)
    assert two.claim() is None
    standing = table.running()[0]
    assert (standing.student, standing.cells_done, standing.cells_all) == ("student of k1", 3, 12)


def test_a_late_result_of_a_lost_lease_changes_nothing(database: Database, table: JobTable) -> None:
    put(table, "k1")
    slow, quick = worker(database, "slow"), worker(database, "quick")
    old = must_claim(slow)
    expire(database, "k1")
    new = must_claim(quick)
    assert new.attempt == 2
    for wrong in (
        slow.finish(old, b"late"),
        slow.renew(old),
        slow.give_up(old, "late"),
        slow.give_back(old),
    ):
        assert not wrong
    assert quick.finish(new, b"right")
    assert not slow.finish(old, b"later")
    assert not quick.finish(new, b"twice")
    assert table.result("k1") == b"right"


def test_a_result_after_the_job_was_asked_for_anew_changes_nothing(
    database: Database, table: JobTable
) -> None:
    put(table, "k1")
    claim = must_claim(worker(database))
    put(table, "k1", again=True)
    assert not worker(database).finish(claim, b"old")
    assert table.states() == {"queued": 1}


def test_putting_a_job_in_twice_is_putting_it_in_once(database: Database, table: JobTable) -> None:
    put(table, "k1", "k2", "k3")
    one = worker(database)
    done, held = must_claim(one), must_claim(one)
    one.finish(done, b"result")
    put(table, "k1", "k2", "k3")
    assert table.states() == {"done": 1, "running": 1, "queued": 1}
    assert one.finish(held, b"result")


def test_a_poison_job_ends_as_failed(database: Database, table: JobTable) -> None:
    put(table, "poison", "good")
    for _ in range(MOST_ATTEMPTS):
        name = "victim"
        assert must_claim(worker(database, name)).key == "poison"
        assert table.release(name) == 1
    assert must_claim(worker(database)).key == "good"
    (ended,) = table.ended()
    assert ended.key == "poison"
    assert ended.error.startswith(ATTENTION)
    put(table, "poison")  # a person asks again: three new attempts
    assert must_claim(worker(database)).attempt == 1


def test_the_leases_of_silent_workers_end(database: Database, table: JobTable) -> None:
    put(table, "k1")
    must_claim(worker(database, "silent"))
    assert table.reap() == 0
    expire(database, "k1")
    assert table.reap() == 1
    assert table.states() == {"queued": 1}
    must_claim(worker(database))
    assert table.workers() == ["one"]


def test_failures_are_tried_again_until_the_last(database: Database, table: JobTable) -> None:
    put(table, "k1")
    one = worker(database)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert table.ended() == []
        claim = must_claim(one)
        assert claim.attempt == attempt
        assert one.give_up(claim, f"trouble {attempt}")
    assert table.ended() == [Ended("k1", "student of k1", f"trouble {MOST_ATTEMPTS}")]


def test_a_final_failure_is_not_tried_again(database: Database, table: JobTable) -> None:
    put(table, "k1")
    one = worker(database)
    assert one.give_up(must_claim(one), "too slow", final=True)
    assert table.ended()[0].error == "too slow"


def test_what_is_given_back_counts_as_no_attempt(database: Database, table: JobTable) -> None:
    put(table, "k1")
    one = worker(database)
    for _ in range(MOST_ATTEMPTS + 1):
        claim = must_claim(one)
        assert claim.attempt == 1
        assert one.give_back(claim)


def test_what_is_stored_needs_no_room(database: Database, table: JobTable) -> None:
    put(table, "k1")
    one = worker(database)
    one.finish(must_claim(one), b"result")
    table.mark_stored("k1")
    assert table.states() == {"stored": 1}
    assert table.ended() == []
    row = database.execute(JOBS.select()).rows[0]
    assert (row.payload, row.result) == (None, None)
    put(table, "k1")
    assert table.states() == {"queued": 1}


def test_shared_blobs_go_when_nobody_needs_them(database: Database, table: JobTable) -> None:
    one = worker(database)
    table.put_blob("old", b"x" * 1_000)
    table.put_blob("new", b"y")
    table.put_blob("new", b"not stored: a hash has one content")
    put(table, "k1")
    table.sweep(["new"])
    assert one.blob("old") is not None  # a job of anybody may refer to it
    one.finish(must_claim(one), b"")
    table.sweep(["new"])
    assert one.blob("old") is None
    kept = one.blob("new")
    assert kept is not None
    from tito.grading.jobs.payload import unsqueezed

    assert unsqueezed(kept) == b"y"
