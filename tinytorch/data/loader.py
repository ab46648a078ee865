"""Batches of examples."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.tensor import Tensor


class DataLoader:
    """Go through arrays of equal length in batches, each a tuple of Tensors.

    Each `for` loop over it is one pass; with `shuffle` each pass has a new order.

    Args:
        arrays: one or more arrays (N, ...); example i is made of row i of each.
        batch_size: examples in a batch; the last batch may be smaller.
        shuffle: draw a new order for each pass.
        rng: where the order comes from; None: a generator that is different each time.
        drop_last: leave out a last batch that is smaller.

    Raises:
        ValueError: no arrays, arrays of unequal or no length, or a batch size below 1.

    Example:
        >>> loader = DataLoader([np.arange(5), np.arange(5) ** 2], batch_size=2)
        >>> [squares.numpy().tolist() for _, squares in loader]
        [[0, 1], [4, 9], [16]]
    """

    def __init__(
        self,
        arrays: Sequence[NDArray[Any]],
        batch_size: int,
        shuffle: bool = False,
        rng: np.random.Generator | None = None,
        drop_last: bool = False,
    ) -> None:
        self.arrays = tuple(np.asarray(array) for array in arrays)
        self.examples = _common_length(self.arrays)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; a batch needs at least 1 example")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.rng = np.random.default_rng() if rng is None else rng
        self.drop_last = drop_last

    def __len__(self) -> int:
        """Batches in one pass."""
        if self.drop_last:
            return self.examples // self.batch_size
        return -(-self.examples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """One pass over the examples."""
        order = self.rng.permutation(self.examples) if self.shuffle else None
        for number in range(len(self)):
            places = slice(number * self.batch_size, (number + 1) * self.batch_size)
            rows = places if order is None else order[places]
            yield tuple(Tensor(array[rows]) for array in self.arrays)


def _common_length(arrays: tuple[NDArray[Any], ...]) -> int:
    if not arrays:
        raise ValueError("arrays is empty; give at least one array, for example [images, labels]")
    if any(array.ndim == 0 for array in arrays):
        raise ValueError(
            f"arrays have the shapes {[array.shape for array in arrays]}; each needs a first axis, "
            "one row an example"
        )
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"arrays have {lengths} rows; all need the same number: example i is row i of each"
        )
    return lengths[0]
