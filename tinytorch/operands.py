"""The arguments of tensor operations: numbers beside tensors, dimensions, and what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.reductions import Axis


def numbers(data: Any, dtype: npt.DTypeLike | None) -> Array:
    """The array of a Python number or nested lists of them; floats become float32."""
    array = np.asarray(data)
    if dtype is None and array.dtype == np.float64:
        dtype = np.float32
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"a tensor holds numbers, got {type(data).__name__} that NumPy reads as {array.dtype}"
        )
    return array if dtype is None else array.astype(dtype)


def operand(value: Any, dtype: np.dtype[Any]) -> Array:
    """The other side of an operation with a tensor of `dtype`.

    A number takes the tensor's dtype (an integer tensor and a float give float32); an array keeps
    its own.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, (bool, np.bool_)):
        return np.asarray(value)
    if isinstance(value, (int, np.integer)):
        return np.asarray(int(value), np.dtype(np.int64) if dtype.kind == "b" else dtype)
    if isinstance(value, (float, np.floating)):
        return np.asarray(value, dtype if dtype.kind == "f" else np.float32)
    raise TypeError(f"a tensor cannot be combined with {type(value).__name__}")


def dimension(dim: int, ndim: int) -> int:
    """`dim` counted from the front, after checking that it exists."""
    if not -ndim <= dim < ndim:
        raise IndexError(f"dimension {dim} does not exist: this tensor has {ndim} dimensions")
    return dim % ndim


def dimensions(dim: int | Sequence[int] | None, ndim: int) -> Axis:
    """One dimension, several or all (None), counted from the front, after the same check."""
    if dim is None:
        return None
    if isinstance(dim, (int, np.integer)):
        return dimension(int(dim), ndim)
    return tuple(dimension(one, ndim) for one in dim)


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """`shape` with 1 in place of the reduced axes."""
    if axis is None:
        return (1,) * len(shape)
    axes = (axis,) if isinstance(axis, int) else axis
    return tuple(1 if i in axes else size for i, size in enumerate(shape))


def sizes(given: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(given) == 1 and not isinstance(given[0], (int, np.integer)):
        return tuple(given[0])
    return tuple(given)  # type: ignore[arg-type]


def broadcast_error(op: str, a: Array, b: Array, error: ValueError) -> ValueError:
    """The error to raise when a kernel refused two operands; names both shapes."""
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return ValueError(
            f"{op}: shapes {a.shape} and {b.shape} do not broadcast; from the last dimension on, "
            "sizes must be equal or 1"
        )
    return ValueError(f"{op} of shapes {a.shape} and {b.shape}: {error}")


def matmul_error(a: Array, b: Array, error: ValueError) -> ValueError:
    """The error to raise when `matmul` refused two operands; names both shapes."""
    return ValueError(
        f"matmul: shapes {a.shape} and {b.shape} do not fit; the last size of the first must equal "
        f"the second-last of the second, and leading sizes must broadcast ({error})"
    )
