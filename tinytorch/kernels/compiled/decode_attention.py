"""Attention of one new position over a cache's keys and values."""

import numpy as np

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.decode_elementwise import exp
from tinytorch.kernels.compiled.decode_rows import packed
from tinytorch.kernels.compiled.jit import jit

F32 = np.float32


@jit(any_order=True, cache=False)
def attend_newest(qkv: Array, keys: Array, values: Array, scores: Array, out: Array) -> None:
    """Write the new keys and values to the last position, then softmax(q kᵀ / √D) v.

    Args:
        qkv: (B, 3 H D) float32: queries, keys and values of the new position, head after head.
        keys: (B, H, S, D), rows without gaps; the last position is written.
        values: (B, H, S, D), the same.
        scores: (S,), overwritten.
        out: (B, H D), written.

    Source: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762.
    """
    batch, heads, length, width = keys.shape
    scale = F32(1) / np.sqrt(F32(width))
    for b in range(batch):
        for h in range(heads):
            start = h * width
            query = qkv[b, start : start + width]
            start += heads * width
            new_key = qkv[b, start : start + width]
            start += heads * width
            new_value = qkv[b, start : start + width]
            last_key, last_value = packed(keys[b, h, length - 1]), packed(values[b, h, length - 1])
            for d in range(width):
                query[d] *= scale
                last_key[d] = new_key[d]
                last_value[d] = new_value[d]
            total = _weights(query, keys[b, h], scores)
            _weighted_sum(scores, values[b, h], F32(1) / total, out[b, h * width : (h + 1) * width])


@jit(any_order=True, cache=False)
def _weights(query: Array, keys: Array, weights: Array) -> np.float32:
    """e ** (score - largest) of each key (S, D) into `weights` (S,); returns their sum."""
    largest = F32(-np.inf)
    for j in range(keys.shape[0]):
        key = packed(keys[j])
        score = F32(0)
        for d in range(query.size):
            score += query[d] * key[d]
        weights[j] = score
        largest = max(largest, score)
    total = F32(0)
    for j in range(weights.size):
        weight = exp(weights[j] - largest)
        weights[j] = weight
        total += weight
    return total


@jit(any_order=True, cache=False)
def _weighted_sum(weights: Array, values: Array, scale: np.float32, out: Array) -> None:
    """(weights @ values) * scale into `out` (D,), four values (S, D) at a time."""
    out[:] = F32(0)
    length = weights.size
    whole = length - length % 4
    for j in range(0, whole, 4):
        p0, p1, p2, p3 = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        v0, v1 = packed(values[j]), packed(values[j + 1])
        v2, v3 = packed(values[j + 2]), packed(values[j + 3])
        for d in range(out.size):
            out[d] += (p0 * v0[d] + p1 * v1[d]) + (p2 * v2[d] + p3 * v3[d])
    for j in range(whole, length):
        p0, v0 = weights[j], packed(values[j])
        for d in range(out.size):
            out[d] += p0 * v0[d]
    for d in range(out.size):
        out[d] *= scale
