"""One token further in NumPy alone, in as few calls and as little memory as it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinytorch.functional import Ids
from tinytorch.kernels.arrays import Array
from tinytorch.kernels.elementwise import GELU_CUBIC, GELU_SLOPE
from tinytorch.models.gpt import GPT, GPTConfig
from tinytorch.models.step_input import (
    ReservingCache,
    newest_tokens,
    next_position,
    reserved_everywhere,
)
from tinytorch.models.step_weights import BlockWeights, GPTWeights


def _number(value: float | np.float32) -> Array:
    """A float32 of shape (): NumPy multiplies by it twice as fast as by a Python number."""
    return np.asarray(value, np.float32)


ONE, HALF = _number(1), _number(0.5)
SLOPE, CUBIC = _number(GELU_SLOPE), _number(GELU_CUBIC * GELU_SLOPE)


class FusedStep:
    """Scores of the next token, as `GPT.forward` gives them with a cache, in a third of the calls.

    Every intermediate result has a buffer of its own that each step uses again. The weights are the
    model's own arrays, so changes are followed (see `GPTWeights`; after replacing a layer, make a
    new step). It computes as in evaluation mode, whatever the model's mode is, and past hooks,
    observers and `tinytorch.backend`. One thread at a time.

    Args:
        model: a float32 GPT.

    Raises:
        TypeError: a layer that is not the framework's own, or another dtype.
    """

    def __init__(self, model: GPT) -> None:
        self._weights = GPTWeights(model)
        self._buffers = _Buffers(1, model.config)
        self._eps = [(_number(first), _number(second)) for first, second in self._weights.eps]
        self._last_eps = _number(self._weights.last_eps)

    def __call__(self, model: GPT, tokens: Ids, cache: Sequence[ReservingCache]) -> Array:
        """Read one more token of each sequence.

        Args:
            model: the one the step was made for.
            tokens: (B,) whole numbers, the newest of each sequence.
            cache: one object a layer; each grows by one position.

        Returns:
            (B, V) float32 scores, a new array.

        Raises:
            TypeError, ValueError: something that does not fit; see `step_input`.
        """
        weights = self._weights
        config = weights.model.config
        position = next_position(weights.model, model, cache)
        ids = newest_tokens(tokens, config.vocab_size)
        weights.refresh()
        if self._buffers.batch != ids.size:
            self._buffers = _Buffers(ids.size, config)
        buffers = self._buffers
        x = np.add(weights.token.take(ids, axis=0), weights.position[position], out=buffers.x)
        views = reserved_everywhere(cache, ids.size, config, position)
        for block, eps, (keys, values) in zip(weights.blocks, self._eps, views, strict=True):
            normal = buffers.layer_norm(block.norm1, block.norm1_bias, eps[0])
            normal.dot(block.qkv.T, out=buffers.qkv)
            buffers.qkv += block.qkv_bias
            buffers.attend(keys, values)
            x += buffers.attended.dot(block.out.T, out=buffers.change)
            x += block.out_bias
            normal = buffers.layer_norm(block.norm2, block.norm2_bias, eps[1])
            x += buffers.feed_forward(normal, block)
            x += block.fc2_bias
        normal = buffers.layer_norm(weights.norm, weights.norm_bias, self._last_eps)
        scores: Array = normal.dot(weights.head.T)  # (B, V)
        scores += weights.head_bias
        return scores


class _Buffers:
    """Room for a batch's intermediate results, and the parts of a step that live in it.

    With one row, the statistics of a row have the shape (), which NumPy combines with an array
    faster than (1, 1).
    """

    def __init__(self, batch: int, config: GPTConfig) -> None:
        width, heads = config.n_embd, config.n_head
        self.batch = batch
        self.x = np.empty((batch, width), np.float32)  # the residual stream
        self.normal = np.empty_like(self.x)
        self.squares = np.empty_like(self.x)
        self.change = np.empty_like(self.x)
        self.qkv = np.empty((batch, 3 * width), np.float32)
        parts = self.qkv.reshape(batch, 3, heads, width // heads)  # (B, 3, H, D)
        self.query = parts[:, 0, :, None]  # (B, H, 1, D)
        self.key, self.value = parts[:, 1], parts[:, 2]  # (B, H, D)
        self.scale = _number(1 / math.sqrt(width // heads))
        self.heads = np.empty((batch, heads, 1, width // heads), np.float32)
        self.attended = self.heads.reshape(batch, width)
        self.ones = np.ones((config.block_size, 1), np.float32)
        self.totals = np.empty((batch * heads, 1), np.float32)
        self.totals_by_head = self.totals.reshape(batch, heads, 1, 1)
        self.hidden = self.inner = np.empty((0, 0), np.float32)
        self.average = np.full((width, 1), 1 / width, np.float32)
        self.mean, self.variance = (np.empty((batch, 1), np.float32) for _ in range(2))
        shape = () if batch == 1 else (batch, 1)
        self.row_mean, self.row_variance = self.mean.reshape(shape), self.variance.reshape(shape)

    def layer_norm(self, weight: Array, bias: Array, eps: Array) -> Array:
        """x normalized over its channels: (B, C), valid until the next call."""
        self.x.dot(self.average, out=self.mean)
        normal = np.subtract(self.x, self.row_mean, out=self.normal)
        np.multiply(normal, normal, out=self.squares)
        self.squares.dot(self.average, out=self.variance)
        deviation = self.row_variance
        deviation += eps
        np.sqrt(deviation, out=deviation)
        normal /= deviation
        normal *= weight
        normal += bias
        return normal

    def attend(self, keys: Array, values: Array) -> None:
        """Store the new keys and values (B, H, S, D); what the query gathers is `attended`."""
        keys[:, :, -1] = self.key
        values[:, :, -1] = self.value
        self.query *= self.scale
        weights = np.matmul(self.query, keys.transpose(0, 1, 3, 2))  # (B, H, 1, S)
        weights -= np.maximum.reduce(weights, axis=3, keepdims=True)
        np.exp(weights, out=weights)
        length = keys.shape[2]
        weights.reshape(-1, length).dot(self.ones[:length], out=self.totals)
        np.matmul(weights, values, out=self.heads)
        self.heads /= self.totals_by_head

    def feed_forward(self, normal: Array, block: BlockWeights) -> Array:
        """fc2(gelu(fc1)) without the last bias: (B, C), valid until the next call."""
        if self.hidden.shape[1] != len(block.fc1):
            self.hidden = np.empty((self.batch, len(block.fc1)), np.float32)
            self.inner = np.empty_like(self.hidden)
        hidden, inner = self.hidden, self.inner
        normal.dot(block.fc1.T, out=hidden)
        hidden += block.fc1_bias
        np.multiply(hidden, hidden, out=inner)
        inner *= CUBIC
        inner += SLOPE
        inner *= hidden
        np.tanh(inner, out=inner)
        inner += ONE
        inner *= hidden
        inner *= HALF
        return inner.dot(block.fc2.T, out=self.change)
