"""The rule that turns pairs into a verdict: against counting by hand, and against simulated noise.

The simulations are fixed by their seeds, so each of them gives the same answer everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tito.testing.speed_statistics import (
    ERROR,
    FIRST_LOOK,
    MOST_PAIRS,
    Verdict,
    bounds,
    look_at,
    looks,
    rank,
)

Noise = Callable[[np.random.Generator, int], np.ndarray]


def bursts(rng: np.random.Generator, count: int) -> np.ndarray:
    """Five neighbouring pairs at a time are off together, now and then."""
    hit = np.repeat(rng.random(count // 5 + 1) < 0.1, 5)[:count]
    return (
        rng.normal(0, 0.04, count) + hit * np.repeat(rng.normal(0, 0.3, count // 5 + 1), 5)[:count]
    )


NOISES: dict[str, Noise] = {
    "quiet": lambda rng, count: rng.normal(0, 0.03, count),
    "loud": lambda rng, count: rng.normal(0, 0.10, count),
    "a fifth far off": lambda rng, count: np.where(
        rng.random(count) < 0.2, rng.normal(0, 0.6, count), rng.normal(0, 0.04, count)
    ),
    "no mean at all": lambda rng, count: 0.05 * rng.standard_cauchy(count),
    "bursts": bursts,
}


def outside(count: int, depth: int) -> float:
    """Chance that the true median lies outside the depth-th values, counted over all patterns."""
    return 2 * sum(math.comb(count, below) for below in range(depth)) / 2**count


def decided(values: np.ndarray, at_least: float) -> Verdict:
    """The verdict on a row of log-ratios that is looked at as they come."""
    schedule = looks()
    for pairs in schedule:
        verdict = look_at(values[:pairs].tolist(), at_least, ERROR / len(schedule)).verdict
        if verdict is not Verdict.UNDECIDED:
            break
    return verdict


def shares(noise: str, true: float, at_least: float, trials: int) -> dict[Verdict, float]:
    rng = np.random.default_rng(20_240)
    verdicts = [
        decided(math.log(true) + NOISES[noise](rng, MOST_PAIRS), at_least) for _ in range(trials)
    ]
    return {each: verdicts.count(each) / trials for each in Verdict}


@given(st.integers(1, 120), st.floats(1e-6, 0.5))
def test_the_rank_is_the_deepest_that_the_error_allows(count: int, error: float) -> None:
    depth = rank(count, error)
    assert outside(count, depth) <= error * (1 + 1e-9)
    if depth < count // 2:
        assert outside(count, depth + 1) > error * (1 - 1e-9)


def test_too_few_values_bound_nothing() -> None:
    assert rank(7, 0.01) == 0
    assert bounds([1.0] * 7, 0.01) == (-math.inf, math.inf)
    assert bounds(list(range(8)), 0.01) == (0, 7)


@given(st.lists(st.floats(-5, 5), min_size=15, max_size=60), st.randoms())
def test_bounds_are_values_in_order_and_hold_the_sample_median(
    values: list[float], random: object
) -> None:
    low, high = bounds(values, 0.01)
    assert low in values
    assert high in values
    assert low <= float(np.median(values)) <= high
    random.shuffle(values)  # type: ignore[attr-defined]
    assert bounds(values, 0.01) == (low, high)


@pytest.mark.parametrize("noise", ["quiet", "a fifth far off", "no mean at all"])
def test_bounds_hold_the_true_median_as_often_as_they_say(noise: str) -> None:
    rng, error, trials, count = np.random.default_rng(7), 0.05, 4000, 25
    missed = 0
    for _ in range(trials):
        low, high = bounds(NOISES[noise](rng, count).tolist(), error)
        missed += not low <= 0.0 <= high
    exact = outside(count, rank(count, error))
    assert exact <= error
    assert missed / trials == pytest.approx(exact, abs=4 * math.sqrt(exact / trials))


def test_the_looks_begin_at_fifteen_pairs() -> None:
    assert looks() == (15, 25, 35, 45, 55, 65, 75, 85)
    assert looks(20) == (FIRST_LOOK,)
    with pytest.raises(ValueError, match="at least 15 pairs"):
        looks(14)


def test_every_look_can_decide() -> None:
    assert all(rank(pairs, ERROR / len(looks())) > 0 for pairs in looks())


@pytest.mark.parametrize("noise", ["quiet", "loud", "a fifth far off", "no mean at all"])
def test_at_the_threshold_each_wrong_side_is_as_rare_as_promised(noise: str) -> None:
    trials = 3000
    found = shares(noise, 1.5, 1.5, trials)
    allowed = ERROR / 2 + 3 * math.sqrt(ERROR / 2 / trials)
    assert found[Verdict.ABOVE] <= allowed
    assert found[Verdict.BELOW] <= allowed


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("true", "right"), [(1.15, Verdict.ABOVE), (0.85, Verdict.BELOW)])
def test_fifteen_percent_are_told_apart_in_any_noise(
    noise: str, true: float, right: Verdict
) -> None:
    assert shares(noise, 2.0 * true, 2.0, 1000)[right] >= 0.999


def test_a_few_fast_calls_are_not_fast_enough() -> None:
    """A candidate that is fast in one call of seven does not pass as undecided."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        fast = rng.random(MOST_PAIRS) < 1 / 7
        values = np.where(fast, math.log(4), 0.0) + rng.normal(0, 0.03, MOST_PAIRS)
        assert decided(values, 2.0) is Verdict.BELOW


def test_a_ratio_at_the_threshold_is_undecided() -> None:
    finding = look_at([math.log(2.0)] * 15, 2.0, 0.01)
    assert finding.verdict is Verdict.UNDECIDED
    assert (finding.ratio, finding.low, finding.high) == pytest.approx((2.0, 2.0, 2.0))
    assert finding.pairs == 15
