"""One position further through a transformer block, and the head, with int8 weights."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numba import types

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.decode_attention import attend_newest
from tinytorch.kernels.compiled.decode_elementwise import gelu_rows, layer_norm_rows
from tinytorch.kernels.compiled.decode_products import add_rows
from tinytorch.kernels.compiled.int8_linear import linear_rows
from tinytorch.kernels.compiled.int8_types import (
    CACHED,
    INPUT,
    NORMS,
    RESULT,
    VECTOR,
    Typed,
    stored,
)

Linear: TypeAlias = tuple[Array, Array, Array]
"""Stored weights, scales (N,) and bias (N,), as `linear_rows` takes them."""


def _block(
    x: Array,
    norms: Array,
    eps: Array,
    qkv: Linear,
    out: Linear,
    fc1: Linear,
    fc2: Linear,
    keys: Array,
    values: Array,
) -> None:
    """A pre-norm block for the newest position of each sequence, in place.

    Args:
        x: (B, C) float32, the residual stream; changed.
        norms: (2, 2, C): weight and bias of both layer norms.
        eps: (2,): what they add to the variance.
        qkv: the attention's first layer.
        out: its second.
        fc1: the feed-forward's first layer.
        fc2: its second.
        keys: (B, H, S, D), rows without gaps; the last position is written.
        values: (B, H, S, D), the same.
    """
    batch, width = x.shape
    normal = np.empty((batch, width), np.float32)
    triple = np.empty((batch, 3 * width), np.float32)
    attended = np.empty((batch, width), np.float32)
    hidden = np.empty((batch, fc1[1].size), np.float32)
    scores = np.empty(keys.shape[2], np.float32)
    layer_norm_rows(x, norms[0, 0], norms[0, 1], eps[0], normal)
    linear_rows(normal, qkv[0], qkv[1], qkv[2], triple)
    attend_newest(triple, keys, values, scores, attended)
    linear_rows(attended, out[0], out[1], out[2], normal)
    add_rows(x, normal)
    layer_norm_rows(x, norms[1, 0], norms[1, 1], eps[1], normal)
    linear_rows(normal, fc1[0], fc1[1], fc1[2], hidden)
    gelu_rows(hidden)
    linear_rows(hidden, fc2[0], fc2[1], fc2[2], normal)
    add_rows(x, normal)


def _scores(x: Array, norm: Array, eps: np.float32, head: Linear, scores: Array) -> None:
    """Normalize, and multiply with the head.

    Args:
        x: (B, C) float32.
        norm: (2, C): weight and bias of the layer norm.
        eps: what it adds to the variance.
        head: the last layer, V rows.
        scores: (B, V), written.
    """
    normal = np.empty(x.shape, np.float32)
    layer_norm_rows(x, norm[0], norm[1], eps, normal)
    linear_rows(normal, head[0], head[1], head[2], scores)


class DecodeKernels(NamedTuple):
    """Both kernels for one layout of the weights; the arguments are those of the functions."""

    block: Typed
    scores: Typed


def _kernels(packed: bool) -> DecodeKernels:
    linear = types.Tuple((stored(packed), VECTOR, VECTOR))  # type: ignore[no-untyped-call]
    block = (RESULT, NORMS, VECTOR, linear, linear, linear, linear, CACHED, CACHED)
    return DecodeKernels(
        Typed(_block, *block), Typed(_scores, INPUT, INPUT, types.float32, linear, RESULT)
    )


DECODE = _kernels(False), _kernels(True)
"""For weights in rows and in panels. They are compiled when they are first used."""
