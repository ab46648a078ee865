"""Addresses that are no use are explained, and a server that restarts is waited for."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.grading.jobs.postgres_server import PostgresServer
from tito.course import CourseError
from tito.grading.jobs.database import Database
from tito.grading.jobs.leases import Leases
from tito.grading.jobs.table import JobTable


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no address", "not understood"),
        ("mysql://host/jobs", "of the kind 'mysql'"),
        ("sqlite:////nowhere/at/all.db", "does not work: .*unable to open"),
        ("postgresql+psycopg://me:secret@/none?host=/nowhere", "does not work"),
    ],
)
def test_addresses_that_are_no_use(address: str, message: str) -> None:
    with pytest.raises(CourseError, match=message) as caught:
        Database(address)
    assert "secret" not in caught.value.message


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_text("not a database" * 100, encoding="utf-8")
    with pytest.raises(CourseError, match="file is not a database"):
        Database(f"sqlite:///{tmp_path / 'jobs.db'}")


def test_a_driver_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CourseError, match="needs the package 'psycopg'") as caught:
        Database("postgresql+psycopg://host/jobs")
    assert "pip install" in caught.value.fix


def test_a_server_that_crashes_and_comes_back(postgres: PostgresServer) -> None:
    database = Database(postgres.new_database())
    table, leases = JobTable(database, "scope"), Leases(database, "scope", "one")
    table.enqueue("k1", "ada", 0, b"")
    claim = leases.claim()
    assert claim is not None
    postgres.crash()
    back = threading.Timer(1.0, postgres.start)
    back.start()
    try:
        assert leases.finish(claim, b"result")
        assert table.result("k1") == b"result"
    finally:
        back.join()
        database.close()


def test_patience_ends(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "jobs.db"
    database = Database(f"sqlite:///{path}", patience_s=0.3)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(CourseError, match="locked"):
        JobTable(database, "scope").enqueue("k1", "ada", 0, b"")
    holder.execute("ROLLBACK")
    JobTable(database, "scope").enqueue("k1", "ada", 0, b"")
    holder.close()
    database.close()


def test_everybody_may_open_a_new_database_at_once(url: str) -> None:
    code = (
        "import sys; from tito.grading.jobs.database import Database; Database(sys.argv[1]).close()"
    )
    opening = [subprocess.Popen([sys.executable, "-P", "-c", code, url]) for _ in range(4)]
    assert [process.wait(60) for process in opening] == [0] * 4


def test_all_clocks_are_the_databases(url: str) -> None:
    database = Database(url)
    from sqlalchemy import select

    now = database.execute(select(database.now)).rows[0][0]
    assert abs(now - time.time()) < 60
    database.close()
