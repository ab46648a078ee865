"""Softmax, its logarithm, and cross entropy."""

from functools import lru_cache

import numpy as np

from tinytorch.kernels.arrays import Array, filled_vector, floating, row_sums


@lru_cache(maxsize=16)
def row_starts(rows: int, width: int) -> Array:
    """Where each row of a (rows, width) array starts in memory, counted in elements; read-only."""
    starts = np.arange(rows) * width
    starts.setflags(write=False)
    return starts


def _kept_sum(x: Array, axis: int) -> Array:
    """Sum over one axis, which stays with size 1."""
    if axis in (-1, x.ndim - 1):
        return row_sums(x)[..., None]
    result: Array = np.add.reduce(x, axis=axis, keepdims=True)
    return result


class Softmax:
    """All subtract the largest value first, so that no exponential overflows."""

    def softmax(self, x: Array, *, axis: int) -> Array:
        """e ** x, divided by its sum over `axis`."""
        x = floating(x)
        result: Array = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True))
        np.exp(result, out=result)
        result /= _kept_sum(result, axis)
        return result

    def softmax_grad(self, g: Array, y: Array, *, axis: int) -> Array:
        """Gradient of `softmax` from its result y."""
        result: Array = np.multiply(g, y)
        result -= y * _kept_sum(result, axis)
        return result

    def log_softmax(self, x: Array, *, axis: int) -> Array:
        """The logarithm of `softmax`, without loss of precision for small probabilities."""
        x = floating(x)
        result: Array = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True))
        result -= np.log(_kept_sum(np.exp(result), axis))
        return result

    def log_softmax_grad(self, g: Array, y: Array, *, axis: int) -> Array:
        """Gradient of `log_softmax` from its result y."""
        result: Array = np.exp(y)
        result *= _kept_sum(g, axis)
        np.subtract(g, result, out=result)
        return result

    def cross_entropy(self, logits: Array, targets: Array) -> tuple[Array, Array]:
        """Mean of -log softmax(logits)[target] over the rows.

        Args:
            logits: (N, V), floating point.
            targets: (N,), integers in 0 ... V - 1.

        Returns:
            The mean, shape (), and the probabilities (N, V) that the gradient needs.
        """
        count, width = logits.shape
        largest = np.maximum.reduce(logits, axis=1, keepdims=True)
        shifted: Array = np.subtract(logits, largest, order="C")
        at_target = shifted.take(row_starts(count, width) + targets)  # (N,)
        probabilities = np.exp(shifted, out=shifted)
        totals = probabilities.dot(filled_vector(width, 1, logits.dtype))  # (N,)
        probabilities /= totals[:, None]
        losses = np.log(totals, out=totals)
        losses -= at_target
        mean = losses.dot(filled_vector(count, 1 / count, logits.dtype))
        return np.asarray(mean), probabilities

    def cross_entropy_grad(self, g: Array, probabilities: Array, targets: Array) -> Array:
        """Gradient of `cross_entropy` for the logits: (probabilities - one-hot) * g / N."""
        count, width = probabilities.shape
        scale = np.asarray(g / count, probabilities.dtype)
        result: Array = np.multiply(probabilities, scale, order="C")
        result.reshape(-1)[row_starts(count, width) + targets] -= scale
        return result
