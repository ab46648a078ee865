"""Comparing two callables so that a busy machine does not decide the result.

Both sides run in one process, in batches long enough for the clock, in pairs whose order
alternates (AB, BA, AB, ...), on the CPU clock, which does not count time spent waiting for the
processor. The statistic is the median of the pairs' ratios: noise that outlasts a pair touches both
its halves.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_UP_CALLS = 3
LONG_CALL_S = 1.0


@dataclass(frozen=True)
class Comparison:
    """Seconds per call of both sides, pair by pair."""

    ours_s: list[float]
    peer_s: list[float]
    ours_calls_per_batch: int
    peer_calls_per_batch: int

    @property
    def ratios(self) -> list[float]:
        """How many times faster ours was, one number a pair."""
        return [peer / ours for ours, peer in zip(self.ours_s, self.peer_s, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and the 90th percentile of the pairs' ratios."""
        tenths = statistics.quantiles(self.ratios, n=10, method="inclusive")
        return tenths[0], tenths[-1]


def compare(
    ours: Callable[[], object],
    peer: Callable[[], object],
    pairs: int = 31,
    batch_s: float = 0.02,
    seed: int = 0,
    clock: Callable[[], float] = time.process_time,
) -> Comparison:
    """Time two callables against each other.

    Args:
        ours: The side whose speed-up is wanted; called without arguments.
        peer: The side it is compared with.
        pairs: Number of pairs of batches, at least 2.
        batch_s: Aimed length of one batch in seconds.
        seed: Decides which side begins the first pair; after that they take turns.
        clock: Returns seconds.
    """
    sides = {"ours": ours, "peer": peer}
    calls = {name: calibrated_calls(side, batch_s, clock) for name, side in sides.items()}
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    order = ["ours", "peer"]
    random.Random(seed).shuffle(order)
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(pairs):
            for name in order:
                seconds[name].append(seconds_per_call(sides[name], calls[name], clock))
            order.reverse()
    finally:
        if was_enabled:
            gc.enable()
    return Comparison(seconds["ours"], seconds["peer"], calls["ours"], calls["peer"])


def calibrated_calls(side: Callable[[], object], batch_s: float, clock: Callable[[], float]) -> int:
    """How many calls make a batch of about `batch_s` seconds; at least one."""
    for _ in range(WARM_UP_CALLS):
        if seconds_per_call(side, 1, clock) >= LONG_CALL_S:
            return 1
    calls = 1
    while True:
        elapsed_s = seconds_per_call(side, calls, clock) * calls
        if elapsed_s >= batch_s / 4:
            return max(1, round(calls * batch_s / elapsed_s))
        calls *= 2


def seconds_per_call(side: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(calls):
        side()
    return (clock() - start) / calls
