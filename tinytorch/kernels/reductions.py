"""Operations that remove axes."""

import math
from typing import Any, TypeAlias

import numpy as np

from tinytorch.kernels.arrays import Array, filled_vector, floating, row_sums

Axis: TypeAlias = int | tuple[int, ...] | None

_add: Any = np.add.reduce
_maximum: Any = np.maximum.reduce


def reduced_count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements of `shape` go into one result when `axis` is removed."""
    if axis is None:
        return math.prod(shape)
    axes = (axis,) if isinstance(axis, int) else axis
    return math.prod(shape[i] for i in axes)


class Reductions:
    """Sum, mean and largest value over one axis, several, or all (`axis=None`)."""

    def sum(self, x: Array, *, axis: Axis, keepdims: bool) -> Array:
        """Sum; integers and bools add up to int64."""
        if x.ndim > 1 and not keepdims and x.dtype.kind == "f":
            if axis == x.ndim - 1:
                return row_sums(x)
            if axis == 0 and x.ndim == 2:
                result: Array = filled_vector(x.shape[0], 1, x.dtype).dot(x)
                return result
            if axis == (0, 2, 3) and x.ndim == 4:
                return self.sum(row_sums(x.reshape(*x.shape[:2], -1)), axis=0, keepdims=False)
        return np.asarray(_add(x, axis=axis, keepdims=keepdims))

    def mean(self, x: Array, *, axis: Axis, keepdims: bool) -> Array:
        """Arithmetic mean; integers give float32."""
        x = floating(x)
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return np.asarray(total / reduced_count(x.shape, axis))

    def max(self, x: Array, *, axis: Axis, keepdims: bool) -> Array:
        """Largest value."""
        return np.asarray(_maximum(x, axis=axis, keepdims=keepdims))

    def max_grad(self, g: Array, x: Array, y: Array, *, axis: Axis) -> Array:
        """Gradient of `max`: g and y keep the removed axes as 1; equal values share."""
        largest = x == y
        count = np.add.reduce(largest, axis=axis, keepdims=True, dtype=g.dtype)
        result: Array = largest * (g / count)
        return result
