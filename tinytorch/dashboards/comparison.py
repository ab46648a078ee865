"""Whether two measurements differ: pairs at equal places, and the interval of their ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

_FEWEST_PAIRS = 6  # with fewer no interval of the median reaches 95 %
_DRIFT = 1.05  # two runs of one setting differ by this much and nothing changed


class Ratio(NamedTuple):
    """The median of now / before over the pairs, and where it lies with 95 % certainty."""

    low: float
    median: float
    high: float
    pairs: int

    def is_measurable(self) -> bool:
        """Return whether the whole interval is beyond what two equal runs differ by."""
        return self.low > _DRIFT or self.high < 1 / _DRIFT


def paired_ratio(before: Mapping[int, float], now: Mapping[int, float]) -> Ratio | None:
    """Return the ratio now / before at the places both have; None with fewer than six pairs.

    The interval is the one of order statistics: no assumption on how the times are distributed.
    Source: David & Nagaraja, "Order Statistics" (2003), section 7.1.
    """
    places = sorted(before.keys() & now.keys())
    if len(places) < _FEWEST_PAIRS:
        return None
    ratios = np.sort([now[place] / before[place] for place in places])
    count = len(ratios)
    rank = max(0, math.floor(count / 2 - 0.98 * math.sqrt(count)))
    return Ratio(
        float(ratios[rank]), float(np.median(ratios)), float(ratios[count - 1 - rank]), count
    )


def intervals_overlap(before: object, now: object, attribute: str) -> bool | None:
    """Return whether two results' intervals overlap; None where one has no such attribute."""
    first, second = getattr(before, attribute, None), getattr(now, attribute, None)
    if first is None or second is None:
        return None
    return bool(first[0] <= second[1] and second[0] <= first[1])


def times_words(ratio: float, more: str, less: str) -> tuple[float, str]:
    """Return a factor of at least 1 and the word for its direction."""
    return (ratio, more) if ratio >= 1 else (1 / ratio, less)
