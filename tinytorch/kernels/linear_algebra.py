"""Products of matrices."""

import numpy as np

from tinytorch.kernels.arrays import Array, blas_ready


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
            result = np.matmul(rows, blas_ready(weight).T)  # (M, N): one product for all rows
        if bias is not None:
            result = np.add(result, bias, out=result if result.dtype == bias.dtype else None)
        return result.reshape(*x.shape[:-1], len(weight))
