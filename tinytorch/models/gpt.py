"""A GPT: a decoder-only transformer language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinytorch import nn
from tinytorch.functional import Ids
from tinytorch.tensor import Tensor

INITIAL_STD = 0.02


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a GPT.

    Attributes:
        vocab_size: V, number of token ids.
        block_size: most positions the model can see.
        n_layer: transformer blocks.
        n_head: heads of each attention.
        n_embd: C, channels; a multiple of `n_head`.
        dropout: probability inside the blocks, in training.
    """

    vocab_size: int
    block_size: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"GPTConfig: {name} is {getattr(self, name)}; it must be 1 or more"
                )
        if self.n_embd % self.n_head:
            raise ValueError(
                f"GPTConfig: n_embd {self.n_embd} cannot be shared by {self.n_head} heads; it must "
                "be a multiple of n_head"
            )


class GPT(nn.Module):
    """Predicts the next token at every position.

    Args:
        config: the sizes.
        rng: source of the initial values: N(0, 0.02) for weights, 0 for biases; what is added to
            the residual stream starts smaller by the square root of the number of additions.

    Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
    """

    def __init__(self, config: GPTConfig, rng: np.random.Generator | None = None) -> None:
        rng = np.random.default_rng() if rng is None else rng
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.n_embd, rng=rng)
        self.position_embedding = nn.Embedding(config.block_size, config.n_embd, rng=rng)
        self.blocks = nn.ModuleList(
            nn.TransformerBlock(config.n_embd, config.n_head, dropout=config.dropout, rng=rng)
            for _ in range(config.n_layer)
        )
        self.norm = nn.LayerNorm(config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False, rng=rng)
        self._draw_initial_values(rng)

    def _draw_initial_values(self, rng: np.random.Generator) -> None:
        additions = 2 * self.config.n_layer
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                into_residual = name.endswith((".attention.out", ".feed_forward.fc2"))
                std = INITIAL_STD / math.sqrt(additions) if into_residual else INITIAL_STD
                module.weight.data[:] = std * rng.standard_normal(module.weight.shape)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.data[:] = 0

    def forward(
        self, ids: Ids, cache: Sequence[nn.LayerCache] | None = None, last_only: bool = False
    ) -> Tensor:
        """Scores for the token after each position.

        Args:
            ids: (B, T) whole numbers 0 ... V - 1.
            cache: one object a layer that keeps keys and values; `ids` then follow after the
                `cache[0].length` positions it holds.
            last_only: only the last position's scores, which saves most of the head's work.

        Returns:
            (B, T, V), or (B, 1, V) with `last_only`.

        Raises:
            ValueError: `ids` not (B, T), more positions than `block_size`, or a cache of another
                number of layers.
        """
        start, length = self._places(ids, cache)
        positions = np.arange(start, start + length)  # (T,)
        x = self.token_embedding(ids) + self.position_embedding(positions)  # (B, T, C)
        if cache is None:
            for block in self.blocks:
                x = block(x)  # (B, T, C)
        else:
            for block, layer_cache in zip(self.blocks, cache, strict=True):
                x = block(x, cache=layer_cache)  # (B, T, C)
        if last_only:
            x = x[:, -1:]  # (B, 1, C)
        return self.head(self.norm(x))  # type: ignore[no-any-return]

    def _places(self, ids: Ids, cache: Sequence[nn.LayerCache] | None) -> tuple[int, int]:
        """Position of the first id, and how many ids there are."""
        shape = ids.shape if isinstance(ids, (Tensor, np.ndarray)) else np.shape(ids)
        if len(shape) != 2 or shape[1] < 1:
            raise ValueError(
                f"ids have the shape {tuple(shape)}; GPT needs (B, T) with T of at least 1 "
                "(one sequence: ids[None])"
            )
        start = 0
        if cache is not None:
            if len(cache) != self.config.n_layer:
                raise ValueError(
                    f"the cache has {len(cache)} layers and the model {self.config.n_layer}; give "
                    "one object for each layer"
                )
            start = cache[0].length
        if start + shape[1] > self.config.block_size:
            raise ValueError(
                f"{start} cached and {shape[1]} new positions are more than the model's block_size "
                f"of {self.config.block_size}; crop the ids or start with an empty cache"
            )
        return start, shape[1]
