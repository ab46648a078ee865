"""One convolution layer forward, nothing recorded."""

import numpy as np
import torch

import tinytorch
from benchmarks.case import Case, assert_same
from tinytorch import nn


def forward() -> Case:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((32, 3, 32, 32), dtype=np.float32)  # (B, C, H, W)
    layer = nn.Conv2d(3, 16, kernel_size=3, padding=1, rng=rng)
    peer_layer = torch.nn.Conv2d(3, 16, kernel_size=3, padding=1)
    with torch.no_grad():
        for mine, other in zip(layer.parameters(), peer_layer.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine.numpy().copy()))
    x, peer_x = tinytorch.Tensor(images), torch.from_numpy(images)

    def ours() -> tinytorch.Tensor:
        with tinytorch.no_grad():
            return layer(x)  # (B, 16, H, W)

    def peer() -> torch.Tensor:
        with torch.no_grad():
            return peer_layer(peer_x)  # type: ignore[no-any-return]

    assert_same(ours().numpy(), peer().numpy(), "feature maps")
    return Case("conv 32x3x32x32 -> 16, 3x3, forward", 0.45, ours, peer)
