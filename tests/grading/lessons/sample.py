"""A few of many: `make contract` runs them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Each = TypeVar("Each")

MUTANTS = 12
VARIANTS = 4


def spread(everything: Sequence[Each], most: int) -> list[Each]:
    """At most `most` of them, evenly spread, the first and the last among them."""
    count = len(everything)
    if count <= most:
        return list(everything)
    return [everything[round(place * (count - 1) / (most - 1))] for place in range(most)]
