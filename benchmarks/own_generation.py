"""Greedy generation by tinytorch with a preallocated cache: the lesson's module once it is there.

Without `tinytorch.memoization` (it is exported from lesson 15) the same is done by the framework's
own loop and the small cache below.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinytorch
from tinytorch._lessons import LessonNotExportedError
from tinytorch.models import GPT

try:
    from tinytorch import memoization
except LessonNotExportedError:
    memoization = None

Step = Callable[[GPT, np.ndarray, Sequence[Any]], np.ndarray]
Cache = Sequence[Any]


class PlainLayer:
    """Keys and values of one layer in memory that is there from the start."""

    def __init__(self, batch: int, heads: int, capacity: int, width: int) -> None:
        self.keys = np.zeros((batch, heads, capacity, width), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length = 0

    def reserve(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        self.length += n
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def update(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        new = keys.shape[2]
        all_keys, all_values = self.reserve(new)
        all_keys[:, :, -new:] = keys
        all_values[:, :, -new:] = values
        return all_keys, all_values

    def reset(self) -> None:
        self.length = 0

    def rewind(self, n: int) -> None:
        self.length -= n


def new_cache(model: GPT) -> Cache:
    """A cache for one sequence as long as the model can see."""
    if memoization:
        return memoization.KVCache.for_model(model)  # type: ignore[no-any-return]
    config = model.config
    width = config.n_embd // config.n_head
    return [PlainLayer(1, config.n_head, config.block_size, width) for _ in range(config.n_layer)]


@tinytorch.no_grad()
def model_step(model: GPT, tokens: np.ndarray, cache: Cache) -> np.ndarray:
    """Scores after one more token of each sequence, by the model itself."""
    return model(tokens[:, None], cache=cache, last_only=True).data[:, -1]  # type: ignore[no-any-return]


def generate(
    model: GPT, prompt: np.ndarray, new: int, cache: Cache, step: Step | None = None
) -> list[int]:
    """Greedy tokens after a prompt (T,); the cache is emptied first."""
    for layer in cache:
        layer.reset()
    if memoization:
        ids = memoization.generate_cached(model, prompt, new, cache=cache, step=step)
    elif step is None:
        ids = tinytorch.models.generate(model, prompt, new, cache=cache)
    else:
        ids = _stepwise(model, prompt, new, cache, step)
    return list(ids[len(prompt) :])


def _stepwise(model: GPT, prompt: np.ndarray, new: int, cache: Cache, step: Step) -> np.ndarray:
    with tinytorch.no_grad():
        scores = model(prompt[None], cache=cache, last_only=True).data[:, -1]  # (1, V)
    ids = np.empty(len(prompt) + new, np.int64)
    ids[: len(prompt)] = prompt
    for end in range(len(prompt), len(ids)):
        ids[end] = scores.argmax()
        if end + 1 < len(ids):
            scores = step(model, ids[end : end + 1], cache)
    return ids
