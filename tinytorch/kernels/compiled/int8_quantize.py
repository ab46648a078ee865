"""From float32 rows to int8 rows and back, inside compiled code."""

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels.compiled.jit import jit

LEVELS = np.float32(127)
MAGNITUDE_BITS = np.int32(0x7FFFFFFF)
INFINITE_BITS = np.int32(0x7F800000)
SMALLEST = np.float32(1e-30)  # stands for the range of a row of zeros; its inverse is finite


@jit(cache=False)
def quantize_rows(
    x: NDArray[np.float32],
    values: NDArray[np.int8],
    scales: NDArray[np.float32],
    starts: NDArray[np.int32],
) -> None:
    """Symmetric int8 with a scale of its own for each row: x is close to values * scale.

    A row with NaN or inf gets the scale NaN, so that what is computed from it is NaN as well.

    Args:
        x: (M, K).
        values: (M, K or more) takes whole numbers -127 ... 127, and 0 behind K.
        scales: (M,) takes largest magnitude / 127.
        starts: (M,) takes -128 times the sum of the row's values.
    """
    channels = x.shape[1]
    for row in range(x.shape[0]):
        target = values[row]
        largest = largest_magnitude(x[row])
        if largest == largest:
            starts[row] = np.int32(-128 * _round_row(x[row], LEVELS / largest, target))
        else:
            target[:] = 0
            starts[row] = 0
        scales[row] = largest / LEVELS
        for channel in range(channels, target.size):
            target[channel] = 0


@jit(cache=False)
def largest_magnitude(x: NDArray[np.float32]) -> np.float32:
    """The largest |x|, at least SMALLEST; NaN when there is a NaN or inf.

    Without their sign, floats are in order when their bits are read as integers, NaN last.
    """
    bits = x.view(np.int32)
    largest = np.int32(0)
    for k in range(bits.size):
        largest = max(largest, np.int32(bits[k] & MAGNITUDE_BITS))
    if largest >= INFINITE_BITS:
        return np.float32(np.nan)
    return max(np.int32(largest).view(np.float32), SMALLEST)


@jit(cache=False)
def _round_row(x: NDArray[np.float32], inverse: np.float32, values: NDArray[np.int8]) -> np.int32:
    """Round x * inverse to the nearest whole number, half to even; returns their sum."""
    total = np.int32(0)
    for k in range(x.size):
        value = np.int32(np.rint(x[k] * inverse))
        values[k] = np.int8(value)
        total = np.int32(total + value)
    return total


@jit(cache=False)
def dequantize(
    sums: NDArray[np.int32],
    row_scales: NDArray[np.float32],
    weight_scales: NDArray[np.float32],
    bias: NDArray[np.float32],
    first: int,
    result: NDArray[np.float32],
) -> None:
    """Integer sums (M, W or more) times both scales, plus bias, into columns of the result (M, N).

    The sums are those of the columns `first`, `first` + 1, ... as far as the result goes.
    """
    width = min(sums.shape[1], result.shape[1] - first)
    scales, shifts = weight_scales[first : first + width], bias[first : first + width]
    for row in range(result.shape[0]):
        source, scale = sums[row], row_scales[row]
        target = result[row, first : first + width]
        for column in range(width):
            scaled = np.float32(source[column]) * (scale * scales[column])
            target[column] = scaled + shifts[column]
