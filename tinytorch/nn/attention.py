"""Self-attention with several heads."""

import math
from typing import Protocol

import numpy as np

from tinytorch import autograd, backend
from tinytorch import functional as F
from tinytorch.kernels.arrays import Array
from tinytorch.nn.activation import Dropout
from tinytorch.nn.linear import Linear
from tinytorch.nn.module import Module
from tinytorch.tensor import Tensor, constant, recorded


class LayerCache(Protocol):
    """Keys and values of one attention layer for the positions seen so far."""

    @property
    def length(self) -> int:
        """Positions stored."""

    def update(self, keys: Array, values: Array) -> tuple[Array, Array]:
        """Store new keys and values (B, H, T, D); return all of them, (B, H, S, D)."""


def _no_gradient_through_cache(g: Array) -> tuple[Array]:
    raise RuntimeError(
        "backward() through attention that ran with a cache: the cache keeps no graph. "
        "Train with cache=None; generate inside no_grad()"
    )


class MultiHeadAttention(Module):
    """Self-attention: each position gathers from the positions it may see.

    Args:
        embed_dim: C, channels of input and result.
        num_heads: H; each head works on C / H channels.
        bias: whether the two linear layers have one.
        dropout: probability of dropping an element of the result, in training.
        causal: a position sees itself and earlier ones only.
        rng: source of the initial values.

    Source: Vaswani et al., "Attention Is All You Need", arXiv:1706.03762.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: embed_dim {embed_dim} cannot be shared by {num_heads} heads; "
                "it must be a multiple of num_heads"
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.causal = causal
        self.qkv = Linear(embed_dim, 3 * embed_dim, bias, rng)
        self.out = Linear(embed_dim, embed_dim, bias, rng)
        self.dropout = Dropout(dropout, rng)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C); with a cache, x holds only the new positions."""
        qkv = self.qkv(x)  # (B, T, 3 C)
        if cache is None:
            gathered = F.multi_head_attention(qkv, self.num_heads, self.causal)
        else:
            gathered = self._attend_with_cache(qkv, cache)
        return self.dropout(self.out(gathered))  # type: ignore[no-any-return]

    def _attend_with_cache(self, qkv: Tensor, cache: LayerCache) -> Tensor:
        q, k, v = F.split_heads(qkv.data, self.num_heads)  # each (B, H, T, D)
        keys, values = cache.update(k, v)  # (B, H, S, D)
        scale = 1 / math.sqrt(q.shape[3])
        heads, _ = backend.active.attention(q, keys, values, causal=self.causal, scale=scale)
        joined = F.join_heads(heads)  # (B, T, C)
        if autograd.recording and qkv.requires_grad:
            return recorded(joined, (qkv,), _no_gradient_through_cache)
        return constant(joined)

    def extra_repr(self) -> str:
        """Size, heads and mask."""
        return f"{self.embed_dim}, num_heads={self.num_heads}, causal={self.causal}"
