"""Pairs of calls, one of each side on the same fresh inputs, until they tell which side is faster.

The two sides may be functions of this process or programs in other ones; this file only asks them
to run and to say how much processor time that took.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tito.testing.speed_statistics import (
    ERROR,
    MOST_PAIRS,
    Finding,
    Verdict,
    look_at,
    looks,
)

SHORTEST_NS = 8_000_000  # a candidate that just reaches the threshold runs this long in a request
LONGEST_NS = 100_000_000  # no baseline is made to run longer than this by repeated calls
MOST_CALLS = 2000  # in one request
TRIALS = 3  # requests for each number of calls that is tried
WARM_UPS = 4  # requests of each side, after those that find the number of calls
REQUEST_BYTES = 2 << 20  # more calls go in several requests, so that the caches hold one
MOST_TRANSPORT = 4  # times the work of a candidate that just reaches the threshold
NEIGHBOURS = 2  # pairs before and after whose empty requests tell what a pair's requests cost
LEAST_NS = 1000  # nothing counts as faster than this
ATTEMPTS = 3
FEW_PAIRS = 5  # what a measurement that ran out of time must have seen
CLEAR_MISS = 0.7  # of the threshold: an upper bound below this is not measured again

Inputs = Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class TimedCall:
    """What a side answered to one request, and the processor time it took."""

    outputs: list[Any]
    cpu_ns: int


class TimedSide(Protocol):
    """One of the two programs that are compared."""

    def call(self, inputs: Inputs) -> TimedCall:
        """Run the function once for each of the inputs."""


class Baseline(TimedSide, Protocol):
    """The side that is trusted; it also tells what a request costs by itself."""

    def empty(self, inputs: Inputs) -> TimedCall:
        """Take the inputs, run nothing, and give the last outputs once more."""


@dataclass(frozen=True)
class Sides:
    """The two programs, ready to be timed."""

    candidate: TimedSide
    baseline: Baseline


@dataclass(frozen=True)
class Task:
    """What is asked of a candidate.

    Attributes:
        make_input: Draws the arguments of one call; everything random in them comes from the
            generator it is given.
        at_least: How many times as fast as the baseline the candidate must be.
        check: Raises AssertionError when the first argument, an output of the candidate, is no
            right answer where the second, the baseline's, is one.
        most_pairs: Where an undecided measurement ends.
        until: Reading of `time.monotonic` after which no more pairs are measured.
    """

    make_input: Callable[[np.random.Generator], tuple[Any, ...]]
    at_least: float
    check: Callable[[Any, Any], None]
    most_pairs: int = MOST_PAIRS
    until: float = math.inf


class TooSlowError(AssertionError):
    """The time was over before the first look, and what was seen is not fast enough."""


def draw(task: Task, count: int, seed: int) -> list[tuple[Any, ...]]:
    """Return the arguments of `count` calls; the same seed gives the same ones.

    Raises:
        TypeError: `make_input` returned no tuple.
    """
    rng = np.random.default_rng(seed)
    drawn = [task.make_input(rng) for _ in range(count)]
    for arguments in drawn:
        if type(arguments) is not tuple:
            raise TypeError(
                f"make_input(rng) must return a tuple of arguments, got "
                f"{type(arguments).__name__}; for one argument write `return (x,)`"
            )
    return drawn


@dataclass(frozen=True)
class Plan:
    """How many calls each half of a pair makes, and how many of them go in one request at most."""

    calls: int
    chunk: int


@dataclass(frozen=True)
class Pair:
    """Processor time of both halves, and of as many requests without the work."""

    baseline_ns: int
    candidate_ns: int
    empty_ns: int


def measure(sides: Sides, task: Task) -> Finding:
    """Compare the two sides, pair by pair, until a look at the pairs is clear.

    Raises:
        AssertionError: An output is wrong, or the time was over before the first look.
        ValueError: The baseline's calls are too short to be measured.
    """
    plan = planned(sides.baseline, task)
    for _ in range(WARM_UPS):
        one_pair(sides, task, plan, baseline_first=True)
    schedule = looks(task.most_pairs)
    pairs: list[Pair] = []
    finding: Finding | None = None
    for wanted in schedule:
        while len(pairs) < wanted and time.monotonic() < task.until:
            pairs.append(one_pair(sides, task, plan, baseline_first=len(pairs) % 2 == 0))
        if len(pairs) < wanted:
            break
        finding = look_at(log_ratios(pairs), task.at_least, ERROR / len(schedule))
        if finding.verdict is not Verdict.UNDECIDED:
            break
    return finding or _cut_short(pairs, task, ERROR / len(schedule))


def _cut_short(pairs: list[Pair], task: Task, error: float) -> Finding:
    """What few pairs say: on a busy machine fast code is undecided, which passes; slow is not.

    Raises:
        TooSlowError: There are too few, or their median is below the threshold.
    """
    if len(pairs) >= FEW_PAIRS:
        finding = look_at(log_ratios(pairs), task.at_least, error)
        if finding.ratio >= task.at_least and finding.verdict is not Verdict.BELOW:
            return finding
    raise TooSlowError(
        f"only {len(pairs)} of the {looks(task.most_pairs)[0]} pairs that a verdict needs were "
        "measured before the time was over"
    )


def log_ratios(pairs: Sequence[Pair]) -> list[float]:
    """Return the logarithm of baseline time / candidate time of each pair, without transport."""
    found = []
    for at, pair in enumerate(pairs):
        near = pairs[max(0, at - NEIGHBOURS) : at + NEIGHBOURS + 1]
        empty_ns = statistics.median(each.empty_ns for each in near)
        baseline_ns, candidate_ns = pair.baseline_ns - empty_ns, pair.candidate_ns - empty_ns
        found.append(math.log(max(baseline_ns, LEAST_NS) / max(candidate_ns, LEAST_NS)))
    return found


def planned(baseline: Baseline, task: Task) -> Plan:
    """Find how many calls last long enough for the clock.

    Only the baseline decides: a candidate that pretends to be slow at first must not shorten the
    requests, for the shorter they are, the more the noise has to say.

    Raises:
        ValueError: The calls are so short that moving their arguments would outweigh the work.
    """
    wanted_ns = min(SHORTEST_NS * task.at_least, LONGEST_NS)
    plan = Plan(1, _calls_in_a_request(baseline, task))
    while True:
        trials = [_trial(baseline, task, plan) for _ in range(TRIALS)]
        worked_ns = min(worked for worked, _ in trials)
        if worked_ns >= wanted_ns or plan.calls >= MOST_CALLS:
            break
        enough = math.ceil(1.2 * plan.calls * wanted_ns / max(worked_ns, LEAST_NS))
        calls = min(MOST_CALLS, max(enough, plan.calls + 1), 16 * plan.calls)
        plan = Plan(calls, plan.chunk)
    empty_ns = min(empty for _, empty in trials)
    if worked_ns < wanted_ns or empty_ns > MOST_TRANSPORT * worked_ns / task.at_least:
        raise ValueError(
            f"{plan.calls} calls of the baseline take {max(worked_ns, 0) / 1e6:.2g} ms together, "
            f"and {empty_ns / 1e6:.2g} ms go into moving their arguments and results: too little "
            "work to be measured. Let make_input give each call more to do."
        )
    requests = math.ceil(plan.calls / plan.chunk)
    return Plan(plan.calls, math.ceil(plan.calls / requests))  # all about equally long


def _calls_in_a_request(baseline: Baseline, task: Task) -> int:
    inputs = draw(task, 1, secrets.randbits(128))
    outputs = baseline.call(inputs).outputs
    return max(1, REQUEST_BYTES // max(_size_bytes(inputs), _size_bytes(outputs), 1))


def _size_bytes(value: Any) -> int:
    """About how much of a request a value takes."""
    if isinstance(value, (list, tuple)):
        return sum(map(_size_bytes, value))
    if isinstance(value, dict):
        return sum(map(_size_bytes, value.values()))
    size = getattr(getattr(value, "data", value), "nbytes", None)  # of an array or a Tensor
    return size if isinstance(size, int) else 64


def _trial(baseline: Baseline, task: Task, plan: Plan) -> tuple[int, int]:
    """Processor time of the work, and of the requests without it."""
    inputs = draw(task, plan.calls, secrets.randbits(128))
    whole_ns = _in_requests(baseline.call, inputs, plan).cpu_ns
    empty_ns = _in_requests(baseline.empty, inputs, plan).cpu_ns
    return whole_ns - empty_ns, empty_ns


def _in_requests(ask: Callable[[Inputs], TimedCall], inputs: Inputs, plan: Plan) -> TimedCall:
    starts = range(0, plan.calls, plan.chunk)
    answers = [ask(inputs[start : start + plan.chunk]) for start in starts]
    outputs = [output for answer in answers for output in answer.outputs]
    return TimedCall(outputs, sum(answer.cpu_ns for answer in answers))


def best_of_attempts(
    attempt: Callable[[], Finding], at_least: float, until: float
) -> tuple[Finding, int]:
    """Measure again while the ratio is below the threshold, but not far: to fail, fail each time.

    Args:
        attempt: One measurement, in fresh programs where there are any.
        at_least: The threshold.
        until: Reading of `time.monotonic` after which no attempt begins.

    Returns:
        What the last complete attempt found, and which one it was.
    """
    finding = attempt()
    for number in range(2, ATTEMPTS + 1):
        missed = finding.verdict is Verdict.BELOW and finding.high > CLEAR_MISS * at_least
        if not missed or time.monotonic() >= until:
            return finding, number - 1
        try:
            finding = attempt()
        except TooSlowError:
            return finding, number - 1
    return finding, ATTEMPTS


def one_pair(sides: Sides, task: Task, plan: Plan, *, baseline_first: bool) -> Pair:
    """Ask both sides the same fresh questions and check the answers.

    Raises:
        AssertionError: The candidate's answers are not the baseline's.
    """
    seed = secrets.randbits(128)
    order: list[TimedSide] = [sides.baseline, sides.candidate]
    if not baseline_first:
        order.reverse()
    # Drawn anew for each side, so that neither meets what the other one changed.
    first, second = (_in_requests(side.call, draw(task, plan.calls, seed), plan) for side in order)
    expected, answered = (first, second) if baseline_first else (second, first)
    if len(answered.outputs) != len(expected.outputs):
        raise AssertionError(
            f"{plan.calls} calls gave {len(answered.outputs)} outputs; expected one a call"
        )
    for output, wanted in zip(answered.outputs, expected.outputs, strict=True):
        task.check(output, wanted)
    # Measured where nobody gains by making it dear.
    empty = _in_requests(sides.baseline.empty, draw(task, plan.calls, seed), plan)
    return Pair(expected.cpu_ns, answered.cpu_ns, empty.cpu_ns)
