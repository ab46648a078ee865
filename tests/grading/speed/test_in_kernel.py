"""`speedup` as a student meets it: in process, on a clock that the functions themselves move."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tito.testing
from tito.testing import reference, speed, speedup
from tito.testing.speed import Reference, Speed, same
from tito.testing.speed_statistics import Finding, Verdict

MS = 1_000_000


class Clock:
    """What `tito.testing.speed` reads in place of `time`."""

    def __init__(self) -> None:
        self.now_ns = 0

    def process_time_ns(self) -> int:
        return self.now_ns

    monotonic = staticmethod(time.monotonic)

    def taking(self, ns: int, name: str, result: Callable[[Any], Any] = abs) -> Callable[..., Any]:
        """A function that takes this long."""

        def fn(x: Any) -> Any:
            self.now_ns += ns
            return result(x)

        fn.__name__ = name
        return fn


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(speed, "time", made)
    monkeypatch.setattr(tito.testing, "judge_hooks", None, raising=False)
    return made


def one(rng: np.random.Generator) -> tuple[Any, ...]:
    return (float(rng.standard_normal()),)


def test_the_line(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    found = speedup(clock.taking(2 * MS, "fast"), clock.taking(20 * MS, "slow"), one, 4.0)
    line = (
        "speed: fast is 10.0 x slow [10.0-10.0], needed 4.00 x (15 pairs, CPU time, in this kernel)"
    )
    assert capsys.readouterr().out == f"{line}\n"
    assert found is not None
    assert str(found) == line
    assert found.reached


def test_too_slow_raises_with_the_line_and_a_hint(clock: Clock) -> None:
    with pytest.raises(AssertionError) as raised:
        speedup(clock.taking(10 * MS, "mine"), clock.taking(20 * MS, "slow"), one, 4.0)
    assert str(raised.value).startswith("speed: mine is 2.00 x slow [2.00-2.00], needed 4.00 x (")
    assert "profile mine" in str(raised.value)


def test_nearly_fast_enough_is_tried_three_times(clock: Clock) -> None:
    with pytest.raises(AssertionError, match="15 pairs, third attempt, CPU time"):
        speedup(clock.taking(10 * MS, "mine"), clock.taking(19 * MS, "slow"), one, 2.0)


def test_a_ratio_at_the_threshold_is_reached_and_says_so(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    speedup(clock.taking(10 * MS, "mine"), clock.taking(20 * MS, "slow"), one, 2.0)
    assert capsys.readouterr().out.endswith("too close to call, which counts as reached\n")


def test_a_wrong_output_raises(clock: Clock) -> None:
    wrong = clock.taking(2 * MS, "fast", lambda x: 0.0)
    with pytest.raises(AssertionError, match=r"the timed output is 0\.0; expected"):
        speedup(wrong, clock.taking(20 * MS, "slow"), one, 4.0)


def test_a_check_of_its_own_is_asked_for_every_output(clock: Clock) -> None:
    seen: list[tuple[float, float]] = []
    fast = clock.taking(2 * MS, "fast", lambda x: -abs(x))
    speedup(
        fast,
        clock.taking(20 * MS, "slow"),
        one,
        4.0,
        check=lambda output, expected: seen.append((output, expected)),
        what="the cache",
    )
    assert len(seen) >= 15
    assert all(output == -expected for output, expected in seen)


def test_the_instructors_solution_is_passed_over(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speedup(clock.taking(1, "mine"), reference("mine"), one, 2.0) is None
    line = capsys.readouterr().out
    assert line == (
        "speed: mine against the instructor's mine: passed over here; it is measured only in "
        "grading.\n"
    )
    assert clock.now_ns == 0


@pytest.mark.parametrize("at_least", [1.0, 1.2, float("nan"), -2])
def test_small_differences_are_no_thresholds(clock: Clock, at_least: float) -> None:
    with pytest.raises(ValueError, match="clear difference"):
        speedup(clock.taking(1, "a"), clock.taking(2, "b"), one, at_least)


def test_few_pairs_are_refused(clock: Clock) -> None:
    with pytest.raises(ValueError, match="at least 15 pairs"):
        speedup(clock.taking(MS, "a"), clock.taking(20 * MS, "b"), one, 2.0, pairs=5)


@pytest.mark.parametrize("name", ["", "a b", 3, "f()"])
def test_a_reference_is_a_name(name: Any) -> None:
    with pytest.raises(TypeError, match="needs the name of a function"):
        reference(name)


def test_under_a_judge_the_judge_measures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    below = Finding(1.0, 0.9, 1.1, 15, Verdict.BELOW)
    asked: list[Any] = []

    class Judge:
        def speedup(self, *args: Any, **kwargs: Any) -> Speed:
            asked.append((args, kwargs))
            return Speed("mine", "theirs", 2.0, below, 1, "isolation: namespaces")

    monkeypatch.setattr(tito.testing, "judge_hooks", Judge(), raising=False)
    with pytest.raises(AssertionError, match=r"mine is 1.00 x theirs .*isolation: namespaces"):
        speedup(print, reference("theirs"), one, 2.0, pairs=25)
    assert asked == [
        ((print, Reference("theirs"), one, 2.0), {"check": None, "what": "", "pairs": 25})
    ]


def test_same_looks_into_containers() -> None:
    a, b = np.arange(3.0), np.ones((2, 2))
    same({"a": (a, None), "b": [b, "x"]}, {"a": (a.copy(), None), "b": [b.copy(), "x"]})
    for wrong in (
        {"a": (a, None), "b": [b, "y"]},
        {"a": (a, None), "b": [b + 1, "x"]},
        {"a": (a, None), "b": [b]},
        {"a": [a, None], "b": [b, "x"]},
        {"a": (a, None)},
        {"a": (a, 0), "b": [b, "x"]},
        None,
    ):
        with pytest.raises(AssertionError):
            same(wrong, {"a": (a, None), "b": [b, "x"]})


def test_an_object_that_equals_everything_is_not_the_same() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    for expected in (None, "x", b"x", 1.0, [1.0], (1,), {"a": 1}, np.ones(2)):
        with pytest.raises(AssertionError):
            same(Equal(), expected)
