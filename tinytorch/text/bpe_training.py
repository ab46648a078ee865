"""Learning the merges of a byte-pair encoding.

The text is cut into chunks (words); equal chunks are kept once, with how often they occur. Their
symbols form linked lists. A merge visits only the places of its pair and corrects the counts of the
neighbours there, so that it costs as much as the pair is frequent, not as the text is long.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

Pair = tuple[int, int]

END = -1
BYTE_VALUES = 256


class MergeLearner:
    """Finds the most frequent pair of neighbouring symbols and joins it, again and again.

    Args:
        chunks: each distinct chunk's bytes, and how often it occurs.
    """

    def __init__(self, chunks: Mapping[bytes, int]) -> None:
        self.symbols: list[int] = []
        self.before: list[int] = []
        self.after: list[int] = []
        self.weights: list[int] = []
        self.counts: Counter[Pair] = Counter()
        self.places: defaultdict[Pair, set[int]] = defaultdict(set)
        for chunk, weight in chunks.items():
            if chunk:
                self._add_chunk(chunk, weight)
        self.queue = [(-count, pair) for pair, count in self.counts.items()]
        heapq.heapify(self.queue)

    def _add_chunk(self, chunk: bytes, weight: int) -> None:
        first = len(self.symbols)
        last = first + len(chunk) - 1
        self.symbols.extend(chunk)
        self.weights.extend([weight] * len(chunk))
        self.before.extend([END, *range(first, last)])
        self.after.extend([*range(first + 1, last + 1), END])
        for place, pair in enumerate(pairwise(chunk), start=first):
            self.counts[pair] += weight
            self.places[pair].add(place)

    def most_frequent(self) -> Pair | None:
        """The pair with the highest count, of equal ones the smallest; None if all occur once."""
        while self.queue:
            negative_count, pair = self.queue[0]
            count = self.counts[pair]
            if count < 2:
                heapq.heappop(self.queue)
            elif -negative_count != count:
                heapq.heapreplace(self.queue, (-count, pair))
            else:
                return pair
        return None

    def merge(self, pair: Pair, merged: int) -> None:
        """Join every occurrence of `pair`, from left to right, into the symbol `merged`."""
        changed: set[Pair] = set()
        for place in sorted(self.places[pair]):
            right = self.after[place]
            if right == END or (self.symbols[place], self.symbols[right]) != pair:
                continue  # an overlapping occurrence took it: a a a holds only one whole a a
            self._join(place, right, merged, changed)
        self.places.pop(pair, None)
        self.counts.pop(pair, None)
        for neighbour in changed:
            if neighbour != pair:
                heapq.heappush(self.queue, (-self.counts[neighbour], neighbour))

    def _join(self, left: int, right: int, merged: int, changed: set[Pair]) -> None:
        before, after = self.before[left], self.after[right]
        self._forget(left, changed)
        self._forget(right, changed)
        if before != END:
            self._forget(before, changed)
        self.symbols[left], self.symbols[right] = merged, END
        self.after[left], self.after[right] = after, END
        if after != END:
            self.before[after] = left
            self._remember(left, changed)
        if before != END:
            self._remember(before, changed)

    def _forget(self, place: int, changed: set[Pair]) -> None:
        after = self.after[place]
        if after != END:
            pair = (self.symbols[place], self.symbols[after])
            self.counts[pair] -= self.weights[place]
            self.places[pair].discard(place)
            changed.add(pair)

    def _remember(self, place: int, changed: set[Pair]) -> None:
        pair = (self.symbols[place], self.symbols[self.after[place]])
        self.counts[pair] += self.weights[place]
        self.places[pair].add(place)
        changed.add(pair)


def learn_merges(chunks: Mapping[bytes, int], count: int) -> list[Pair]:
    """The first `count` merges; fewer when no pair is left that occurs twice.

    Merge number i joins its pair into the symbol 256 + i.
    """
    learner = MergeLearner(chunks)
    merges: list[Pair] = []
    while len(merges) < count:
        pair = learner.most_frequent()
        if pair is None:
            break
        learner.merge(pair, BYTE_VALUES + len(merges))
        merges.append(pair)
    return merges
