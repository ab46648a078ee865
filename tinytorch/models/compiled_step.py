"""One token further in compiled code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinytorch.functional import Ids
from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.decode_block import decode_block, decode_embedding, decode_scores
from tinytorch.models.gpt import GPT
from tinytorch.models.step_input import (
    ReservingCache,
    newest_tokens,
    next_position,
    reserved_everywhere,
)
from tinytorch.models.step_weights import GPTWeights


class CompiledStep:
    """Scores of the next token, as `GPT.forward` gives them with a cache, by numba's machine code.

    Importing this class compiles, which takes seconds; later processes find the machine code on
    disk. The weights are the model's own arrays, so changes are followed (see `GPTWeights`; after
    replacing a layer, make a new step). It computes as in evaluation mode, whatever the model's
    mode is, and past hooks, observers and `tinytorch.backend`. One thread at a time.

    Args:
        model: a float32 GPT.

    Raises:
        TypeError: a layer that is not the framework's own, or another dtype.
        ValueError: a weight that is not contiguous.
    """

    def __init__(self, model: GPT) -> None:
        self._weights = GPTWeights(model, contiguous=True)
        self._batch = 0
        self._scratch: tuple[Array, ...] = ()

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
        if self._batch != ids.size:
            self._make_room(ids.size)
        x, *rest = self._scratch
        scratch = tuple(rest)
        decode_embedding(ids, position, weights.token, weights.position, x)
        views = reserved_everywhere(cache, ids.size, config, position, packed=True)
        for block, eps, (keys, values) in zip(weights.blocks, weights.eps, views, strict=True):
            decode_block(x, tuple(block), eps, keys, values, scratch)
        scores = np.empty((ids.size, config.vocab_size), np.float32)
        last = (weights.norm, weights.norm_bias, weights.head, weights.head_bias)
        decode_scores(x, last, weights.last_eps, scratch[0], scores)
        return scores

    def _make_room(self, batch: int) -> None:
        config = self._weights.model.config
        width, hidden = config.n_embd, self._weights.hidden
        sizes = (width, width, 3 * width, width, hidden)
        rows = (np.empty((batch, size), np.float32) for size in sizes)
        self._scratch = (*rows, np.empty(config.block_size, np.float32))
        self._batch = batch
