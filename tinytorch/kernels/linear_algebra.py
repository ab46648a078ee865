"""Products of matrices."""

import numpy as np

from tinytorch.kernels.arrays import Array, blas_ready

SMALL_WEIGHT = 1 << 14
"""Elements of a weight up to which the number of calls matters more than their form."""


class LinearAlgebra:
    """Matrix products through NumPy's BLAS."""

    def matmul(self, a: Array, b: Array) -> Array:
        """a (..., M, K) times b (..., K, N); vectors as in `np.matmul`."""
        result: Array = np.matmul(blas_ready(a), blas_ready(b))
        return result

    def linear(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """x (..., K) times the transpose of weight (N, K), plus bias (N,)."""
        width = x.shape[-1]
        if x.size == width > 0:  # one row, as when a model writes token by token
            result: Array = weight.dot(x.reshape(width))  # (N,)
        else:
            rows = blas_ready(x) if x.ndim == 2 else x.reshape(-1, width)  # (M, K)
            result = _times_transpose(rows, blas_ready(weight))  # (M, N)
        if bias is not None:
            result = np.add(result, bias, out=result if result.dtype == bias.dtype else None)
        return result.reshape(*x.shape[:-1], len(weight)) if result.ndim != x.ndim else result


def _times_transpose(rows: Array, weight: Array) -> Array:
    """rows (M, K) times the transpose of weight (N, K).

    With few rows BLAS spends its time rearranging the weight, less when the weight stands first:
    then weight rowsᵀ, transposed, takes down to half the time.
    """
    if weight.size > SMALL_WEIGHT and len(rows) <= max(32, rows.shape[1] // 4):
        return np.ascontiguousarray(np.matmul(weight, rows.T).T)
    result: Array = np.matmul(rows, weight.T)
    return result
