"""A crew keeps its workers alive, and takes them along when it ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.grading.jobs.forked import forked, wait_for
from tito.grading.jobs.crew import Crew, load_while


def begun(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def wait_until_begun(folder: Path, number: int) -> list[int]:
    limit = time.monotonic() + 30
    while len(begun(folder)) < number:
        assert time.monotonic() < limit
        time.sleep(0.01)
    return begun(folder)


def gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def wait_until_gone(pids: list[int]) -> None:
    limit = time.monotonic() + 30
    while not all(map(gone, pids)):
        assert time.monotonic() < limit
        time.sleep(0.01)


def crew_of(folder: Path, size: int, attached: int | None = None) -> int:
    """A crew whose workers note their numbers and wait; the crew's own number."""

    def work() -> int:
        (folder / str(os.getpid())).touch()
        signal.pause()
        return 0

    def lead() -> None:
        os._exit(Crew(work, size, attached).run())

    return forked(lead)


def test_a_dead_worker_is_replaced(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, 2)
    first = wait_until_begun(tmp_path, 2)
    os.kill(first[0], signal.SIGKILL)
    all_three = wait_until_begun(tmp_path, 3)
    os.kill(crew, signal.SIGTERM)
    assert wait_for(crew) == 0
    assert all(map(gone, all_three))


def test_a_killed_crew_takes_its_workers_along(tmp_path: Path) -> None:
    crew = crew_of(tmp_path, 2)
    workers = wait_until_begun(tmp_path, 2)
    os.kill(crew, signal.SIGKILL)
    wait_for(crew)
    wait_until_gone(workers)


def test_the_end_of_the_coordinator_is_its_end(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    coordinator = forked(lambda: time.sleep(60))  # holds the writing end
    os.close(writing)
    crew = crew_of(tmp_path, 1, reading)
    workers = wait_until_begun(tmp_path, 1)
    os.kill(coordinator, signal.SIGKILL)
    wait_for(coordinator)
    assert wait_for(crew) == 0
    assert all(map(gone, workers))
    os.close(reading)


def test_workers_without_more_to_do_are_not_replaced() -> None:
    assert Crew(lambda: 0, 3, None).run() == 0


def test_workers_that_fail_at_once_are_not_replaced_for_ever(tmp_path: Path) -> None:
    def work() -> int:
        (tmp_path / str(os.getpid())).touch()
        return 1

    assert Crew(work, 1, None).run() == 1
    assert 2 <= len(begun(tmp_path)) <= 10


def test_loading_goes_on_while_something_is_waited_for() -> None:
    done: list[str] = []
    load_while(lambda: done.append("waited"), lambda: done.append("loaded"))
    assert sorted(done) == ["loaded", "waited"]
