"""Layers without parameters."""

import numpy as np

from tinytorch import functional as F
from tinytorch.nn.module import Module
from tinytorch.tensor import Tensor


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, kept."""
        return x.relu()


class GELU(Module):
    """Gaussian error linear unit in its tanh form (PyTorch: `approximate="tanh"`)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, kept."""
        return x.gelu()


class Flatten(Module):
    """Join all dimensions but the first: (B, ...) -> (B, N)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, N)."""
        return x.flatten(1)


class Dropout(Module):
    """In training, set elements to 0 with probability `p` and scale the others; else do nothing.

    Args:
        p: probability, 0 <= p < 1.
        rng: source of chance; an unseeded one if None.
    """

    def __init__(self, p: float = 0.5, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: the probability must be in 0 <= p < 1, got {p}")
        self.p = p
        self.rng = np.random.default_rng() if rng is None else rng

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, kept."""
        return F.dropout(x, self.p, self.training, self.rng) if self.training else x

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
