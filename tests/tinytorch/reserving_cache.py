"""A preallocated cache of one attention layer, as small as it can be."""

import numpy as np

from tinytorch.kernels.arrays import Array
from tinytorch.models import GPT


class ReservingCache:
    def __init__(self, batch: int, heads: int, capacity: int, width: int) -> None:
        self.keys = np.zeros((batch, heads, capacity, width), np.float32)
        self.values = np.zeros_like(self.keys)
        self.length = 0

    def reserve(self, n: int) -> tuple[Array, Array]:
        end = self.length + n
        if end > self.keys.shape[2]:
            raise ValueError(f"{self.length} stored and {n} new exceed {self.keys.shape[2]}")
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def update(self, keys: Array, values: Array) -> tuple[Array, Array]:
        new = keys.shape[2]
        all_keys, all_values = self.reserve(new)
        all_keys[:, :, -new:] = keys
        all_values[:, :, -new:] = values
        return all_keys, all_values

    def rewind(self, n: int) -> None:
        self.length -= n


def reserving_caches(model: GPT, batch: int = 1) -> list[ReservingCache]:
    config = model.config
    width = config.n_embd // config.n_head
    return [
        ReservingCache(batch, config.n_head, config.block_size, width)
        for _ in range(config.n_layer)
    ]
