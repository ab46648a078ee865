"""A GPT in PyTorch eager: fused functions, and a preallocated cache that is written in place."""

import numpy as np
import torch
from torch.nn import functional

from benchmarks.peers import Weights
from tinytorch.models import GPTConfig


class TorchGPT:
    """Reads tokens one pass at a time; `reset` begins a new sequence.

    Args:
        weights: by the names of `tinytorch.models.GPT`.
        config: the sizes.
        batch: B, sequences at once.
    """

    def __init__(self, weights: Weights, config: GPTConfig, batch: int = 1) -> None:
        self.weights = {name: torch.from_numpy(array) for name, array in weights.items()}
        self.config = config
        width = config.n_embd // config.n_head
        shape = (config.n_layer, batch, config.n_head, config.block_size, width)
        self.keys, self.values = torch.zeros(shape), torch.zeros(shape)
        self.length = 0

    def reset(self) -> None:
        self.length = 0

    @torch.inference_mode()
    def read(self, ids: torch.Tensor) -> torch.Tensor:
        """Read more tokens (B, T); scores after the last of them, (B, V)."""
        end = self.length + ids.shape[1]
        x = functional.embedding(ids, self.weights["token_embedding.weight"])  # (B, T, C)
        x = x + self.weights["position_embedding.weight"][self.length : end]
        for layer in range(self.config.n_layer):
            x = self._block(x, layer, end)
        self.length = end
        return self._scores(x[:, -1])

    @torch.inference_mode()
    def uncached(self, ids: torch.Tensor) -> torch.Tensor:
        """Scores after the last of the ids (B, T), everything computed anew: (B, V)."""
        x = functional.embedding(ids, self.weights["token_embedding.weight"])  # (B, T, C)
        x = x + self.weights["position_embedding.weight"][: ids.shape[1]]
        for layer in range(self.config.n_layer):
            x = self._block(x, layer, None)
        return self._scores(x[:, -1])

    def _scores(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self._norm(x, "norm"), self.weights["head.weight"])

    def _block(self, x: torch.Tensor, layer: int, end: int | None) -> torch.Tensor:
        """One block; with `end` the keys and values go through the cache."""
        prefix = f"blocks.{layer}."
        batch, length, width = x.shape
        h = self._linear(self._norm(x, f"{prefix}norm1"), f"{prefix}attention.qkv")  # (B, T, 3C)
        h = h.view(batch, length, 3, self.config.n_head, width // self.config.n_head)
        q, k, v = h.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        if end is not None:
            keys, values = self.keys[layer, :, :, :end], self.values[layer, :, :, :end]
            keys[:, :, end - length :] = k
            values[:, :, end - length :] = v
            k, v = keys, values
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
        h = h.transpose(1, 2).reshape(batch, length, width)  # (B, T, C)
        x = x + self._linear(h, f"{prefix}attention.out")
        h = self._linear(self._norm(x, f"{prefix}norm2"), f"{prefix}feed_forward.fc1")
        h = functional.gelu(h, approximate="tanh")  # (B, T, 4C)
        return x + self._linear(h, f"{prefix}feed_forward.fc2")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias)


def generate(model: TorchGPT, prompt: np.ndarray, new: int, cached: bool) -> list[int]:
    """Greedy tokens after a prompt (T,), with the cache or computing all of it each time."""
    seen = torch.from_numpy(prompt)[None]  # (1, T)
    tokens: list[int] = []
    model.reset()
    unread = seen
    while len(tokens) < new:
        scores = model.read(unread) if cached else model.uncached(seen)
        tokens.append(int(scores.argmax()))
        unread = torch.tensor([[tokens[-1]]])
        if not cached:
            seen = torch.cat([seen, unread], dim=1)
    return tokens
