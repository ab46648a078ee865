"""kill -9 anywhere: nothing is lost, nothing is stored twice.

After each death the same command runs again, as a person would do it; then the gradebook and the
graded notebooks are those of a class that was graded in peace.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine.base import RootTransaction

from tests.grading.jobs import toy
from tests.grading.jobs.forked import wait_for
from tests.grading.jobs.toy_class import (
    POOL,
    grade,
    grade_elsewhere,
    hand_in_odd,
    toy_class,
)
from tests.grading.jobs.toy_worker import FAULTS
from tests.grading.small_course import LESSON
from tito.course import Course
from tito.grading import gradebook
from tito.grading.jobs.leases import Leases
from tito.grading.jobs.table import ATTENTION, JobTable

SIZE = 6


@pytest.fixture(scope="module")
def in_peace(built: Course, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a class says that was graded without a disturbance."""
    folders = toy_class(built, tmp_path_factory.mktemp("peace") / "course", SIZE)
    batch = grade(folders)
    assert (len(batch.graded), batch.problems) == (SIZE, {})
    found = toy.contents(folders)
    assert len(found["notebooks"]) == SIZE
    assert len(found["submissions"]) == SIZE
    assert {row[2] for row in found["grades"]} == {None, 0.0, 15.0, 20.0, 25.0, 30.0}
    return found


COORDINATOR = [
    (JobTable, "put_blob", "after", 1),
    (JobTable, "enqueue", "before", 1),
    (JobTable, "enqueue", "after", 3),
    (JobTable, "keep_only", "after", 1),
    (Leases, "claim", "after", 2),
    (Leases, "finish", "before", 2),
    (Leases, "finish", "after", 2),
    (JobTable, "result", "after", 2),
    (gradebook, "store", "before", 3),
    (gradebook, "seal", "after", 3),
    (gradebook, "save_submission", "after", 2),
    (gradebook, "save_marks", "after", 2),
    (gradebook, "save_penalty", "after", 2),
    (gradebook, "store", "after", 3),
    (JobTable, "mark_stored", "after", 2),
    (JobTable, "sweep", "before", 1),
]


@pytest.mark.parametrize(
    ("owner", "name", "when", "call"),
    COORDINATOR,
    ids=[f"{when}-{name}-{call}" for _, name, when, call in COORDINATOR],
)
def test_a_coordinator_killed_at_a_point(
    built: Course,
    tmp_path: Path,
    in_peace: dict[str, Any],
    owner: Any,
    name: str,
    when: str,
    call: int,
) -> None:
    """With the inline engine the coordinator is the worker too."""
    folders = toy_class(built, tmp_path / "course", SIZE)
    killed = grade_elsewhere(folders, before=lambda: toy.die_at(owner, name, when, call))
    assert wait_for(killed) == -signal.SIGKILL
    batch = grade(folders)
    assert batch.problems == {}
    assert sorted(batch.graded + batch.skipped) == [f"s{n:02d}" for n in range(SIZE)]
    assert toy.contents(folders) == in_peace


@pytest.mark.parametrize(
    ("owner", "name", "when", "call"),
    [
        (Path, "rename", "after", 1),
        (Path, "rename", "after", 2),
        (Path, "rename", "before", 4),
        (RootTransaction, "commit", "before", 4),
        (RootTransaction, "commit", "after", 4),
        (RootTransaction, "commit", "after", 6),
    ],
)
def test_a_coordinator_killed_while_marks_and_folder_change(
    built: Course,
    tmp_path: Path,
    in_peace: dict[str, Any],
    owner: Any,
    name: str,
    when: str,
    call: int,
) -> None:
    """A second grading, so that there are old marks and an old folder to be replaced."""
    folders = toy_class(built, tmp_path / "course", SIZE)
    for student in folders.students(LESSON):
        path = folders.submitted(student, LESSON)
        kept = path.read_bytes()
        path.write_bytes(b"[")
        path.with_suffix(".kept").write_bytes(kept)
    grade(folders)
    for student in folders.students(LESSON):
        path = folders.submitted(student, LESSON)
        path.with_suffix(".kept").rename(path)

    killed = grade_elsewhere(folders, before=lambda: toy.die_at(owner, name, when, call))
    assert wait_for(killed) == -signal.SIGKILL
    assert grade(folders).problems == {}
    assert toy.contents(folders) == in_peace


WORKER = [
    "Leases claim before 1",
    "Leases claim after 1",
    "JudgeChild __init__ after 1",
    "JudgeChild listen after 1",
    "Leases finish before 1",
    "Leases finish after 1",
    "JudgeChild close before 1",
    "Leases claim before 2",
]


def test_workers_killed_at_every_point(
    built: Course, tmp_path: Path, in_peace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch; each new worker dies at the next point, until no point is left."""
    folders = toy_class(built, tmp_path / "course", SIZE)
    faults = tmp_path / "faults"
    faults.mkdir()
    for number, words in enumerate(WORKER):
        (faults / f"{number}.fault").write_text(words, encoding="utf-8")
    monkeypatch.setenv(FAULTS, str(faults))
    # a job's three attempts can all meet a worker that is bound to die: then a person asks again
    for _ in range(4):
        batch = grade(folders, POOL)
        if not batch.problems:
            break
        assert all(ATTENTION in why for why in batch.problems.values())
    assert batch.problems == {}
    assert not list(faults.glob("*.fault"))
    assert toy.contents(folders) == in_peace


def test_a_job_that_kills_its_workers_stops_nobody(built: Course, tmp_path: Path) -> None:
    folders = toy_class(built, tmp_path / "course", 3)
    hand_in_odd(folders, "poison", toy.POISON)
    hand_in_odd(folders, "broken", toy.BROKEN)
    batch = grade(folders, POOL)
    assert sorted(batch.graded) == ["s00", "s01", "s02"]
    assert batch.problems["poison"].startswith(ATTENTION)
    assert batch.problems["broken"].startswith("ValueError: broken")


def killed_at_random(folders: Any, draw: random.Random) -> list[int]:
    """Run batches, killing coordinator, crew, worker or judge, until one batch survives."""
    deaths = []
    for _ in range(40):
        coordinator = grade_elsewhere(folders, POOL)
        while True:
            time.sleep(draw.uniform(0.05, 1.0))
            done, status = os.waitpid(coordinator, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                deaths.append(code)
                break
            victim = draw.choice([coordinator, *sorted(descendants(coordinator))])
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if deaths[-1] == 0:
            return deaths
    raise AssertionError(f"it never survived: {deaths}")


def children_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children")
    try:
        return [int(word) for word in children.read_text(encoding="utf-8").split()]
    except OSError:
        return []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_random_moments(
    built: Course, tmp_path: Path, in_peace: dict[str, Any], seed: int
) -> None:
    folders = toy_class(built, tmp_path / "course", SIZE)
    killed_at_random(folders, random.Random(seed))
    batch = grade(folders)  # whoever met death three times is asked for again
    assert batch.problems == {}
    assert toy.contents(folders) == in_peace


def test_nothing_is_left_behind_when_the_coordinator_is_killed(
    built: Course, tmp_path: Path
) -> None:
    folders = toy_class(built, tmp_path / "course", 0)
    hand_in_odd(folders, "slow", toy.SLOW)
    coordinator = grade_elsewhere(folders, POOL)
    wait_until(lambda: len(descendants(coordinator)) >= 3)  # two workers and a judge
    begun = descendants(coordinator)
    os.kill(coordinator, signal.SIGKILL)
    wait_for(coordinator)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun))
    lock = folders.root / "gradebook" / ".grading"
    shutil.rmtree(json.loads(lock.read_text(encoding="utf-8"))["folder"])


def descendants(process: int) -> set[int]:
    found = {process}
    waiting = [process]
    while waiting:
        for child in children_of(waiting.pop()):
            found.add(child)
            waiting.append(child)
    return found - {process}


def wait_until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)
