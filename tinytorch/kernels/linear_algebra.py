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
        columns = blas_ready(weight).T  # (K, N)
        if x.ndim > 2:
            rows = x.reshape(-1, x.shape[-1])  # (B * T, K): one large product, not B small ones
            result: Array = np.matmul(rows, columns).reshape(*x.shape[:-1], columns.shape[1])
        else:
            result = np.matmul(blas_ready(x), columns)
        if bias is not None:
            result = np.add(result, bias, out=result if result.dtype == bias.dtype else None)
        return result
