"""Writing on: one token after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch import nn
from tinytorch.autograd import no_grad
from tinytorch.evaluation_mode import evaluating
from tinytorch.functional import Ids
from tinytorch.models.gpt import GPT
from tinytorch.tensor import Tensor


@no_grad()
def generate(
    model: GPT,
    prompt: Ids,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_k: int | None = None,
    rng: np.random.Generator | None = None,
    cache: Sequence[nn.LayerCache] | None = None,
) -> NDArray[np.int64]:
    """Continue a prompt by `max_new_tokens` tokens.

    Without a cache the model reads the last `block_size` tokens again for each new one. With one it
    reads the prompt once and then only the newest token; prompt and new tokens must fit.

    Args:
        model: runs in evaluation mode here, whatever its mode is.
        prompt: (T,) or (B, T) whole numbers, T at least 1.
        max_new_tokens: 0 or more.
        temperature: 0: always the most probable token (of equal ones the smallest id); above 0:
            draw from softmax(logits / temperature).
        top_k: draw from the k most probable tokens only.
        rng: where draws come from; None: a generator that is different each time.
        cache: one object a layer, as `GPT.forward` takes it; the prompt follows what it holds.

    Returns:
        Prompt and new tokens, (T + new,) or (B, T + new).

    Raises:
        ValueError: no prompt, a temperature below 0, a `top_k` below 1, or too much for the cache.
    """
    given = np.asarray(prompt.data if isinstance(prompt, Tensor) else prompt)
    _check(given, max_new_tokens, temperature, top_k)
    if cache is not None:
        _check_room(model, cache, given.shape[-1], max_new_tokens)
    rng = np.random.default_rng() if rng is None else rng
    batch = np.atleast_2d(given)  # (B, T)
    prompt_length = batch.shape[1]
    ids = np.empty((batch.shape[0], prompt_length + max_new_tokens), np.int64)  # (B, T + new)
    ids[:, :prompt_length] = batch
    with evaluating(model):
        for end in range(prompt_length, ids.shape[1]):
            if cache is None:
                seen = ids[:, max(0, end - model.config.block_size) : end]
            else:
                seen = ids[:, 0 if end == prompt_length else end - 1 : end]
            logits = model(seen, cache=cache, last_only=True).data[:, -1]  # (B, V)
            ids[:, end] = next_tokens(logits, temperature, top_k, rng)
    return ids if given.ndim == 2 else ids[0]


def next_tokens(
    logits: NDArray[Any], temperature: float, top_k: int | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """One token (B,) for each row of scores (B, V)."""
    if temperature == 0:
        best: NDArray[np.int64] = logits.argmax(axis=1)
        return best
    scores = logits.astype(np.float64) / temperature
    if top_k is not None and top_k < scores.shape[1]:
        best_first = np.argsort(-scores, axis=1, kind="stable")  # (B, V)
        np.put_along_axis(scores, best_first[:, top_k:], -np.inf, axis=1)
    scores -= scores.max(axis=1, keepdims=True)
    sums = np.cumsum(np.exp(scores), axis=1)  # (B, V)
    draws = rng.random(len(sums)) * sums[:, -1]  # (B,), each below its row's total
    chosen: NDArray[np.int64] = np.argmax(sums > draws[:, None], axis=1)
    return chosen


def _check(
    prompt: NDArray[Any], max_new_tokens: int, temperature: float, top_k: int | None
) -> None:
    if prompt.ndim not in (1, 2) or prompt.size == 0 or prompt.dtype.kind not in "iu":
        raise ValueError(
            f"the prompt is {prompt.dtype} of shape {prompt.shape}; generate needs at least one "
            "whole number, (T,) or (B, T)"
        )
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be 0 or more")
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature}; it must be 0 (greedy) or above")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be 1 or more, or None for all tokens")


def _check_room(model: GPT, cache: Sequence[nn.LayerCache], length: int, new: int) -> None:
    stored = cache[0].length if len(cache) else 0
    needed = stored + length + max(new - 1, 0)  # the last new token is not read any more
    if needed > model.config.block_size:
        raise ValueError(
            f"{stored} cached, {length} prompt and {new} new tokens need {needed} positions, and "
            f"the model's block_size is {model.config.block_size}; ask for fewer or use no cache"
        )
