"""`int8_matmul`: the exact product of two int8 matrices."""

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels.compiled.int8_direct import matmul_direct
from tinytorch.kernels.compiled.int8_packed import (
    PAIR,
    fill_quads,
    multiply_columns,
    pack,
    start_sums,
)
from tinytorch.kernels.compiled.int8_plain import multiply_plain
from tinytorch.kernels.compiled.int8_types import BYTES, PANELS, SUMS, typed
from tinytorch.kernels.compiled.int8_vnni import vnni_available

MAX_CHANNELS = 2**17 - 1
"""Most channels K: 2^17 products of -128 * -128 are 2^31, one more than int32 holds."""

MANY_ROWS = 192
"""From so many rows on, tiles of packed weights are so much faster that packing pays."""


def int8_matmul(a: NDArray[np.int8], b: NDArray[np.int8]) -> NDArray[np.int32]:
    """a @ b.T in whole numbers, without rounding or overflow.

    Uses the processor's instruction for products of bytes where there is one.

    Args:
        a: (M, K) int8.
        b: (N, K) int8, as the weights of a Linear lie.

    Returns:
        (M, N) int32.

    Raises:
        TypeError: not arrays of int8.
        ValueError: not two matrices with the same K, or K above 131071, where int32 could overflow.
    """
    _check(a, b)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    result = np.zeros((len(a), len(b)), np.int32)  # (M, N)
    if 0 in (*a.shape, len(b)):
        return result
    if not vnni_available():
        matmul_plain(a, b, result)
    elif len(a) < MANY_ROWS:
        matmul_direct(a, b, result)
    else:
        matmul_packed(fill_quads(a), pack(b), result)
    return result


@typed(BYTES, BYTES, SUMS)
def matmul_plain(a: NDArray[np.int8], b: NDArray[np.int8], result: NDArray[np.int32]) -> None:
    """a (M, K) with b (N, K) on any processor."""
    multiply_plain(a, b, result)


@typed(BYTES, PANELS, SUMS)
def matmul_packed(
    a: NDArray[np.int8], panels: NDArray[np.uint8], result: NDArray[np.int32]
) -> None:
    """a (M, 4 Q) with packed weights, by VNNI."""
    rows, columns = result.shape
    starts = np.empty(rows, np.int32)
    start_sums(a, starts)
    block = np.empty((rows, PAIR), np.int32)
    for first in range(0, panels.shape[0], 2):
        multiply_columns(a, starts, panels, first, block)
        begin = first * (PAIR // 2)
        width = min(PAIR, columns - begin)
        for row in range(rows):
            target = result[row, begin : begin + width]
            source = block[row]
            for column in range(width):
                target[column] = source[column]


def _check(a: NDArray[np.int8], b: NDArray[np.int8]) -> None:
    for name, array in (("a", a), ("b", b)):
        if not isinstance(array, np.ndarray) or array.dtype != np.int8:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(
                f"int8_matmul: {name} is {kind}; it must be a NumPy array of int8 "
                "(quantize first, then pass the int8 values)"
            )
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(
            f"int8_matmul: a has shape {a.shape} and b {b.shape}; it needs (M, K) and (N, K) "
            "with the same K (b is not transposed)"
        )
    if a.shape[1] > MAX_CHANNELS:
        raise ValueError(
            f"int8_matmul: K is {a.shape[1]}; sums of more than {MAX_CHANNELS} products can "
            "overflow int32. Split K and add the parts in int64"
        )
