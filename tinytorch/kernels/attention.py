"""Scaled dot-product attention.

Source: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from tinytorch.kernels.arrays import Array, row_sums


@lru_cache(maxsize=8)
def causal_mask(queries: int, keys: int, dtype: np.dtype[Any]) -> Array:
    """(T, S) of 0 where query i may see key j (j <= i + S - T), else -inf; read-only."""
    mask = np.triu(np.full((queries, keys), -np.inf, dtype), k=keys - queries + 1)
    mask.setflags(write=False)
    return mask


def _last_axis_free(batch: int, heads: int, length: int, width: int, dtype: np.dtype[Any]) -> Array:
    """An empty (B, H, T, D) laid out in memory as (B, T, H, D).

    Joining the heads afterwards, (B, T, H * D), is then a view and moves no data.
    """
    return np.empty((batch, length, heads, width), dtype).transpose(0, 2, 1, 3)


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
        queries, keys = q.shape[2], k.shape[2]
        scaled = np.multiply(q, q.dtype.type(scale))
        weights = np.matmul(scaled, k.transpose(0, 1, 3, 2))  # (B, H, T, S)
        if causal and queries > 1:
            weights += causal_mask(queries, keys, weights.dtype)
        weights -= np.maximum.reduce(weights, axis=-1, keepdims=True)
        np.exp(weights, out=weights)
        totals = row_sums(weights)[..., None]  # (B, H, T, 1)
        result = _last_axis_free(q.shape[0], q.shape[1], queries, v.shape[3], weights.dtype)
        if save_weights:
            weights /= totals
            return np.matmul(weights, v, out=result), weights
        np.matmul(weights, v, out=result)
        result /= totals  # T x D divisions, fewer than the T x S of the weights
        return result, None

    def attention_grad(
        self, g: Array, q: Array, k: Array, v: Array, weights: Array, *, scale: float
    ) -> tuple[Array, Array, Array]:
        """Gradients of `attention` for q, k and v, from the saved weights (B, H, T, S)."""
        dv = np.matmul(weights.transpose(0, 1, 3, 2), g)  # (B, H, S, D)
        scores = np.matmul(g, v.transpose(0, 1, 3, 2))  # (B, H, T, S): gradient of the weights
        scores *= weights
        scores -= weights * row_sums(scores)[..., None]
        scores *= scores.dtype.type(scale)
        dq = np.matmul(scores, k)  # (B, H, T, D)
        dk = np.matmul(scores.transpose(0, 1, 3, 2), q)  # (B, H, S, D)
        return dq, dk, dv
