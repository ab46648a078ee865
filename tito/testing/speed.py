"""Is a function fast enough? The answer of a test cell, in grading and in a student's kernel.

In grading the two sides run in programs of their own and the judge reads their clocks from outside;
in a kernel they run in it. The pairs, the statistics and the line that is printed are the same.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tito.testing import speed_calls
from tito.testing.speed_pairs import (
    Inputs,
    Sides,
    Task,
    TimedCall,
    best_of_attempts,
    measure,
)
from tito.testing.speed_statistics import MOST_PAIRS, Finding, Verdict

LEAST_THRESHOLD = 1.25
KERNEL_S = 60.0  # a measurement in a kernel ends after this time

Check = Callable[[Any, Any], None]


@dataclass(frozen=True)
class Reference:
    """The instructor's own solution of a function, which exists only in grading."""

    name: str


@dataclass(frozen=True)
class Speed:
    """What was measured, and its line.

    Attributes:
        candidate: Name of the function under test.
        baseline: Name of the function it is compared with.
        at_least: The ratio it needed.
        finding: The ratio, its bounds and the verdict.
        attempt: Which attempt found it.
        where: How the two sides were kept apart.
    """

    candidate: str
    baseline: str
    at_least: float
    finding: Finding
    attempt: int
    where: str

    @property
    def reached(self) -> bool:
        """Whether it counts as fast enough; who is not clearly too slow is."""
        return self.finding.verdict is not Verdict.BELOW

    def __str__(self) -> str:
        """The line that feedback shows."""
        found = self.finding
        undecided = found.verdict is Verdict.UNDECIDED
        return (
            f"speed: {self.candidate} is {_times(found.ratio)} x {self.baseline} "
            f"[{_times(found.low)}-{_times(found.high)}], needed {_times(self.at_least)} x "
            f"({found.pairs} pairs{_ATTEMPT_WORDS[self.attempt]}, CPU time, {self.where})"
            + (": too close to call, which counts as reached" if undecided else "")
        )


_ATTEMPT_WORDS = {1: "", 2: ", second attempt", 3: ", third attempt"}


def reference(name: str) -> Reference:
    """Name the instructor's solution of a function as the baseline of `speedup`.

    Args:
        name: The function's name in the notebook.

    Raises:
        TypeError: It is no name.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"reference(name) needs the name of a function, got {name!r}")
    return Reference(name)


def speedup(
    candidate: Callable[..., Any],
    baseline: Callable[..., Any] | Reference,
    make_input: Callable[[np.random.Generator], tuple[Any, ...]],
    at_least: float,
    check: Check | None = None,
    what: str = "",
    pairs: int = MOST_PAIRS,
) -> Speed | None:
    """Check that `candidate` is at least `at_least` times as fast as `baseline`; print the result.

    Args:
        candidate: The function under test.
        baseline: A function given in the notebook, or `reference("name")`.
        make_input: Returns the tuple of arguments of one call, all random in it from `rng`.
        at_least: The ratio of processor times that is needed, 1.25 or more.
        check: Raises AssertionError when an output, its first argument, is wrong where the
            baseline's, its second, is right. Without it they must be equal, as `assert_close` sees.
        what: What to call the candidate in the result; its own name without it.
        pairs: Where an undecided measurement ends; at least 15.

    Returns:
        What was measured; None when it can be measured only in grading.

    Raises:
        AssertionError: It is slower than that, or an output is wrong.
        ValueError: The threshold, the number of pairs or the input's size leave nothing to measure.
    """
    _refuse_small(at_least)
    judge = _judge()
    if judge is None:
        task = Task(make_input, at_least, check or same, pairs, time.monotonic() + KERNEL_S)
        speed = _in_this_process(candidate, baseline, task, what or name_of(candidate))
    else:
        options = {"check": check, "what": what, "pairs": pairs}
        speed = judge.speedup(candidate, baseline, make_input, at_least, **options)
    if speed is not None:
        verify(speed)
        print(speed)
    return speed


def _refuse_small(at_least: float) -> None:
    if not at_least >= LEAST_THRESHOLD:
        raise ValueError(
            f"at_least={at_least!r} is below {LEAST_THRESHOLD}: two equal programs can differ by "
            "some percent, so ask for a clear difference"
        )


def _in_this_process(
    candidate: Callable[..., Any], baseline: Callable[..., Any] | Reference, task: Task, name: str
) -> Speed | None:
    if isinstance(baseline, Reference):
        print(
            f"speed: {name} against the instructor's {baseline.name}: passed over here; it is "
            "measured only in grading."
        )
        return None
    sides = Sides(LocalSide(candidate), LocalSide(baseline))
    finding, attempt = best_of_attempts(lambda: measure(sides, task), task.at_least, task.until)
    return Speed(name, name_of(baseline), task.at_least, finding, attempt, "in this kernel")


def verify(speed: Speed) -> None:
    """Raise for what is too slow.

    Raises:
        AssertionError: The ratio is below the threshold; the message is the result's line.
    """
    if not speed.reached:
        raise AssertionError(
            f"{speed}. It is right, but too slow: profile {speed.candidate}, look for work that is "
            "done twice or not needed, and measure again."
        )


def same(output: Any, expected: Any, what: str = "the timed output") -> None:
    """Check an output against the baseline's: containers item by item, numbers closely.

    Raises:
        AssertionError: They differ.
    """
    from tito.testing import assert_close

    if isinstance(expected, (list, tuple, dict, str, bytes, type(None))):
        if type(output) is not type(expected):
            raise AssertionError(
                f"{what} is of type {type(output).__name__}; expected {type(expected).__name__}"
            )
        if isinstance(expected, (str, bytes, type(None))):
            if output != expected:
                raise AssertionError(f"{what} is {output!r:.80}; expected {expected!r:.80}")
            return
        _same_items(output, expected, what)
    else:
        assert_close(output, expected, what=what)


def _same_items(output: Any, expected: Any, what: str) -> None:
    if len(output) != len(expected):
        raise AssertionError(f"{what} has {len(output)} items; expected {len(expected)}")
    if isinstance(expected, dict) and output.keys() != expected.keys():
        raise AssertionError(f"{what} has the keys {list(output)}; expected {list(expected)}")
    for key in expected if isinstance(expected, dict) else range(len(expected)):
        same(output[key], expected[key], f"{what}[{key!r}]")


class LocalSide:
    """A function of this process, on the clock of this process."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn

    def call(self, inputs: Inputs) -> TimedCall:
        """Run the function once for each of the inputs."""
        began_ns = time.process_time_ns()
        outputs = speed_calls.called(self._fn, inputs)
        return TimedCall(outputs, time.process_time_ns() - began_ns)

    def empty(self, inputs: Inputs) -> TimedCall:
        """Give the last outputs once more."""
        began_ns = time.process_time_ns()
        outputs = speed_calls.answer_again(inputs)
        return TimedCall(outputs, time.process_time_ns() - began_ns)


def name_of(fn: object) -> str:
    """Return what to call a function in the result's line."""
    name = getattr(fn, "__name__", None)
    return name if isinstance(name, str) else type(fn).__name__


def _times(ratio: float) -> str:
    """A ratio with about three digits."""
    if not math.isfinite(ratio):
        return str(ratio)
    return f"{ratio:.2f}" if ratio < 9.95 else f"{ratio:.1f}" if ratio < 99.5 else f"{ratio:.0f}"


def _judge() -> Any:
    """The judge, when this runs in its process; None in a kernel."""
    import tito.testing

    return getattr(tito.testing, "judge_hooks", None)
