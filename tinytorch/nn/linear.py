"""The fully connected layer."""

import math

import numpy as np

from tinytorch import functional as F
from tinytorch.nn.module import Module
from tinytorch.tensor import Parameter, Tensor


def uniform(
    shape: tuple[int, ...], bound: float, rng: np.random.Generator | None
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """float32 values drawn evenly from -bound ... bound."""
    rng = np.random.default_rng() if rng is None else rng
    return rng.uniform(-bound, bound, shape).astype(np.float32)


class Linear(Module):
    """y = x weightᵀ + bias.

    Args:
        in_features: K, last size of the input.
        out_features: N, last size of the result.
        bias: whether there is a bias (N,).
        rng: source of the initial values, uniform within 1 / sqrt(K) as in PyTorch.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.in_features = in_features
        self.out_features = out_features
        bound = 1 / math.sqrt(max(in_features, 1))
        self.weight = Parameter(uniform((out_features, in_features), bound, rng))
        self.bias = Parameter(uniform((out_features,), bound, rng)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Sizes and whether there is a bias."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
