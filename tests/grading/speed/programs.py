"""Real processes for the tests: a baseline that does honest work, and candidates of all kinds.

Ratios in these tests are far from their thresholds (a factor of two or more), and they rest on CPU
time, so a busy machine does not decide them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed_worker import forked_program
from tito.grading.judge.speed import Contest, judged
from tito.testing.speed import Speed, same
from tito.testing.speed_pairs import Task

Function = Callable[..., Any]
STEPS = 40
SIZE = 48


def steps(count: int, x: Any) -> Any:
    """The work: `count` equal steps that change nothing the result is made of."""
    for _ in range(count):
        np.tanh(x @ x.T)
    return x.sum(axis=0)


def baseline() -> Function:
    return lambda x: steps(STEPS, x)


def four_times_as_fast() -> Function:
    return lambda x: steps(STEPS // 4, x)


def raced(
    candidate: Callable[[], Function], at_least: float = 2.0, baseline: Any = baseline
) -> Speed:
    """The judge's measurement of a candidate, made in its own process, against the baseline."""
    contest = Contest(
        candidate=lambda: forked_program(candidate),
        baseline=lambda: forked_program(baseline),
        candidate_name="candidate",
        baseline_name="baseline",
        isolation="none",
    )
    task = Task(
        lambda rng: (rng.standard_normal((SIZE, SIZE)),),
        at_least,
        same,
        until=time.monotonic() + 120.0,
    )
    return judged(contest, task)
