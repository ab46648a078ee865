"""Convolution in two dimensions as matrix products (im2col), a few images at a time.

Source: Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks for Document
Processing", 2006.
"""

from collections.abc import Iterator

import numpy as np

from tinytorch.kernels.arrays import Array, blocks


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


def patch_windows(x: Array, kernel: tuple[int, int], stride: int, padding: int) -> Array:
    """Every patch of x (B, C, H, W) without a copy: a view (B, C, R, S, H', W') of the padded x."""
    rows, columns = kernel
    out_height = output_size(x.shape[2], rows, stride, padding)
    out_width = output_size(x.shape[3], columns, stride, padding)
    source = padded(x, padding)
    step_b, step_c, step_h, step_w = source.strides
    return np.lib.stride_tricks.as_strided(
        source,
        (*x.shape[:2], rows, columns, out_height, out_width),
        (step_b, step_c, step_h, step_w, step_h * stride, step_w * stride),
        writeable=False,
    )


def patch_blocks(windows: Array) -> Iterator[tuple[slice, Array]]:
    """Blocks of images with their patches as columns (n, C * R * S, H' * W').

    Each block overwrites the one before.
    """
    batch, channels, rows, columns, out_height, out_width = windows.shape
    buffer: Array | None = None
    for block in blocks(batch, windows[:1].size * windows.itemsize):
        count = block.stop - block.start
        if buffer is None:
            buffer = np.empty((count, *windows.shape[1:]), windows.dtype)
        np.copyto(buffer[:count], windows[block])
        patches = buffer.reshape(-1, channels * rows * columns, out_height * out_width)
        yield block, patches[:count]


class Convolution:
    """`conv2d` and its two gradients. Images are (B, C, H, W), weights (O, C, R, S)."""

    def conv2d(
        self, x: Array, weight: Array, bias: Array | None = None, *, stride: int, padding: int
    ) -> Array:
        """Cross-correlation of x with weight, plus bias (O,): (B, O, H', W')."""
        out_channels, _, rows, columns = weight.shape
        windows = patch_windows(x, (rows, columns), stride, padding)  # (B, C, R, S, H', W')
        out_height, out_width = windows.shape[4:]
        kernels = weight.reshape(out_channels, -1)  # (O, CRS)
        dtype = np.result_type(x, weight)
        result: Array = np.empty((x.shape[0], out_channels, out_height * out_width), dtype)
        for block, patches in patch_blocks(windows):
            np.matmul(kernels, patches, out=result[block])  # (n, O, H'W')
        if bias is not None:
            result += bias[:, None]
        return result.reshape(x.shape[0], out_channels, out_height, out_width)

    def conv2d_grad_weight(
        self, g: Array, x: Array, *, stride: int, padding: int, weight_shape: tuple[int, ...]
    ) -> Array:
        """Gradient for the weight, from the result's gradient g (B, O, H', W')."""
        out_channels, _, rows, columns = weight_shape
        windows = patch_windows(x, (rows, columns), stride, padding)
        flat = g.reshape(g.shape[0], out_channels, -1)  # (B, O, H'W')
        result: Array = np.zeros(weight_shape, np.result_type(g, x))
        total = result.reshape(out_channels, -1)  # (O, CRS)
        for block, patches in patch_blocks(windows):
            total += np.add.reduce(np.matmul(flat[block], patches.transpose(0, 2, 1)), axis=0)
        return result

    def conv2d_grad_input(
        self, g: Array, weight: Array, *, stride: int, padding: int, input_shape: tuple[int, ...]
    ) -> Array:
        """Gradient for the input: each patch's gradient is added where the patch was taken."""
        batch, channels, height, width = input_shape
        out_channels, _, rows, columns = weight.shape
        out_height, out_width = g.shape[2:]
        flat = g.reshape(batch, out_channels, -1)  # (B, O, H'W')
        kernels = weight.reshape(out_channels, -1).T  # (CRS, O)
        dtype = np.result_type(g, weight)
        shape = (batch, channels, height + 2 * padding, width + 2 * padding)
        result: Array = np.zeros(shape, dtype)
        patch_bytes = kernels.shape[0] * out_height * out_width * dtype.itemsize
        for block in blocks(batch, patch_bytes):
            patches = np.matmul(kernels, flat[block])  # (n, CRS, H'W')
            patches = patches.reshape(-1, channels, rows, columns, out_height, out_width)
            target = result[block]
            for r in range(rows):
                for s in range(columns):
                    bottom, right = r + stride * out_height, s + stride * out_width
                    target[:, :, r:bottom:stride, s:right:stride] += patches[:, :, r, s]
        return result[:, :, padding : padding + height, padding : padding + width]
