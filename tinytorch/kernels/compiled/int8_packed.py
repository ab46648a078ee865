"""Products of int8 matrices by VNNI, with the weights packed for it.

Packed weights lie as panels (P, Q, LANES * 4) of uint8: panel p holds LANES weight rows; for each
group of four channels q it has four bytes of each of them, as w + 128, so that one load fills a
vector. Rows and channels that only fill up hold 0, whose products with activations of 0 or results
nobody reads do not matter.
"""

import numpy as np
from numba import types
from numpy.typing import NDArray

from tinytorch.kernels.compiled.int8_tiles import VECTOR_BYTES, panel_tile
from tinytorch.kernels.compiled.int8_types import typed
from tinytorch.kernels.compiled.int8_vnni import LANES, WIDE
from tinytorch.kernels.compiled.jit import jit

PAIR = 2 * LANES
"""Columns of a tile with two panels. The number of panels is even."""

FLIP_FOUR = np.int32(-0x7F7F7F80)  # 0x80808080: turns w into w + 128 in each of four bytes

TALL = 12 if WIDE else 6  # rows of a tile: as many sums as there are registers
LOW = 4 if WIDE else 2
LONG = 8 if WIDE else 4  # panels of a tile with one row: enough sums to hide their latency

_tall_tile = panel_tile(TALL, 2)
_low_tile = panel_tile(LOW, 2)
_row_tile = panel_tile(1, 2)
_long_tile = panel_tile(1, LONG)


def pack(weight: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Weights (N, K) as panels (P, Q, LANES * 4); P is even."""
    rows, width = weight.shape[0], 4 * LANES
    quads = fill_quads(weight).view(np.int32)  # (N, Q), four bytes in each
    panels = np.zeros((2 * (-(-rows // PAIR)), quads.shape[1], LANES), np.int32)
    _interleave(quads, panels)
    return panels.view(np.uint8).reshape(*panels.shape[:2], width)


def fill_quads(a: NDArray[np.int8]) -> NDArray[np.int8]:
    """Rows (M, K), filled up with 0 to a multiple of four channels, (M, 4 Q)."""
    rows, channels = a.shape
    if channels % 4 == 0:
        return np.ascontiguousarray(a)
    filled = np.zeros((rows, channels + -channels % 4), np.int8)
    filled[:, :channels] = a
    return filled


@typed(types.Array(types.int32, 2, "C", readonly=True), types.Array(types.int32, 3, "C"))
def _interleave(quads: NDArray[np.int32], panels: NDArray[np.int32]) -> None:
    """Turn rows (N, Q) to panels (P, Q, LANES), a block that stays in the cache at a time."""
    rows, count = quads.shape
    for row in range(0, rows, LANES):
        panel, lanes = panels[row // LANES], min(LANES, rows - row)
        for begin in range(0, count, LANES):
            end = min(begin + LANES, count)
            for lane in range(lanes):
                source = quads[row + lane]
                for quad in range(begin, end):
                    panel[quad, lane] = source[quad] ^ FLIP_FOUR


@jit(cache=False)
def start_sums(active: NDArray[np.int8], starts: NDArray[np.int32]) -> None:
    """-128 times the sum of each row of activations (M, 4 Q), into starts (M,)."""
    for row in range(active.shape[0]):
        total = np.int32(0)
        for value in active[row]:
            total = np.int32(total + np.int32(value))
        starts[row] = np.int32(-128 * total)


@jit(cache=False)
def multiply_columns(
    active: NDArray[np.int8],
    starts: NDArray[np.int32],
    panels: NDArray[np.uint8],
    first: int,
    result: NDArray[np.int32],
) -> None:
    """Activations (M, 4 Q) with the panels `first` and `first` + 1, into result (M, PAIR)."""
    rows, quads = active.shape[0], panels.shape[1]
    a_row, b_panel, c_row = 4 * quads, quads * VECTOR_BYTES, 4 * PAIR
    a, start, c = active.ctypes.data, starts.ctypes.data, result.ctypes.data
    b = panels.ctypes.data + first * b_panel
    row = 0
    while row + TALL <= rows:
        _tall_tile(
            a + row * a_row, a_row, start + 4 * row, b, b_panel, quads, c + row * c_row, c_row
        )
        row += TALL
    while row + LOW <= rows:
        _low_tile(
            a + row * a_row, a_row, start + 4 * row, b, b_panel, quads, c + row * c_row, c_row
        )
        row += LOW
    while row < rows:
        _row_tile(
            a + row * a_row, a_row, start + 4 * row, b, b_panel, quads, c + row * c_row, c_row
        )
        row += 1


@jit(cache=False)
def multiply_row(
    active: NDArray[np.int8],
    starts: NDArray[np.int32],
    panels: NDArray[np.uint8],
    result: NDArray[np.int32],
) -> None:
    """One row of activations (1, 4 Q) with all panels, into result (1, P * LANES)."""
    count, quads = panels.shape[0], panels.shape[1]
    b_panel = quads * VECTOR_BYTES
    a, start = active.ctypes.data, starts.ctypes.data
    b, c = panels.ctypes.data, result.ctypes.data
    panel = 0
    while panel + LONG <= count:
        _long_tile(a, 0, start, b + panel * b_panel, b_panel, quads, c + panel * VECTOR_BYTES, 0)
        panel += LONG
    while panel < count:
        _row_tile(a, 0, start, b + panel * b_panel, b_panel, quads, c + panel * VECTOR_BYTES, 0)
        panel += 2
