"""One comparison: two callables that were shown to compute the same."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """What is compared, and how fast ours has to be.

    `goal` is the least ratio peer time / our time; None for a figure without a goal. `pairs` is how
    many pairs of batches are enough, where one call takes seconds; None for as many as asked for.
    """

    name: str
    goal: float | None
    ours: Callable[[], object]
    peer: Callable[[], object]
    peer_name: str = "torch"
    pairs: int | None = None


def assert_same(ours: object, peer: object, what: str, rtol: float = 1e-4) -> None:
    """Refuse to compare the speed of two things that compute something else."""
    np.testing.assert_allclose(
        np.asarray(ours), np.asarray(peer), rtol=rtol, atol=rtol, err_msg=f"{what} differ"
    )
