"""Convolution in two dimensions as one matrix product an image (im2col).

Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for Document
Processing", 2006.
"""

import numpy as np

from tinytorch.kernels.arrays import Array


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """How many positions a kernel has along one axis."""
    return (size + 2 * padding - kernel) // stride + 1


def padded(x: Array, padding: int) -> Array:
    """x (B, C, H, W) with zeros around the last two axes."""
    if padding == 0:
        return x
    batch, channels, height, width = x.shape
    result: Array = np.zeros((batch, channels, height + 2 * padding, width + 2 * padding), x.dtype)
    result[:, :, padding:-padding, padding:-padding] = x
    return result


def patch_columns(x: Array, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """Every patch of x (B, C, H, W) as a column: (B, C * R * S, H' * W')."""
    batch, channels, height, width = x.shape
    rows, columns = kernel
    out_height = output_size(height, rows, stride, padding)
    out_width = output_size(width, columns, stride, padding)
    if kernel == (1, 1) and stride == 1 and padding == 0:
        return x.reshape(batch, channels, height * width)
    source = padded(x, padding)
    step_b, step_c, step_h, step_w = source.strides
    windows = np.lib.stride_tricks.as_strided(
        source,
        (batch, channels, rows, columns, out_height, out_width),
        (step_b, step_c, step_h, step_w, step_h * stride, step_w * stride),
        writeable=False,
    )
    return windows.reshape(batch, channels * rows * columns, out_height * out_width)  # copies


class Convolution:
    """`conv2d` and its two gradients. Images are (B, C, H, W), weights (O, C, R, S)."""

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None = None, *, stride: int, padding: int
    ) -> Array:
        """Cross-correlation of x with weight, plus bias (O,): (B, O, H', W')."""
        out_channels, _, rows, columns = weight.shape
        patches = patch_columns(x, (rows, columns), stride, padding)  # (B, CRS, H'W')
        result: Array = np.matmul(weight.reshape(out_channels, -1), patches)  # (B, O, H'W')
        if bias is not None:
            result += bias[:, None]
        out_height = output_size(x.shape[2], rows, stride, padding)
        return result.reshape(x.shape[0], out_channels, out_height, -1)

    def conv2d_grad_weight(
        self, g: Array, x: Array, *, stride: int, padding: int, weight_shape: tuple[int, ...]
    ) -> Array:
        """Gradient for the weight, from the result's gradient g (B, O, H', W')."""
        patches = patch_columns(x, (weight_shape[2], weight_shape[3]), stride, padding)
        rows = np.ascontiguousarray(g).reshape(g.shape[0], g.shape[1], -1)  # (B, O, H'W')
        each = np.matmul(rows, patches.transpose(0, 2, 1))  # (B, O, CRS)
        result: Array = np.add.reduce(each, axis=0)
        return result.reshape(weight_shape)

    def conv2d_grad_input(
        self, g: Array, weight: Array, *, stride: int, padding: int, input_shape: tuple[int, ...]
    ) -> Array:
        """Gradient for the input: each patch's gradient is added where the patch was taken."""
        batch, channels, height, width = input_shape
        out_channels, _, rows, columns = weight.shape
        out_height, out_width = g.shape[2:]
        flat = np.ascontiguousarray(g).reshape(batch, out_channels, -1)  # (B, O, H'W')
        patches = np.matmul(weight.reshape(out_channels, -1).T, flat)  # (B, CRS, H'W')
        patches = patches.reshape(batch, channels, rows, columns, out_height, out_width)
        shape = (batch, channels, height + 2 * padding, width + 2 * padding)
        result: Array = np.zeros(shape, patches.dtype)
        for r in range(rows):
            for s in range(columns):
                bottom, right = r + stride * out_height, s + stride * out_width
                result[:, :, r:bottom:stride, s:right:stride] += patches[:, :, r, s]
        return result[:, :, padding : padding + height, padding : padding + width]
