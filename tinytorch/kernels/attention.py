"""Scaled dot-product attention.

Source: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from tinytorch.kernels import arrays
from tinytorch.kernels.arrays import Array, blocks, row_sums


@lru_cache(maxsize=8)
def causal_mask(queries: int, keys: int, dtype: np.dtype[Any]) -> Array:
    """(T, S) of 0 where query i may see key j (j <= i + S - T), else -inf; read-only."""
    mask = np.triu(np.full((queries, keys), -np.inf, dtype), k=keys - queries + 1)
    mask.setflags(write=False)
    return mask


def _heads_joinable(batch: int, heads: int, length: int, width: int, dtype: np.dtype[Any]) -> Array:
    """An empty (B, H, T, D) laid out in memory as (B, T, H, D).

    Joining the heads afterwards, (B, T, H * D), is then a view and moves no data.
    """
    return np.empty((batch, length, heads, width), dtype).transpose(0, 2, 1, 3)


def _head_blocks(batch: int, heads: int, bytes_per_head: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of sequences, or of the heads of one sequence, whose weights fit into the cache."""
    if batch * heads * bytes_per_head <= arrays.CACHE_BYTES:
        yield slice(None), slice(None)
        return
    if heads * bytes_per_head <= arrays.CACHE_BYTES:
        for sequences in blocks(batch, heads * bytes_per_head):
            yield sequences, slice(None)
        return
    for sequence in range(batch):
        for some_heads in blocks(heads, bytes_per_head):
            yield slice(sequence, sequence + 1), some_heads


class Attention:
    """`attention` and its gradient."""

    def attention(
        self,
        q: Array,
        k: Array,
        v: Array,
        *,
        causal: bool,
        scale: float,
        save_weights: bool = False,
    ) -> tuple[Array, Array | None]:
        """softmax(q kᵀ * scale) v for each head.

        Args:
            q: (B, H, T, D); k and v: (B, H, S, D).
            causal: query i sees keys j <= i + S - T only.
            scale: factor of the scores.
            save_weights: also return the attention weights, for the gradient.

        Returns:
            (B, H, T, D), and (B, H, T, S) or None.
        """
        (batch, heads, queries, _), keys = q.shape, k.shape[2]
        dtype = np.result_type(q, k, v)
        mask = causal_mask(queries, keys, dtype) if causal and queries > 1 else None
        result = _heads_joinable(batch, heads, queries, v.shape[3], dtype)
        saved = np.empty((batch, heads, queries, keys), dtype) if save_weights else None
        for part in _head_blocks(batch, heads, queries * keys * dtype.itemsize):
            scaled = np.multiply(q[part], q.dtype.type(scale))
            out = None if saved is None else saved[part]
            weights = np.matmul(scaled, k[part].transpose(0, 1, 3, 2), out=out)  # (b, h, T, S)
            if mask is not None:
                weights += mask
            weights -= np.maximum.reduce(weights, axis=-1, keepdims=True)
            np.exp(weights, out=weights)
            totals = row_sums(weights)[..., None]  # (b, h, T, 1)
            if save_weights:
                weights /= totals
            np.matmul(weights, v[part], out=result[part])
            if not save_weights:
                result[part] /= totals  # T x D divisions, fewer than the T x S of the weights
        return result, saved

    def attention_grad(
        self, g: Array, q: Array, k: Array, v: Array, weights: Array, *, scale: float
    ) -> tuple[Array, Array, Array]:
        """Gradients of `attention` for q, k and v, from the saved weights (B, H, T, S)."""
        batch, heads, queries, keys = weights.shape
        dtype = np.result_type(g, q, k, v)
        dq = _heads_joinable(batch, heads, queries, q.shape[3], dtype)
        dk = _heads_joinable(batch, heads, keys, k.shape[3], dtype)
        dv = _heads_joinable(batch, heads, keys, v.shape[3], dtype)
        for part in _head_blocks(batch, heads, queries * keys * dtype.itemsize):
            shares = weights[part]  # (b, h, T, S)
            np.matmul(shares.transpose(0, 1, 3, 2), g[part], out=dv[part])
            scores = np.matmul(g[part], v[part].transpose(0, 1, 3, 2))  # gradient of the weights
            scores *= shares
            scores -= shares * row_sums(scores)[..., None]
            scores *= dtype.type(scale)
            np.matmul(scores, k[part], out=dq[part])
            np.matmul(scores.transpose(0, 1, 3, 2), q[part], out=dk[part])
        return dq, dk, dv
