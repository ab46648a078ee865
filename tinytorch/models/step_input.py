"""What a decode step is given, checked before anything is computed or stored."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tinytorch.functional import Ids
from tinytorch.kernels.arrays import Array
from tinytorch.models.gpt import GPT, GPTConfig
from tinytorch.tensor import Tensor


class ReservingCache(Protocol):
    """A cache of one layer that lets its reader write into it."""

    @property
    def length(self) -> int:
        """Positions seen so far."""

    def reserve(self, n: int) -> tuple[Array, Array]:
        """Make room for n more positions.

        Returns:
            Views (B, H, S, D) of all keys and values; the last n positions are the caller's to
            write.
        """


def newest_tokens(tokens: Ids, vocab_size: int) -> Array:
    """The tokens as int64 (B,).

    Raises:
        TypeError: no whole numbers.
        ValueError: not (B,) with B at least 1, or a token outside 0 ... vocab_size - 1.
    """
    ids = np.asarray(tokens.data if isinstance(tokens, Tensor) else tokens)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"tokens are {ids.dtype}; a step needs whole numbers, one a sequence")
    if ids.ndim != 1 or ids.size == 0:
        raise ValueError(
            f"tokens have the shape {ids.shape}; a step needs (B,): the newest token of each "
            "sequence, B at least 1"
        )
    for token in ids.tolist():
        if not 0 <= token < vocab_size:
            raise ValueError(f"token {token} is not in 0 ... {vocab_size - 1}, the vocabulary")
    return ids.astype(np.int64, copy=False)


def next_position(made_for: GPT, model: GPT, cache: Sequence[ReservingCache]) -> int:
    """Position of the new tokens: how many the cache has seen.

    Raises:
        TypeError: a cache without `reserve`.
        ValueError: another model than the step was made for, another number of layers than the
            model's, layers of different lengths, or no position left.
    """
    config = made_for.config
    if model is not made_for:
        raise ValueError("the step was made for another model; make one for this model")
    if len(cache) != config.n_layer:
        raise ValueError(
            f"the cache has {len(cache)} layers and the model {config.n_layer}; give one object "
            "for each layer"
        )
    position = cache[0].length
    for layer in cache:
        if not hasattr(layer, "reserve"):
            raise TypeError(
                f"{type(layer).__name__} has no reserve(n), so a step cannot write into it; use "
                "the model's own forward with this cache"
            )
        if layer.length != position:
            lengths = [each.length for each in cache]
            raise ValueError(f"the cache's layers hold {lengths} positions; reset the cache")
    if position >= config.block_size:
        raise ValueError(
            f"{position} positions are cached and the model's block_size is {config.block_size}: "
            "there is no position left; reset the cache or make a model with a larger block_size"
        )
    return position


def reserved_everywhere(
    cache: Sequence[ReservingCache],
    batch: int,
    config: GPTConfig,
    position: int,
    packed: bool = False,
) -> list[tuple[Array, Array]]:
    """`reserved` for each layer. If one refuses, those that can `rewind` are as they were.

    Args:
        cache: one object a layer.
        batch: B.
        config: the model's.
        position: of the new tokens.
        packed: rows (of D elements) must have no gaps, as compiled code needs it.

    Raises:
        ValueError: arrays that do not fit, or what a layer raises that is full.
    """
    views = []
    try:
        for layer in cache:
            keys, values = reserved(layer, batch, config, position)
            if packed:
                _require_packed_rows(keys, values)
            views.append((keys, values))
    except Exception:
        for layer in cache:
            rewind = getattr(layer, "rewind", None)
            if rewind is not None and layer.length > position:
                rewind(layer.length - position)
        raise
    return views


def reserved(
    layer: ReservingCache, batch: int, config: GPTConfig, position: int
) -> tuple[Array, Array]:
    """Keys and values (B, H, S, D) of a layer with room for the new position.

    Raises:
        ValueError: arrays that do not fit the model or the batch, or cannot be written.
    """
    keys, values = layer.reserve(1)
    heads = config.n_head
    width = config.n_embd // heads
    for name, array in (("keys", keys), ("values", values)):
        b, h, s, d = array.shape
        fits = b == batch and h == heads and d == width and 1 <= s <= position + 1
        if not fits or array.dtype != np.float32 or not array.flags.writeable:
            access = "writable" if array.flags.writeable else "read-only"
            raise ValueError(
                f"the cache's {name} are {access} {array.dtype} of shape {array.shape}; the step "
                f"needs writable float32 of shape {(batch, heads, position + 1, width)}: make the "
                "cache for this model and batch"
            )
    if keys.shape != values.shape:
        raise ValueError(
            f"the cache's keys have the shape {keys.shape} and its values {values.shape}; both "
            "must be the same"
        )
    return keys, values


def _require_packed_rows(keys: Array, values: Array) -> None:
    """The kernel reads a row as one piece; with gaps it would read something else."""
    if keys.strides[3] != keys.itemsize or values.strides[3] != values.itemsize:
        raise ValueError(
            f"the cache's keys and values have strides {keys.strides} and {values.strides}; the "
            "compiled step needs the last axis without gaps, in steps of one element"
        )
