"""One update of a parameter, in place."""

import math
from collections.abc import Iterator

import numpy as np

from tinytorch.kernels.arrays import Array, blocks

SMALL = 1 << 15
"""Parameters up to this many elements are updated in one piece."""


def _pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The arrays in pieces of the same places; whole when small or not contiguous."""
    size = arrays[0].size
    if size <= SMALL or not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for block in blocks(size, 4 * arrays[0].itemsize):
        yield tuple(array[block] for array in flat)


class OptimizerSteps:
    """The arithmetic of SGD and AdamW. The gradient is only read; parameter and state change."""

    def sgd_step(
        self,
        parameter: Array,
        gradient: Array,
        velocity: Array | None = None,
        *,
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> tuple[Array, ...]:
        """One step of stochastic gradient descent.

        Args:
            velocity: running sum of gradients, of the parameter's shape; needed for `momentum`.

        Returns:
            The arrays that changed: the parameter[, the velocity].

        Source: Sutskever et al., "On the importance of initialization and momentum", ICML 2013.
        """
        if velocity is None:
            for p, g in _pieces(parameter, gradient):
                np.subtract(p, np.multiply(g + weight_decay * p if weight_decay else g, lr), p)
            return (parameter,)
        for p, g, v in _pieces(parameter, gradient, velocity):
            direction = g + weight_decay * p if weight_decay else g
            v *= momentum
            v += direction
            p -= lr * (direction + momentum * v if nesterov else v)
        return parameter, velocity

    def adamw_step(
        self,
        parameter: Array,
        gradient: Array,
        m: Array,
        v: Array,
        *,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        step: int,
    ) -> tuple[Array, ...]:
        """One step of AdamW; `step` counts from 1.

        Args:
            m, v: running means of the gradient and of its square, of the parameter's shape.

        Returns:
            The arrays that changed: parameter, m, v.

        Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101.
        """
        step_size = lr / (1 - beta1**step)
        root_correction = math.sqrt(1 - beta2**step)
        for p, g, mean, square in _pieces(parameter, gradient, m, v):
            mean *= beta1
            mean += (1 - beta1) * g
            square *= beta2
            scratch = g * g
            scratch *= 1 - beta2
            square += scratch
            np.sqrt(square, out=scratch)
            scratch *= 1 / root_correction
            scratch += eps
            np.divide(mean, scratch, out=scratch)
            scratch *= step_size
            if weight_decay:
                p *= 1 - lr * weight_decay
            p -= scratch
        return parameter, m, v
