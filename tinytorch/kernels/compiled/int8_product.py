"""The product of quantized rows and quantized weights, as float32, inside compiled code."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from tinytorch.kernels.compiled.int8_packed import (
    PAIR,
    fill_quads,
    multiply_columns,
    multiply_row,
    pack,
)
from tinytorch.kernels.compiled.int8_plain import multiply_plain
from tinytorch.kernels.compiled.int8_quantize import dequantize
from tinytorch.kernels.compiled.int8_vnni import vnni_available

Stored: TypeAlias = NDArray[np.uint8] | NDArray[np.int8]
"""Weights ready for a kernel: packed panels (uint8, three axes) or rows (int8, two axes)."""


def stored_weights(values: NDArray[np.int8]) -> Stored:
    """int8 weights (N, K) in the layout of the fastest kernel this processor has."""
    return pack(values) if vnni_available() else fill_quads(values)


def quantized_product(
    active: NDArray[np.int8],
    row_scales: NDArray[np.float32],
    starts: NDArray[np.int32],
    weights: Stored,
    weight_scales: NDArray[np.float32],
    bias: NDArray[np.float32],
    result: NDArray[np.float32],
) -> None:
    """Rows as `quantize_rows` makes them, times stored weights, plus bias, into result (M, N).

    For compiled code, where numba chooses between the kernels by the layout of the weights.
    """
    raise NotImplementedError("quantized_product can only be called in compiled code")


@overload(quantized_product)  # numba wants one signature for all of these, annotations included
def _by_layout(
    active: Any,
    row_scales: Any,
    starts: Any,
    weights: Any,
    weight_scales: Any,
    bias: Any,
    result: Any,
) -> Callable[..., None]:
    return _packed_product if weights.dtype == types.uint8 else _plain_product


def _packed_product(
    active: Any,
    row_scales: Any,
    starts: Any,
    weights: Any,
    weight_scales: Any,
    bias: Any,
    result: Any,
) -> None:
    rows = result.shape[0]
    if rows == 1:
        sums = np.empty((1, weights.shape[0] * (PAIR // 2)), np.int32)
        multiply_row(active, starts, weights, sums)
        dequantize(sums, row_scales, weight_scales, bias, 0, result)
        return
    block = np.empty((rows, PAIR), np.int32)
    for first in range(0, weights.shape[0], 2):
        multiply_columns(active, starts, weights, first, block)
        column = first * (PAIR // 2)
        dequantize(block, row_scales, weight_scales, bias, column, result)


def _plain_product(
    active: Any,
    row_scales: Any,
    starts: Any,
    weights: Any,
    weight_scales: Any,
    bias: Any,
    result: Any,
) -> None:
    sums = np.empty(result.shape, np.int32)
    multiply_plain(active, weights, sums)
    dequantize(sums, row_scales, weight_scales, bias, 0, result)
