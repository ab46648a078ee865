"""Softmax, its logarithm, and cross entropy."""

import numpy as np

from tinytorch.kernels.arrays import Array, floating


class Softmax:
    """All subtract the largest value first, so that no exponential overflows."""

    def softmax(self, x: Array, *, axis: int) -> Array:
        """e ** x, divided by its sum over `axis`."""
        x = floating(x)
        result: Array = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True))
        np.exp(result, out=result)
        result /= np.add.reduce(result, axis=axis, keepdims=True)
        return result

    def softmax_grad(self, g: Array, y: Array, *, axis: int) -> Array:
        """Gradient of `softmax` from its result y."""
        result: Array = np.multiply(g, y)
        result -= y * np.add.reduce(result, axis=axis, keepdims=True)
        return result

    def log_softmax(self, x: Array, *, axis: int) -> Array:
        """The logarithm of `softmax`, without loss of precision for small probabilities."""
        x = floating(x)
        result: Array = np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True))
        result -= np.log(np.add.reduce(np.exp(result), axis=axis, keepdims=True))
        return result

    def log_softmax_grad(self, g: Array, y: Array, *, axis: int) -> Array:
        """Gradient of `log_softmax` from its result y."""
        result: Array = np.exp(y)
        result *= np.add.reduce(g, axis=axis, keepdims=True)
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
        rows = np.arange(logits.shape[0])
        shifted: Array = np.subtract(logits, np.maximum.reduce(logits, axis=1, keepdims=True))
        at_target = shifted[rows, targets]  # (N,)
        probabilities = np.exp(shifted, out=shifted)
        totals = np.add.reduce(probabilities, axis=1, keepdims=True)
        probabilities /= totals
        losses = np.log(totals[:, 0])
        losses -= at_target
        return np.asarray(np.add.reduce(losses) / logits.dtype.type(len(rows))), probabilities

    def cross_entropy_grad(self, g: Array, probabilities: Array, targets: Array) -> Array:
        """Gradient of `cross_entropy` for the logits: (probabilities - one-hot) * g / N."""
        count = probabilities.shape[0]
        scale = probabilities.dtype.type(g / count)
        result: Array = np.multiply(probabilities, scale)
        result[np.arange(count), targets] -= scale
        return result
