"""One transformer block, and the head, for the newest position of each sequence."""

from typing import Any

import numpy as np
from numba import types

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.decode_attention import attend_newest
from tinytorch.kernels.compiled.decode_elementwise import gelu_rows, layer_norm_rows
from tinytorch.kernels.compiled.decode_products import add_rows, linear_rows
from tinytorch.kernels.compiled.jit import jit

VECTOR = types.Array(types.float32, 1, "C")
ROWS = types.Array(types.float32, 2, "C")
BIAS = types.Array(types.float32, 1, "C", readonly=True)
WEIGHT = types.Array(types.float32, 2, "C", readonly=True)
CACHED = types.Array(types.float32, 4, "A")
"""Any strides: whether a cache is full must not matter for what is compiled."""


def _tuple(*members: Any) -> Any:
    """numba's type of a tuple of these types."""
    return types.Tuple(members)  # type: ignore[no-untyped-call]


NORM_AND_PRODUCTS = (BIAS, BIAS, WEIGHT, BIAS, WEIGHT, BIAS)


@jit(
    types=(
        ROWS,
        _tuple(*NORM_AND_PRODUCTS, *NORM_AND_PRODUCTS),
        _tuple(types.float32, types.float32),
        CACHED,
        CACHED,
        _tuple(ROWS, ROWS, ROWS, ROWS, VECTOR),
    )
)
def decode_block(
    x: Array,
    weights: tuple[Array, ...],
    eps: tuple[np.float32, np.float32],
    keys: Array,
    values: Array,
    scratch: tuple[Array, ...],
) -> None:
    """A pre-norm block, in place.

    Args:
        x: (B, C) float32, the residual stream; changed.
        weights: weight and bias of norm1, qkv, out, norm2, fc1 and fc2, in this order.
        eps: of norm1 and norm2.
        keys: (B, H, S, D), rows without gaps; the last position is written.
        values: (B, H, S, D), the same.
        scratch: (B, C), (B, 3 C), (B, C) and (B, hidden), overwritten; then scores, (S,) or more.
    """
    (norm1, norm1_bias, qkv, qkv_bias, out, out_bias) = weights[:6]
    (norm2, norm2_bias, fc1, fc1_bias, fc2, fc2_bias) = weights[6:]
    normal, triple, attended, hidden, scores = scratch
    layer_norm_rows(x, norm1, norm1_bias, eps[0], normal)
    linear_rows(normal, qkv, qkv_bias, triple)
    attend_newest(triple, keys, values, scores[: keys.shape[2]], attended)
    linear_rows(attended, out, out_bias, normal)
    add_rows(x, normal)
    layer_norm_rows(x, norm2, norm2_bias, eps[1], normal)
    linear_rows(normal, fc1, fc1_bias, hidden)
    gelu_rows(hidden)
    linear_rows(hidden, fc2, fc2_bias, normal)
    add_rows(x, normal)


@jit(types=(types.Array(types.int64, 1, "A", readonly=True), types.int64, WEIGHT, WEIGHT, ROWS))
def decode_embedding(
    tokens: Array, position: int, token_weight: Array, position_weight: Array, x: Array
) -> None:
    """Where the residual stream begins: the token's row and the position's row, added.

    Args:
        tokens: (B,) int64, each 0 ... V - 1.
        position: of the tokens in their sequences, 0 ... block_size - 1.
        token_weight: (V, C) float32.
        position_weight: (block_size, C).
        x: (B, C), written.
    """
    place = position_weight[position]
    for b in range(x.shape[0]):
        row, token = x[b], token_weight[tokens[b]]
        for i in range(row.size):
            row[i] = token[i] + place[i]


@jit(types=(ROWS, _tuple(BIAS, BIAS, WEIGHT, BIAS), types.float32, ROWS, ROWS))
def decode_scores(
    x: Array, weights: tuple[Array, ...], eps: np.float32, normal: Array, scores: Array
) -> None:
    """Normalize and multiply with the head.

    Args:
        x: (B, C) float32.
        weights: weight and bias of the norm, then of the head (V, C) and (V,).
        eps: of the norm.
        normal: (B, C), overwritten.
        scores: (B, V), written.
    """
    norm, norm_bias, head, head_bias = weights
    layer_norm_rows(x, norm, norm_bias, eps, normal)
    linear_rows(normal, head, head_bias, scores)
