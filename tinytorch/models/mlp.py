"""The multi-layer perceptron."""

import itertools
from collections.abc import Sequence

import numpy as np

from tinytorch import nn
from tinytorch.tensor import Tensor


class MLP(nn.Module):
    """Linear layers with ReLU between them; none after the last.

    Args:
        sizes: channels of the input, of each hidden layer, and of the result; at least two.
        rng: source of the initial values.
    """

    def __init__(self, sizes: Sequence[int], rng: np.random.Generator | None = None) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(
                f"sizes is {list(sizes)}; give the channels of the input and of each layer, "
                "for example [64, 32, 10]"
            )
        layers: list[nn.Module] = []
        for in_features, out_features in itertools.pairwise(sizes):
            layers += [nn.Linear(in_features, out_features, rng=rng), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(..., sizes[0]) -> (..., sizes[-1])."""
        return self.layers(x)  # type: ignore[no-any-return]
