"""Telling the compiler that a row's elements lie side by side."""

from collections.abc import Callable
from typing import Any, cast

from numba import types
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic

from tinytorch.kernels.arrays import Array


def _packed(typing_context: Any, row: types.Array) -> Any:
    """The same one-dimensional array, declared to have no gaps between its elements.

    A row of a cache's view has a step that numba does not know, and a loop over it then loads one
    element at a time: ten times slower. Only for rows whose step is the size of one element;
    whoever calls a kernel from Python has to see to that.

    Args:
        typing_context: numba's; the compiled call gives only the row.
        row: (N,), no gaps.
    """
    if not isinstance(row, types.Array) or row.ndim != 1:
        return None
    result = row.copy(layout="C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return impl_ret_borrowed(context, builder, result, arguments[0])  # type: ignore[no-untyped-call]

    return result(row), generate


packed = cast(Callable[[Array], Array], intrinsic(_packed))
