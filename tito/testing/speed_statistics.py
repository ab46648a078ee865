"""From paired measurements to a verdict, without assuming how the noise is spread.

A pair gives one number: the logarithm of baseline time / candidate time. Each of n independent
pairs lies above the true median with chance one half, whatever the noise looks like, so counting
alone bounds the median. The pairs are looked at several times; each look may spend an equal part of
the error that the whole may have.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

FIRST_LOOK = 15  # pairs
BETWEEN_LOOKS = 10  # pairs
MOST_PAIRS = 85
ERROR = 0.01  # chance that any look of one attempt puts the true median outside its bounds


class Verdict(StrEnum):
    """Where the ratio lies, as far as the pairs can tell."""

    ABOVE = "above"
    BELOW = "below"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """What one look at the pairs says.

    Attributes:
        ratio: Median of the pairs' ratios.
        low: Lower bound of the true median.
        high: Upper bound of the true median.
        pairs: How many pairs were looked at.
        verdict: Where the bounds lie beside the threshold.
    """

    ratio: float
    low: float
    high: float
    pairs: int
    verdict: Verdict


def looks(most_pairs: int = MOST_PAIRS) -> tuple[int, ...]:
    """Return the numbers of pairs at which a verdict is tried.

    Raises:
        ValueError: `most_pairs` leaves no room for the first look.
    """
    if most_pairs < FIRST_LOOK:
        raise ValueError(
            f"a verdict needs at least {FIRST_LOOK} pairs, got pairs={most_pairs}; leave it out "
            f"to take {MOST_PAIRS}"
        )
    return tuple(range(FIRST_LOOK, most_pairs + 1, BETWEEN_LOOKS))


def rank(count: int, error: float) -> int:
    """Return how deep the bounds lie: the rank-th smallest and the rank-th largest value.

    Args:
        count: Number of independent values.
        error: Greatest chance that the true median lies outside the two values.

    Returns:
        The greatest such rank; 0 when even the smallest and largest value are too close.
    """
    # `sum of C(count, i) for i < rank` of the 2**count equally likely patterns of above and below
    # put the median under the lower bound, and as many put it over the upper one.
    patterns = itertools.accumulate(math.comb(count, below) for below in range(count // 2))
    allowed = error * 2 ** (count - 1)
    return sum(outside <= allowed for outside in patterns)


def bounds(values: Sequence[float], error: float) -> tuple[float, float]:
    """Return bounds of the true median that hold with chance 1 - `error`, whatever the noise."""
    depth = rank(len(values), error)
    if depth == 0:
        return -math.inf, math.inf
    ascending = sorted(values)
    return ascending[depth - 1], ascending[-depth]


def look_at(log_ratios: Sequence[float], at_least: float, error: float) -> Finding:
    """Say where the true ratio lies beside a threshold.

    Args:
        log_ratios: Logarithm of baseline time / candidate time of each pair.
        at_least: The threshold, a ratio.
        error: Chance of error this look may have.
    """
    low, high = bounds(log_ratios, error)
    verdict = Verdict.UNDECIDED
    if low > math.log(at_least):
        verdict = Verdict.ABOVE
    elif high < math.log(at_least):
        verdict = Verdict.BELOW
    return Finding(
        ratio=math.exp(statistics.median(log_ratios)),
        low=math.exp(low),
        high=math.exp(high),
        pairs=len(log_ratios),
        verdict=verdict,
    )
