"""The three engines give the same marks, and say what they lack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.grading.jobs import toy
from tests.grading.jobs.postgres_server import PostgresServer
from tests.grading.jobs.toy_class import OPTIONS, POOL, grade, toy_class
from tests.grading.small_course import LESSON
from tito.course import Course, CourseError
from tito.grading.batch import GradeOptions, grade_batch
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs import pool_engine
from tito.grading.jobs.engine import EngineName, Site, chosen_engine
from tito.grading.jobs.pool_engine import PoolEngine

SIZE = 5


@pytest.fixture
def folders(built: Course, tmp_path: Path) -> ClassFolders:
    return toy_class(built, tmp_path / "course", SIZE)


@pytest.fixture(scope="module")
def expected(built: Course, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folders = toy_class(built, tmp_path_factory.mktemp("inline") / "course", SIZE)
    assert len(grade(folders, OPTIONS).graded) == SIZE
    return toy.contents(folders)


def test_the_pool(folders: ClassFolders, expected: dict[str, Any]) -> None:
    assert len(grade(folders, POOL).graded) == SIZE
    assert toy.contents(folders) == expected


def test_the_pool_on_postgresql(
    folders: ClassFolders, expected: dict[str, Any], postgres: PostgresServer
) -> None:
    options = replace(POOL, jobs_url=postgres.new_database())
    assert len(grade(folders, options).graded) == SIZE
    assert toy.contents(folders) == expected
    assert not (folders.root / "gradebook" / "jobs.db").exists()


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """A Dask scheduler with two workers, as processes of this machine."""
    address = folder / "scheduler.json"
    common = ["--scheduler-file", str(address)]
    loopback = ["--host", "127.0.0.1", "--no-dashboard"]
    words = [
        ["scheduler", *common, *loopback, "--port", "0"],
        ["worker", *common, *loopback, "--nworkers", "1", "--nthreads", "2", "--no-nanny"],
    ]
    environment = {**os.environ, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    with (folder / "log").open("wb") as log:
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + kind, *options],
                cwd=folder,
                stdout=log,
                stderr=log,
                env=environment,
            )
            for kind, *options in words
        ]
    try:
        yield wait_for_address(address)
    finally:
        for process in running:
            process.terminate()
            process.wait(30)


def wait_for_address(file: Path) -> str:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        if file.is_file() and file.stat().st_size:
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        time.sleep(0.05)
    raise AssertionError((file.parent / "log").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_dask(folders: ClassFolders, tmp_path: Path) -> None:
    """Real workers and real runs: Dask's processes know nothing of toys."""
    pytest.importorskip("distributed")
    with cluster(tmp_path) as address:
        options = replace(POOL, dask=address, engine=EngineName.DASK)
        batch = grade(folders, options)
    assert len(batch.graded) == SIZE
    assert batch.problems == {}
    marks = {row[0]: 0.0 for row in toy.contents(folders)["grades"]}
    for row in toy.contents(folders)["grades"]:
        marks[row[0]] += row[2] or 0.0
    assert marks == {"s00": 90, "s01": 0, "s02": 0, "s03": 90, "s04": 0}


def site(tmp_path: Path, url: str | None = None) -> Site:
    place = url or f"sqlite:///{tmp_path / 'jobs.db'}"
    return Site(place, "scope", tmp_path, "given", "process", 2)


def test_dask_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(CourseError, match="'distributed', which is not installed") as caught:
        chosen_engine(EngineName.DASK, site(tmp_path), "tcp://127.0.0.1:1")
    assert "pip install distributed" in caught.value.fix


def test_dask_without_an_address(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="needs the address of a scheduler"):
        chosen_engine(EngineName.DASK, site(tmp_path), None)


def test_dask_on_other_machines_needs_a_database_that_they_reach(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="cannot open the SQLite file") as caught:
        chosen_engine(EngineName.DASK, site(tmp_path), "tcp://10.0.0.5:8786")
    assert "--jobs-url postgresql://" in caught.value.fix


def test_workers_that_cannot_start_are_not_started_for_ever(folders: ClassFolders) -> None:
    options = GradeOptions(OPTIONS.isolation, feedback=False, at_once=2)
    broken = (sys.executable, "-c", "raise SystemExit('no such module')")
    original = pool_engine.COMMAND
    pool_engine.COMMAND = broken
    try:
        with pytest.raises(CourseError, match="workers cannot start: no such module"):
            grade_batch(folders, LESSON, None, options)
    finally:
        pool_engine.COMMAND = original


def test_the_pool_ends_what_it_began(tmp_path: Path) -> None:
    """Also workers that do not listen."""
    deaf = (
        "import os, signal, sys; signal.signal(15, signal.SIG_IGN); "
        "open(os.path.join(os.environ['TMPDIR'], f'deaf-{os.getpid()}'), 'w').close(); "
        "signal.pause()"
    )
    engine = PoolEngine(site(tmp_path), (sys.executable, "-c", deaf), stop_s=0.2)
    engine.start()
    begun = engine._process
    assert begun is not None
    while not list(tmp_path.glob("deaf-*")):
        time.sleep(0.01)
    engine.close()
    assert begun.returncode == -9
