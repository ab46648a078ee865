"""The clock that is read from outside, and the refusal where there is none."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.grading.speed.programs import four_times_as_fast, raced
from tito.grading.judge import speed_clock
from tito.grading.judge.speed_clock import CpuClock, NoCpuClockError, why_no_cpu_clock


@pytest.fixture
def probe_again() -> Iterator[None]:
    why_no_cpu_clock.cache_clear()
    yield
    why_no_cpu_clock.cache_clear()


def test_a_childs_clock_shows_its_work_and_not_its_sleep() -> None:
    child = os.fork()
    if child == 0:
        while time.process_time_ns() < 30_000_000:
            pass
        signal.pause()
    try:
        clock = CpuClock(child)
        while clock.read() < 30_000_000:
            time.sleep(0.001)
        with open(f"/proc/{child}/stat", encoding="ascii") as stream:
            while stream.read().rpartition(")")[2].split()[0] != "S":
                stream.seek(0)
        asleep_ns = clock.read()
        time.sleep(0.03)
        assert clock.read() == asleep_ns
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with pytest.raises(ProcessLookupError, match="has ended"):
        clock.read()


def test_here_the_clock_can_be_read() -> None:
    assert why_no_cpu_clock() is None


@pytest.mark.usefixtures("probe_again")
def test_without_such_a_clock_the_judge_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(clock: int) -> float:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(speed_clock.time, "clock_getres", unknown)
    with pytest.raises(NoCpuClockError, match=r"cannot be read by its id.*need Linux"):
        raced(four_times_as_fast)
    with pytest.raises(NoCpuClockError):
        CpuClock(os.getpid())


@pytest.mark.usefixtures("probe_again")
def test_a_clock_of_whole_ticks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_clock.time, "clock_getres", lambda clock: 0.01)
    assert "too coarse" in (why_no_cpu_clock() or "")
