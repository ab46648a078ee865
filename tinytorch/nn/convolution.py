"""Layers for images (B, C, H, W)."""

import math

import numpy as np

from tinytorch import functional as F
from tinytorch.nn.linear import uniform
from tinytorch.nn.module import Module
from tinytorch.tensor import Parameter, Tensor


class Conv2d(Module):
    """Two-dimensional convolution with square kernels.

    Args:
        in_channels: C of the input.
        out_channels: O of the result.
        kernel_size: height and width of the kernel.
        stride: distance between two positions.
        padding: rows and columns of zeros around the image.
        bias: whether there is a bias (O,).
        rng: source of the initial values, uniform within 1 / sqrt(C * kernel_size²).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        shape = (out_channels, in_channels, kernel_size, kernel_size)
        bound = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = Parameter(uniform(shape, bound, rng))
        self.bias = Parameter(uniform((out_channels,), bound, rng)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def extra_repr(self) -> str:
        """Channels, kernel, stride, padding."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"
        )


class MaxPool2d(Module):
    """Largest value of each square window; windows do not overlap unless `stride` says so."""

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H', W')."""
        return F.max_pool2d(x, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        """Window and stride."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"
