"""Candidates that are not faster but would like to look so; each runs in a process of its own."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from benchmarks.speed_worker import ForkedSandbox, family
from tests.grading.speed.programs import STEPS, Function, baseline, four_times_as_fast, raced, steps
from tito.grading.judge.speed_sandbox import HelperProcessesError


def slow() -> Function:
    return lambda x: steps(STEPS, x)


def test_an_honest_candidate_passes() -> None:
    speed = raced(four_times_as_fast)
    assert speed.reached
    assert 2.5 < speed.finding.ratio < 5
    assert "candidate is" in str(speed)
    assert str(speed).endswith("CPU time, isolation: none)")


def test_an_honest_candidate_that_is_no_faster_fails() -> None:
    assert not raced(slow).reached


def test_clocks_that_the_candidate_rewrote_are_not_asked() -> None:
    def candidate() -> Function:
        for clock in ("time", "perf_counter", "process_time", "monotonic", "thread_time"):
            setattr(time, clock, lambda: 0.0)
            setattr(time, f"{clock}_ns", lambda: 0)
        time.clock_gettime_ns = lambda clock: 0
        return slow()

    assert not raced(candidate).reached


def test_sleeping_is_no_work_and_gains_nothing() -> None:
    def candidate() -> Function:
        def run(x: Any) -> Any:
            time.sleep(0.001)
            return steps(STEPS, x)

        return run

    assert not raced(candidate).reached


def test_outputs_kept_by_shape_are_wrong() -> None:
    def candidate() -> Function:
        kept: dict[Any, Any] = {}

        def run(x: Any) -> Any:
            if x.shape not in kept:
                kept[x.shape] = steps(STEPS, x)
            return kept[x.shape]

        return run

    with pytest.raises(AssertionError, match="the timed output"):
        raced(candidate)


def test_outputs_kept_by_value_meet_no_value_twice() -> None:
    def candidate() -> Function:
        @functools.cache
        def kept(content: bytes) -> Any:
            return steps(STEPS, np.frombuffer(content).reshape(48, 48))

        return lambda x: kept(x.tobytes())

    assert not raced(candidate).reached


def test_a_wrong_output_is_not_fast() -> None:
    with pytest.raises(AssertionError, match="the timed output"):
        raced(lambda: lambda x: np.zeros(x.shape[1]))


def test_fast_only_while_it_is_warmed_up() -> None:
    def candidate() -> Function:
        calls = iter(range(1 << 30))
        return lambda x: steps(1 if next(calls) < 100 else STEPS, x)

    assert not raced(candidate).reached


def test_slow_only_while_it_is_warmed_up() -> None:
    def candidate() -> Function:
        calls = iter(range(1 << 30))
        return lambda x: steps(10 * STEPS if next(calls) < 4 else STEPS, x)

    assert not raced(candidate).reached


def test_threads_that_work_in_parallel_are_on_the_clock() -> None:
    def candidate() -> Function:
        def run(x: Any) -> Any:
            halves = [threading.Thread(target=steps, args=(STEPS // 2, x)) for _ in range(2)]
            for half in halves:
                half.start()
            for half in halves:
                half.join()
            return x.sum(axis=0)

        return run

    assert not raced(candidate).reached


def test_threads_that_work_between_calls_are_on_the_clock() -> None:
    """The process is stopped then; what the thread does before the stop, it pays for."""

    def candidate() -> Function:
        def forever() -> None:
            while True:
                steps(1, np.ones((48, 48)))

        threading.Thread(target=forever, daemon=True).start()
        return lambda x: steps(STEPS, x)

    assert not raced(candidate).reached


def test_answering_early_and_working_later_is_charged() -> None:
    """Without any data to answer with, the work has to come first; this one wastes its time."""

    def candidate() -> Function:
        def run(x: Any) -> Any:
            threading.Thread(target=steps, args=(STEPS, x)).start()
            return x.sum(axis=0)

        return run

    assert not raced(candidate).reached


def test_a_helper_forked_ahead_is_found() -> None:
    def candidate() -> Function:
        if os.fork() == 0:
            signal.pause()
        return four_times_as_fast()

    with pytest.raises(HelperProcessesError, match="helper processes"):
        raced(candidate)


def test_a_helper_forked_in_a_call_is_found() -> None:
    def candidate() -> Function:
        def run(x: Any) -> Any:
            if os.fork() == 0:
                steps(STEPS, x)
                signal.pause()
            return x.sum(axis=0)

        return run

    with pytest.raises(HelperProcessesError, match="helper processes"):
        raced(candidate)


def test_a_helper_that_lives_only_during_a_call_is_found() -> None:
    def candidate() -> Function:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that its time is added to nobody's

        def run(x: Any) -> Any:
            child = os.fork()
            if child == 0:
                for _ in range(20):
                    steps(STEPS, x)
                os._exit(0)
            while os.path.exists(f"/proc/{child}"):
                time.sleep(0.0005)
            return x.sum(axis=0)

        return run

    with pytest.raises(HelperProcessesError, match="helper processes"):
        raced(candidate)


def test_a_lower_priority_changes_no_ratio() -> None:
    def candidate() -> Function:
        os.nice(19)
        return slow()

    assert not raced(candidate).reached


def test_a_candidate_that_lets_the_baseline_wait_gains_nothing() -> None:
    """It empties the caches after its work, and pays for that itself."""

    def candidate() -> Function:
        waste = np.ones(1 << 20)

        def run(x: Any) -> Any:
            result = steps(STEPS, x)
            waste.sum()
            return result

        return run

    assert not raced(candidate).reached


def test_more_blas_threads_do_not_make_less_work() -> None:
    def large(x: Any) -> Any:
        wide = np.tile(x, (8, 8))  # large enough for the library to split
        for _ in range(4):
            wide @ wide.T
        return x.sum(axis=0)

    def candidate() -> Function:
        threadpoolctl.threadpool_limits(2)
        return large

    assert not raced(candidate, baseline=lambda: large).reached


def test_a_candidate_cannot_stop_its_own_clock() -> None:
    def candidate() -> Function:
        for name in ("alarm", "setitimer"):
            setattr(signal, name, lambda *_: None)
        ctypes.CDLL(None).prctl(15, b"sleeping", 0, 0, 0)  # another name for itself
        return slow()

    assert not raced(candidate).reached


def test_no_process_is_left() -> None:
    def candidate() -> Function:
        if os.fork() == 0:
            signal.pause()
        return baseline()

    before = set(family(os.getpid()))
    with pytest.raises(HelperProcessesError):
        raced(candidate)
    assert set(family(os.getpid())) <= before


def test_a_stopped_process_uses_no_time() -> None:
    def endless() -> Function:
        def forever() -> None:
            while True:
                pass

        threading.Thread(target=forever, daemon=True).start()
        return lambda x: x

    with ForkedSandbox(endless) as sandbox:
        while sandbox.cpu_ns() < 5_000_000:
            time.sleep(0.001)
        sandbox.pause()
        while not _is_stopped(sandbox.pid):
            time.sleep(0.001)
        before_ns = sandbox.cpu_ns()
        time.sleep(0.05)
        assert sandbox.cpu_ns() == before_ns


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stream:
        return stream.read().rpartition(")")[2].split()[0] == "T"
