"""Products of int8 matrices by VNNI, with both as they lie.

A tile reads whole vectors along the channels of both, so nothing has to be packed. It ends by
adding up the lanes of each sum, which is what packed weights save.
"""

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels.compiled.int8_packed import start_sums
from tinytorch.kernels.compiled.int8_tiles import VECTOR_BYTES, dot_tile
from tinytorch.kernels.compiled.int8_types import BYTES, SUMS, typed
from tinytorch.kernels.compiled.int8_vnni import WIDE
from tinytorch.kernels.compiled.jit import jit

HIGH = 5 if WIDE else 2  # rows of a tile: as many sums as there are registers
BROAD = 4

_high_tile = dot_tile(HIGH, BROAD)
_row_tile = dot_tile(1, BROAD)
_single = dot_tile(1, 1)


@typed(BYTES, BYTES, SUMS)
def matmul_direct(a: NDArray[np.int8], b: NDArray[np.int8], result: NDArray[np.int32]) -> None:
    """a (M, K) with b (N, K), into result (M, N)."""
    rows, channels = a.shape
    starts = np.empty(rows, np.int32)
    start_sums(a, starts)
    for row in range(rows):
        result[row, :] = starts[row]
    chunks = channels // VECTOR_BYTES
    _add_products(a, b, chunks, result)
    whole = chunks * VECTOR_BYTES
    if whole < channels:
        _add_products(_last_chunk(a, whole), _last_chunk(b, whole), 1, result)


@jit(cache=False)
def _last_chunk(matrix: NDArray[np.int8], first: int) -> NDArray[np.int8]:
    """The columns from `first` on, filled up with 0 to a whole vector."""
    filled = np.zeros((matrix.shape[0], VECTOR_BYTES), np.int8)
    for row in range(matrix.shape[0]):
        source, target = matrix[row], filled[row]
        for column in range(first, source.size):
            target[column - first] = source[column]
    return filled


@jit(cache=False)
def _add_products(
    a: NDArray[np.int8], b: NDArray[np.int8], chunks: int, result: NDArray[np.int32]
) -> None:
    """Add the sums of a * (b + 128) over the first `chunks` vectors of each row."""
    rows, columns = result.shape
    a_row, b_row, c_row = a.shape[1], b.shape[1], 4 * columns
    column = 0
    while column + BROAD <= columns:
        weights, target = b.ctypes.data + column * b_row, result.ctypes.data + 4 * column
        active, row = a.ctypes.data, 0
        while row + HIGH <= rows:
            _high_tile(active, a_row, weights, b_row, chunks, target, c_row)
            active, target, row = active + HIGH * a_row, target + HIGH * c_row, row + HIGH
        while row < rows:
            _row_tile(active, a_row, weights, b_row, chunks, target, c_row)
            active, target, row = active + a_row, target + c_row, row + 1
        column += BROAD
    while column < columns:
        weights, target = b.ctypes.data + column * b_row, result.ctypes.data + 4 * column
        for row in range(rows):
            active = a.ctypes.data + row * a_row
            _single(active, a_row, weights, b_row, chunks, target + row * c_row, c_row)
        column += 1
