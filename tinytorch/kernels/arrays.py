"""The one array type of the kernels, and what BLAS can take without a copy."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[Any]]
"""What a kernel takes and returns: a NumPy array of any shape and dtype."""

LARGEST_CACHED_VECTOR = 1 << 16
CACHE_BYTES = 1 << 19
"""Size of an intermediate result that is still in the cache when the next step reads it."""


def blocks(count: int, bytes_each: int) -> Iterator[slice]:
    """0 ... count in slices whose elements take at most `CACHE_BYTES` (or of one element).

    A kernel of many steps goes through large arrays block by block: fetching a block from memory
    once for all steps is two to three times faster than fetching everything once a step.
    """
    length = max(1, CACHE_BYTES // max(bytes_each, 1))
    for start in range(0, count, length):
        yield slice(start, min(start + length, count))


def floating(x: Array) -> Array:
    """`x` itself when it is floating point, else a float32 copy (as PyTorch promotes integers)."""
    return x if x.dtype.kind in "fc" else x.astype(np.float32)


@lru_cache(maxsize=64)
def _filled(length: int, value: float, dtype: np.dtype[Any]) -> Array:
    vector = np.full(length, value, dtype)
    vector.setflags(write=False)
    return vector


def filled_vector(length: int, value: float, dtype: np.dtype[Any]) -> Array:
    """A read-only vector of one value; short ones are made once and kept."""
    if length > LARGEST_CACHED_VECTOR:
        return np.full(length, value, dtype)
    return _filled(length, value, dtype)


def row_sums(x: Array) -> Array:
    """Sums over the last axis; (..., K) -> (...).

    A product with a vector of ones: BLAS reads memory several times faster than `np.sum`.
    """
    length = x.shape[-1]
    if x.dtype.kind != "f" or length == 0 or not x.flags.c_contiguous:
        result: Array = np.add.reduce(x, axis=-1)
        return result
    sums: Array = x.reshape(-1, length).dot(filled_vector(length, 1, x.dtype))
    return sums.reshape(x.shape[:-1])


def blas_ready(x: Array) -> Array:
    """`x` itself if BLAS can take its last two axes as they are, else a contiguous copy.

    NumPy multiplies matrices of other layouts (steps in both axes, repeated rows) with a plain
    loop, a hundred times slower than this copy and BLAS.
    """
    if x.ndim < 2 or x.flags.forc:
        return x
    rows, columns = x.shape[-2:]
    row_step, column_step = x.strides[-2:]
    size = x.itemsize
    by_rows = (column_step == size or columns == 1) and (row_step >= columns * size or rows == 1)
    by_columns = (row_step == size or rows == 1) and (column_step >= rows * size or columns == 1)
    return x if by_rows or by_columns else np.ascontiguousarray(x)
