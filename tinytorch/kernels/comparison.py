"""Comparisons. They return bool arrays and have no gradient."""

import numpy as np

from tinytorch.kernels.arrays import Array


class Comparison:
    """Elementwise comparisons (broadcasting) and the position of the largest."""

    def equal(self, a: Array, b: Array) -> Array:
        """a == b."""
        result: Array = np.equal(a, b)
        return result

    def not_equal(self, a: Array, b: Array) -> Array:
        """a != b."""
        result: Array = np.not_equal(a, b)
        return result

    def less(self, a: Array, b: Array) -> Array:
        """a < b."""
        result: Array = np.less(a, b)
        return result

    def less_equal(self, a: Array, b: Array) -> Array:
        """a <= b."""
        result: Array = np.less_equal(a, b)
        return result

    def greater(self, a: Array, b: Array) -> Array:
        """a > b."""
        result: Array = np.greater(a, b)
        return result

    def greater_equal(self, a: Array, b: Array) -> Array:
        """a >= b."""
        result: Array = np.greater_equal(a, b)
        return result

    def argmax(self, x: Array, *, axis: int | None, keepdims: bool) -> Array:
        """Positions of the largest values, int64; the first one of equals."""
        return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims))
