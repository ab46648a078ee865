"""Fresh random inputs, and how to get the same ones again."""

from __future__ import annotations

import os

import numpy as np

_SEEDS: dict[str, int] = {}


def fresh(label: str, seed: int | None = None) -> np.random.Generator:
    """Return a random generator whose seed is new in every run.

    Args:
        label: A name for this stream; messages show it with its seed.
        seed: Repeats an earlier run: the number that a failure's message showed.
    """
    chosen = int.from_bytes(os.urandom(4), "little") if seed is None else seed
    _SEEDS.pop(label, None)
    _SEEDS[label] = chosen  # moved to the end: the newest stream is the likeliest culprit
    return np.random.default_rng(chosen)


def seed_of(label: str) -> int:
    """Return the seed that `fresh(label)` drew last.

    Raises:
        KeyError: `fresh(label)` was not called.
    """
    if label not in _SEEDS:
        raise KeyError(f"fresh({label!r}) was not called; known labels: {sorted(_SEEDS)}")
    return _SEEDS[label]


def seeds_drawn() -> dict[str, int]:
    """Return all labels and seeds drawn so far, oldest first."""
    return dict(_SEEDS)


def how_to_repeat() -> str:
    """A sentence that names the newest seeds, for messages; empty when none was drawn."""
    if not _SEEDS:
        return ""
    recent = list(_SEEDS.items())[-3:]
    seeds = ", ".join(f"fresh({label!r}, seed={seed})" for label, seed in reversed(recent))
    return f" To repeat these inputs: {seeds}."
