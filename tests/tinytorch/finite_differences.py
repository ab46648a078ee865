"""The oracle for gradients: central differences in float64."""

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from tinytorch import Tensor

Floats = NDArray[np.float64]

seeds = st.integers(0, 2**32 - 1)


def numeric_gradient(
    function: Callable[[], float], array: Floats, step: float = 1e-6
) -> NDArray[np.float64]:
    """d function() / d array, moving one element at a time (in place, and back)."""
    gradient = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        value = array[place]
        array[place] = value + step
        above = function()
        array[place] = value - step
        below = function()
        array[place] = value
        gradient[place] = (above - below) / (2 * step)
    return gradient


def check_gradients(
    function: Callable[..., Tensor],
    *arrays: Floats,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float = 1e-6,
) -> None:
    """The gradients of `function` for all arrays, against central differences.

    The result is weighted with fixed random numbers, so that each element of it counts differently.
    """
    tensors = [Tensor(array, requires_grad=True) for array in arrays]
    result = function(*tensors)
    assert result.dtype == np.float64, f"the result became {result.dtype}"
    weights = np.random.default_rng(0).uniform(0.5, 1.5, result.shape)
    result.backward(weights)

    def weighted() -> float:
        value = function(*(Tensor(array) for array in arrays))
        return float((value.data * weights).sum())

    for number, (tensor, array) in enumerate(zip(tensors, arrays, strict=True)):
        assert tensor.grad is not None, f"operand {number} got no gradient"
        assert tensor.grad.dtype == np.float64
        np.testing.assert_allclose(
            tensor.grad.data,
            numeric_gradient(weighted, array, step),
            rtol=rtol,
            atol=atol,
            err_msg=f"gradient of operand {number} of shape {array.shape}",
        )


def away_from_zero(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Values of both signs with 0.1 <= |value|, for functions with a kink or pole at 0."""
    signs = rng.choice([-1.0, 1.0], shape)
    return np.asarray(signs * rng.uniform(0.1, 2.0, shape))


def all_different(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Values at least 0.01 apart, for functions that compare elements."""
    count = int(np.prod(shape))
    return np.asarray(rng.permutation(count).reshape(shape) * 0.01 - 0.5)
