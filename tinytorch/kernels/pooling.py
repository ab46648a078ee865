"""Largest value in each window of an image."""

from collections.abc import Iterator

import numpy as np

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.convolution import output_size


def _window_slices(
    kernel_size: int, stride: int, out_height: int, out_width: int
) -> Iterator[tuple[slice, slice]]:
    """For each place in a window: the slice of the image that this place runs over."""
    for r in range(kernel_size):
        for s in range(kernel_size):
            yield (
                slice(r, r + stride * (out_height - 1) + 1, stride),
                slice(s, s + stride * (out_width - 1) + 1, stride),
            )


class Pooling:
    """`max_pool2d` and its gradient."""

    def max_pool2d(
        self, x: Array, *, kernel_size: int, stride: int, save_indices: bool = False
    ) -> tuple[Array, Array | None]:
        """Largest of each window of x (B, C, H, W).

        Returns:
            (B, C, H', W'), and with `save_indices` the place of each largest value in its window,
            0 ... kernel_size² - 1 (int32; the first one of equals).
        """
        out_height = output_size(x.shape[2], kernel_size, stride, 0)
        out_width = output_size(x.shape[3], kernel_size, stride, 0)
        slices = list(_window_slices(kernel_size, stride, out_height, out_width))
        result: Array = x[:, :, slices[0][0], slices[0][1]].copy()
        indices = np.zeros(result.shape, np.int32) if save_indices else None
        for place, (rows, columns) in enumerate(slices[1:], start=1):
            candidate = x[:, :, rows, columns]
            if indices is not None:
                indices[candidate > result] = place
            np.maximum(result, candidate, out=result)
        return result, indices

    def max_pool2d_grad(
        self,
        g: Array,
        indices: Array,
        *,
        kernel_size: int,
        stride: int,
        input_shape: tuple[int, ...],
    ) -> Array:
        """Gradient for the input: g (B, C, H', W') goes to the largest value of each window."""
        result: Array = np.zeros(input_shape, g.dtype)
        slices = _window_slices(kernel_size, stride, g.shape[2], g.shape[3])
        for place, (rows, columns) in enumerate(slices):
            result[:, :, rows, columns] += g * (indices == place)
        return result
