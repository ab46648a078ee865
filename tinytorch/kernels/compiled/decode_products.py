"""Linear layers for a few rows: each weight is read once, and reading it is what takes the time."""

import numpy as np

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.jit import jit

F32 = np.float32


@jit(any_order=True, cache=False)
def linear_rows(x: Array, weight: Array, bias: Array, out: Array) -> None:
    """x weightᵀ + bias into `out`.

    Four rows of the weights at a time, so that each load of x serves four products.

    Args:
        x: (B, K) float32.
        weight: (N, K), contiguous.
        bias: (N,).
        out: (B, N), written.
    """
    count = weight.shape[0]
    whole = count - count % 4
    for n in range(0, whole, 4):
        w0, w1, w2, w3 = weight[n], weight[n + 1], weight[n + 2], weight[n + 3]
        for b in range(x.shape[0]):
            row = x[b]
            s0 = s1 = s2 = s3 = F32(0)
            for k in range(row.size):
                value = row[k]
                s0 += w0[k] * value
                s1 += w1[k] * value
                s2 += w2[k] * value
                s3 += w3[k] * value
            out[b, n] = s0 + bias[n]
            out[b, n + 1] = s1 + bias[n + 1]
            out[b, n + 2] = s2 + bias[n + 2]
            out[b, n + 3] = s3 + bias[n + 3]
    for n in range(whole, count):
        w0 = weight[n]
        for b in range(x.shape[0]):
            row = x[b]
            s0 = F32(0)
            for k in range(row.size):
                s0 += w0[k] * row[k]
            out[b, n] = s0 + bias[n]


@jit(any_order=True, cache=False)
def add_rows(x: Array, change: Array) -> None:
    """x += change.

    Args:
        x: (B, C) float32, changed.
        change: (B, C).
    """
    for b in range(x.shape[0]):
        row, other = x[b], change[b]
        for i in range(row.size):
            row[i] += other[i]
