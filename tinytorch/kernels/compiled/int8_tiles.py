"""Blocks of int8 dot products that stay in registers, written for LLVM.

LLVM never makes `vpdpbusd` out of a loop by itself, so these inner loops are built from its
intrinsic. Both operands are int8 to the outside. The instruction wants one unsigned: weights are
taken as w + 128, and each sum starts at -128 times the sum of its activations, which undoes that.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tinytorch.kernels.compiled.int8_vnni import LANES

BITS = 32 * LANES
VECTOR_BYTES = 4 * LANES

INT32 = ir.IntType(32)
INT64 = ir.IntType(64)
LANE_VECTOR = ir.VectorType(INT32, LANES)
BYTE_VECTOR = ir.VectorType(ir.IntType(8), VECTOR_BYTES)
BYTE_OPERANDS = llvm.llvm_version_info[0] >= 22
"""Since LLVM 22 the intrinsic takes its bytes as bytes; before, as 32-bit lanes."""


class TileBuilder:
    """Emits the instructions of one tile through llvmlite's builder."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        operand = BYTE_VECTOR if BYTE_OPERANDS else LANE_VECTOR
        self._operand = operand
        self._dot = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(LANE_VECTOR, [LANE_VECTOR, operand, operand]),
            f"llvm.x86.avx512.vpdpbusd.{BITS}",
        )
        self._sum = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module,
            ir.FunctionType(INT32, [LANE_VECTOR]),
            f"llvm.vector.reduce.add.v{LANES}i32",
        )

    def address(self, base: ir.Value, step: ir.Value, times: int) -> ir.Value:
        """base + step * times."""
        if times == 0:
            return base
        return self.builder.add(base, self.builder.mul(step, INT64(times)))

    def load(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        """A value that need not be aligned."""
        value = self.builder.load(self.builder.inttoptr(address, kind.as_pointer()))
        value.align = 1
        return value

    def store(self, value: ir.Value, address: ir.Value) -> None:
        """Write int32 or a vector of them."""
        pointer = self.builder.inttoptr(address, value.type.as_pointer())
        self.builder.store(value, pointer).align = 4

    def splat(self, value: ir.Value) -> ir.Value:
        """An int32 in each lane."""
        undefined = ir.Constant(LANE_VECTOR, ir.Undefined)
        first = self.builder.insert_element(undefined, value, INT32(0))
        return self.builder.shuffle_vector(first, undefined, LANE_VECTOR([0] * LANES))

    def variable(self, start: ir.Value) -> ir.Value:
        """A vector that the loop changes; LLVM keeps it in a register."""
        place = cgutils.alloca_once(self.builder, LANE_VECTOR)  # type: ignore[no-untyped-call]
        self.builder.store(start, place)
        return place

    def accumulate(self, place: ir.Value, unsigned: ir.Value, signed: ir.Value) -> None:
        """Add the four products of each lane."""
        operands = [self.builder.bitcast(one, self._operand) for one in (unsigned, signed)]
        before = self.builder.load(place)
        self.builder.store(self.builder.call(self._dot, [before, *operands]), place)

    def lane_sum(self, place: ir.Value) -> ir.Value:
        """The sum of a vector's lanes."""
        return self.builder.call(self._sum, [self.builder.load(place)])


def panel_tile(rows: int, panels: int) -> Callable[..., None]:
    """A kernel for `rows` rows of activations and `panels` panels of weights.

    Compiled code calls it with addresses and distances in bytes:
    `tile(a, a_row, starts, b, b_panel, quads, c, c_row)`. Activations a are int8, quads * 4 a row;
    starts holds an int32 for each row, with which its sums begin; a panel of b has for each of the
    `quads` groups of four channels LANES * 4 bytes, four of each weight row, as w + 128; c takes
    int32, LANES for each panel.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        a, a_row, starts, b, b_panel, quads, c, c_row = args
        tile = TileBuilder(builder)
        sums = []
        for row in range(rows):
            start = tile.splat(tile.load(tile.address(starts, INT64(4), row), INT32))
            sums.append([tile.variable(start) for _ in range(panels)])
        with cgutils.for_range(builder, quads, intp=INT64) as loop:
            here = builder.add(b, builder.mul(loop.index, INT64(VECTOR_BYTES)))
            places = [tile.address(here, b_panel, panel) for panel in range(panels)]
            weights = [tile.load(place, BYTE_VECTOR) for place in places]
            four = builder.add(a, builder.mul(loop.index, INT64(4)))
            for row in range(rows):
                active = tile.splat(tile.load(tile.address(four, a_row, row), INT32))
                for panel in range(panels):
                    tile.accumulate(sums[row][panel], weights[panel], active)
        for row in range(rows):
            for panel in range(panels):
                place = builder.add(tile.address(c, c_row, row), INT64(panel * VECTOR_BYTES))
                tile.store(builder.load(sums[row][panel]), place)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        typing: Any,
        a: Any,
        a_row: Any,
        starts: Any,
        b: Any,
        b_panel: Any,
        quads: Any,
        c: Any,
        c_row: Any,
    ) -> Any:
        return types.void(*[types.intp] * 8), emit

    return tile


def dot_tile(rows: int, columns: int) -> Callable[..., None]:
    """A kernel for `rows` rows of activations and `columns` rows of weights that are not packed.

    Compiled code calls it with addresses and distances in bytes:
    `tile(a, a_row, b, b_row, chunks, c, c_row)`. Rows of a and b are int8, at least `chunks` *
    VECTOR_BYTES of them; the int32 sums of a * (w + 128) are added to c.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        a, a_row, b, b_row, chunks, c, c_row = args
        tile = TileBuilder(builder)
        zero, flip = LANE_VECTOR([0] * LANES), BYTE_VECTOR([-128] * VECTOR_BYTES)
        sums = [[tile.variable(zero) for _ in range(columns)] for _ in range(rows)]
        with cgutils.for_range(builder, chunks, intp=INT64) as loop:
            offset = builder.mul(loop.index, INT64(VECTOR_BYTES))
            places = [tile.address(builder.add(a, offset), a_row, row) for row in range(rows)]
            active = [tile.load(place, BYTE_VECTOR) for place in places]
            for column in range(columns):
                place = tile.address(builder.add(b, offset), b_row, column)
                weights = builder.xor(tile.load(place, BYTE_VECTOR), flip)
                for row in range(rows):
                    tile.accumulate(sums[row][column], weights, active[row])
        for row in range(rows):
            for column in range(columns):
                place = builder.add(tile.address(c, c_row, row), INT64(4 * column))
                total = builder.add(tile.load(place, INT32), tile.lane_sum(sums[row][column]))
                tile.store(total, place)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        typing: Any, a: Any, a_row: Any, b: Any, b_row: Any, chunks: Any, c: Any, c_row: Any
    ) -> Any:
        return types.void(*[types.intp] * 7), emit

    return tile
