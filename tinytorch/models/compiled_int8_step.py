"""One token further in compiled code, with int8 weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tinytorch.functional import Ids
from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.int8_decode import DECODE, Linear
from tinytorch.kernels.compiled.int8_linear import quantized_layer
from tinytorch.models.gpt import GPT
from tinytorch.models.step_input import ReservingCache, newest_tokens, next_position, reserved
from tinytorch.models.step_weights import BlockWeights, GPTWeights


class CompiledInt8Step:
    """Scores of the next token, close to those of `GPT.forward`, by int8 machine code.

    Every linear layer has int8 weights with a scale for each row, and rounds its activations to
    int8 as well, with a scale for each sequence. Embeddings, normalization, attention and the cache
    are float32. The weights are quantized once: after changing the model, make a new step. The
    first one compiles, which takes seconds; later processes find the machine code on disk. It
    computes as in evaluation mode, whatever the model's mode is, and past hooks, observers and
    `tinytorch.backend`.

    Args:
        model: a float32 GPT.

    Raises:
        TypeError: a layer that is not the framework's own, or another dtype.
        ValueError: a weight with NaN or inf.
    """

    def __init__(self, model: GPT) -> None:
        weights = GPTWeights(model)
        self._model = model
        self._token, self._position = (
            np.array(table, order="C") for table in (weights.token, weights.position)
        )
        self._blocks = [_int8_block(block) for block in weights.blocks]
        self._eps = [np.array(pair) for pair in weights.eps]  # each (2,)
        self._norm = np.stack([weights.norm, weights.norm_bias])  # (2, C)
        self._last_eps = weights.last_eps
        self._head = quantized_layer(weights.head, weights.head_bias)
        self._kernels = DECODE[self._head[0].dtype == np.uint8]
        for kernel in self._kernels:
            kernel.compile()

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
        config = self._model.config
        position = next_position(self._model, model, cache)
        ids = newest_tokens(tokens, config.vocab_size)
        x = self._token.take(ids, axis=0)  # (B, C), the residual stream
        x += self._position[position]
        for block, eps, layer in zip(self._blocks, self._eps, cache, strict=True):
            keys, values = reserved(layer, ids.size, config, position)
            _require_rows_without_gaps(keys, values)
            norms, qkv, out, fc1, fc2 = block
            self._kernels.block(x, norms, eps, qkv, out, fc1, fc2, keys, values)
        scores = np.empty((ids.size, config.vocab_size), np.float32)
        self._kernels.scores(x, self._norm, self._last_eps, self._head, scores)
        return scores

    @property
    def nbytes(self) -> int:
        """Bytes of everything the step keeps of the model."""
        arrays = [self._token, self._position, self._norm, *self._head]
        for norms, *linears in self._blocks:
            arrays += [norms, *(array for linear in linears for array in linear)]
        return sum(array.nbytes for array in arrays)


class Int8Block(NamedTuple):
    """A block's norms (2, 2, C), and its layers as stored weights, scales and bias."""

    norms: Array
    qkv: Linear
    out: Linear
    fc1: Linear
    fc2: Linear


def _int8_block(block: BlockWeights) -> Int8Block:
    return Int8Block(
        np.array([(block.norm1, block.norm1_bias), (block.norm2, block.norm2_bias)]),
        quantized_layer(block.qkv, block.qkv_bias),
        quantized_layer(block.out, block.out_bias),
        quantized_layer(block.fc1, block.fc1_bias),
        quantized_layer(block.fc2, block.fc2_bias),
    )


def _require_rows_without_gaps(keys: Array, values: Array) -> None:
    """The kernel reads a row as one piece; with gaps it would read something else."""
    for name, array in (("keys", keys), ("values", values)):
        if array.strides[3] != array.itemsize:
            raise ValueError(
                f"the cache's {name} have the strides {array.strides}; the compiled step needs the "
                f"last axis without gaps, in steps of {array.itemsize} bytes"
            )
