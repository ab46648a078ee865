"""The transformer block."""

import numpy as np

from tinytorch.nn.activation import GELU, Dropout
from tinytorch.nn.attention import LayerCache, MultiHeadAttention
from tinytorch.nn.linear import Linear
from tinytorch.nn.module import Module
from tinytorch.nn.normalization import LayerNorm
from tinytorch.tensor import Tensor


class FeedForward(Module):
    """Two linear layers with a GELU between them, applied to each position by itself.

    Args:
        embed_dim: C, channels of input and result.
        hidden_dim: channels between the layers; 4 C if None.
        dropout: probability of dropping an element of the result, in training.
        rng: source of the initial values.
    """

    def __init__(
        self,
        embed_dim: int,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        hidden_dim = 4 * embed_dim if hidden_dim is None else hidden_dim
        self.fc1 = Linear(embed_dim, hidden_dim, rng=rng)
        self.activation = GELU()
        self.fc2 = Linear(hidden_dim, embed_dim, rng=rng)
        self.dropout = Dropout(dropout, rng)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.dropout(self.fc2(self.activation(self.fc1(x))))  # type: ignore[no-any-return]


class TransformerBlock(Module):
    """Attention and feed-forward, each normalized before and added to what came in (pre-norm).

    Args:
        embed_dim: C, channels.
        num_heads: heads of the attention.
        hidden_dim: inner channels of the feed-forward; 4 C if None.
        dropout: probability for both parts.
        causal: whether a position sees only itself and earlier ones.
        rng: source of the initial values.

    Source: Xiong et al., "On Layer Normalization in the Transformer Architecture",
    arXiv:2002.04745.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        causal: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.norm1 = LayerNorm(embed_dim)
        self.attention = MultiHeadAttention(
            embed_dim, num_heads, dropout=dropout, causal=causal, rng=rng
        )
        self.norm2 = LayerNorm(embed_dim)
        self.feed_forward = FeedForward(embed_dim, hidden_dim, dropout, rng)

    def forward(self, x: Tensor, cache: LayerCache | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self.attention(self.norm1(x), cache=cache)
        return x + self.feed_forward(self.norm2(x))  # type: ignore[no-any-return]
