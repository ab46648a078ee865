"""Products of int8 matrices by loops that run on any processor.

Each step is cast back to int32: numba adds integers as int64, and a vector holds half as many.
"""

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels.compiled.jit import jit


@jit(cache=False)
def multiply_plain(
    active: NDArray[np.int8], weight: NDArray[np.int8], result: NDArray[np.int32]
) -> None:
    """Activations (M, K) with weights (N, K), into result (M, N)."""
    rows, columns = result.shape
    paired, grouped = rows - rows % 2, columns - columns % 4
    for column in range(0, grouped, 4):
        for row in range(0, paired, 2):
            _two_by_four(active, weight, row, column, result)
        if paired < rows:
            _one_by_four(active[paired], weight, column, result[paired])
    for column in range(grouped, columns):
        for row in range(rows):
            result[row, column] = dot(active[row], weight[column], 0)


@jit(cache=False)
def dot(a: NDArray[np.int8], b: NDArray[np.int8], first: int) -> np.int32:
    """The sum of a[k] * b[k] from k = `first` on."""
    total = np.int32(0)
    for k in range(first, b.size):
        total = np.int32(total + np.int32(np.int32(a[k]) * np.int32(b[k])))
    return total


@jit(cache=False)
def _one_by_four(
    a: NDArray[np.int8], weight: NDArray[np.int8], column: int, result: NDArray[np.int32]
) -> None:
    s0 = s1 = s2 = s3 = np.int32(0)
    w0, w1, w2, w3 = weight[column], weight[column + 1], weight[column + 2], weight[column + 3]
    for k in range(w0.size):
        x = np.int32(a[k])
        s0 = np.int32(s0 + np.int32(x * np.int32(w0[k])))
        s1 = np.int32(s1 + np.int32(x * np.int32(w1[k])))
        s2 = np.int32(s2 + np.int32(x * np.int32(w2[k])))
        s3 = np.int32(s3 + np.int32(x * np.int32(w3[k])))
    result[column], result[column + 1] = s0, s1
    result[column + 2], result[column + 3] = s2, s3


@jit(cache=False)
def _two_by_four(
    active: NDArray[np.int8],
    weight: NDArray[np.int8],
    row: int,
    column: int,
    result: NDArray[np.int32],
) -> None:
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.int32(0)
    a, b = active[row], active[row + 1]
    w0, w1, w2, w3 = weight[column], weight[column + 1], weight[column + 2], weight[column + 3]
    for k in range(w0.size):
        x, y = np.int32(a[k]), np.int32(b[k])
        v0, v1, v2, v3 = np.int32(w0[k]), np.int32(w1[k]), np.int32(w2[k]), np.int32(w3[k])
        s0 = np.int32(s0 + np.int32(x * v0))
        s1 = np.int32(s1 + np.int32(x * v1))
        s2 = np.int32(s2 + np.int32(x * v2))
        s3 = np.int32(s3 + np.int32(x * v3))
        t0 = np.int32(t0 + np.int32(y * v0))
        t1 = np.int32(t1 + np.int32(y * v1))
        t2 = np.int32(t2 + np.int32(y * v2))
        t3 = np.int32(t3 + np.int32(y * v3))
    upper, lower = result[row], result[row + 1]
    upper[column], upper[column + 1], upper[column + 2], upper[column + 3] = s0, s1, s2, s3
    lower[column], lower[column + 1], lower[column + 2], lower[column + 3] = t0, t1, t2, t3
