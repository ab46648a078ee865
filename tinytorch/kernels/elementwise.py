"""Operations on each element by itself, and their gradients."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from tinytorch.kernels.arrays import Array, blocks, filled_vector, floating

GELU_SLOPE = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715
SHORTEST_ROW, LONGEST_ROW = 1 << 10, 1 << 14


class Elementwise:
    """Arithmetic and functions of one variable. Shapes broadcast as in NumPy."""

    def add(self, a: Array, b: Array) -> Array:
        """a + b."""
        result: Array = np.add(a, b)
        return result

    def sub(self, a: Array, b: Array) -> Array:
        """a - b."""
        result: Array = np.subtract(a, b)
        return result

    def mul(self, a: Array, b: Array) -> Array:
        """a * b."""
        result: Array = np.multiply(a, b)
        return result

    def div(self, a: Array, b: Array) -> Array:
        """a / b; integers divide to float32."""
        if a.dtype.kind != "f" and b.dtype.kind != "f":
            a, b = floating(a), floating(b)
        result: Array = np.divide(a, b)
        return result

    def pow(self, a: Array, b: Array) -> Array:
        """a ** b. The usual exponents are products or roots: general power is 27 times slower."""
        if b.ndim == 0 and a.dtype.kind == "f":
            exponent = float(b)
            if exponent == 1.0:
                return self.copy(a)
            if exponent == 2.0:
                return self.mul(a, a)
            if exponent == 3.0:
                return self.mul(self.mul(a, a), a)
            if exponent == 0.5:
                return self.sqrt(a)
            if exponent == -1.0:
                return self.div(np.ones((), a.dtype), a)
        result: Array = np.power(a, b)
        return result

    def pow_grad_base(self, g: Array, a: Array, b: Array) -> Array:
        """g * b * a ** (b - 1), in the broadcast shape; 0 where b is 0."""
        constant = b == 0
        if b.ndim == 0:
            if constant:
                return np.zeros(g.shape, g.dtype)
            result: Array = self.mul(self.pow(a, np.asarray(b - 1)), b)
        else:
            result = b * np.power(a, np.where(constant, 1, b - 1))
        return self.mul(g, result)

    def pow_grad_exponent(self, g: Array, a: Array, y: Array) -> Array:
        """g * y * log(a) with y = a ** b, in the broadcast shape; 0 where a is 0."""
        result: Array = g * y * np.log(np.where(a == 0, 1, a))
        return result.astype(g.dtype, copy=False)

    def maximum(self, a: Array, b: Array) -> Array:
        """The larger of a and b."""
        result: Array = np.maximum(a, b)
        return result

    def maximum_grad(self, g: Array, a: Array, b: Array) -> tuple[Array, Array]:
        """Gradients of `maximum` for a and b, in the broadcast shape; equal values share it."""
        share = (a > b) + 0.5 * (a == b)
        to_a = (g * share).astype(g.dtype, copy=False)
        return to_a, g - to_a

    def neg(self, x: Array) -> Array:
        """-x."""
        result: Array = np.negative(x)
        return result

    def abs(self, x: Array) -> Array:
        """|x|."""
        result: Array = np.absolute(x)
        return result

    def abs_grad(self, g: Array, x: Array) -> Array:
        """g * sign(x)."""
        result: Array = np.multiply(g, np.sign(x))
        return result

    def exp(self, x: Array) -> Array:
        """e ** x."""
        result: Array = np.exp(floating(x))
        return result

    def log(self, x: Array) -> Array:
        """Natural logarithm."""
        result: Array = np.log(floating(x))
        return result

    def sqrt(self, x: Array) -> Array:
        """Square root."""
        result: Array = np.sqrt(floating(x))
        return result

    def tanh(self, x: Array) -> Array:
        """Hyperbolic tangent."""
        result: Array = np.tanh(floating(x))
        return result

    def tanh_grad(self, g: Array, y: Array) -> Array:
        """g * (1 - y²), from the result y."""
        slope = np.multiply(y, y)
        slope = np.subtract(1, slope)
        result: Array = np.multiply(g, slope)
        return result

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + e ** -x), without overflow for large |x|."""
        x = floating(x)
        decay = np.exp(-np.absolute(x))  # never more than 1
        result: Array = np.where(x >= 0, 1, decay) / (1 + decay)
        return result.astype(x.dtype, copy=False)

    def sigmoid_grad(self, g: Array, y: Array) -> Array:
        """g * y * (1 - y), from the result y."""
        slope = np.subtract(1, y)
        slope = np.multiply(slope, y)
        result: Array = np.multiply(g, slope)
        return result

    def relu(self, x: Array) -> Array:
        """max(x, 0).

        NumPy compares two rows three times as fast as a row and a number. So a large array is taken
        as rows of equal length, each compared with a row of zeros.
        """
        length = min(x.size & -x.size, LONGEST_ROW)  # a power of two that divides the size
        if length < SHORTEST_ROW or x.size < 4 * SHORTEST_ROW or not x.flags.c_contiguous:
            result: Array = np.maximum(x, np.zeros((), x.dtype))
            return result
        zeros = filled_vector(length, 0, x.dtype)
        result = np.maximum(x.reshape(-1, length), zeros).reshape(x.shape)
        return result

    def relu_grad(self, g: Array, y: Array) -> Array:
        """g where the result y is positive, else 0."""
        result: Array = np.greater(y, 0).astype(g.dtype)
        result *= g
        return result

    def gelu(self, x: Array) -> Array:
        """0.5 x (1 + tanh(0.798 (x + 0.0447 x³))).

        Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415, tanh form.
        """
        x = floating(x)
        one, half = _numbers((1, 0.5), x.dtype)
        result = _gelu_tanh(x)
        result += one
        result *= x
        result *= half
        return result

    def gelu_grad(self, g: Array, x: Array) -> Array:
        """Gradient of `gelu` for its input x."""
        result: Array = np.empty(x.shape, np.result_type(g, x))
        flat_g, flat_x, flat = g.reshape(-1), x.reshape(-1), result.reshape(-1)
        for block in blocks(x.size, 4 * x.itemsize):
            np.multiply(_gelu_slope(flat_x[block]), flat_g[block], out=flat[block])
        return result

    def cast(self, x: Array, *, dtype: np.dtype[Any]) -> Array:
        """A copy of x in another dtype."""
        return x.astype(dtype)

    def copy(self, x: Array) -> Array:
        """A contiguous copy of x."""
        return np.array(x, order="C")

    def broadcast(self, x: Array, *, shape: tuple[int, ...]) -> Array:
        """x written out in a larger shape, in memory of its own so that BLAS can read it."""
        result: Array = np.empty(shape, x.dtype)
        result[...] = x
        return result


@lru_cache(maxsize=32)
def _numbers(values: tuple[float, ...], dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """Arrays of shape (): NumPy combines them with an array twice as fast as Python's numbers."""
    arrays = tuple(np.asarray(value, dtype) for value in values)
    for array in arrays:
        array.setflags(write=False)
    return arrays


def _gelu_slope(x: Array) -> Array:
    """0.5 (1 + t) (1 + (1 - t) x u') with t = tanh(u) and u = 0.798 (x + 0.0447 x³)."""
    t = _gelu_tanh(x)
    x_inner = np.multiply(x, x)
    x_inner *= 3 * GELU_CUBIC * GELU_SLOPE
    x_inner += GELU_SLOPE
    x_inner *= x
    result: Array = np.subtract(1, t)
    result *= x_inner
    result += 1
    t += 1
    result *= t
    result *= 0.5
    return result


def _gelu_tanh(x: Array) -> Array:
    """tanh(0.798 (x + 0.0447 x³)), as products because `x ** 3` is slow."""
    cubic, slope = _numbers((GELU_CUBIC * GELU_SLOPE, GELU_SLOPE), x.dtype)
    u = np.array(np.multiply(x, x), copy=None)
    u *= cubic
    u += slope
    u *= x
    np.tanh(u, out=u)
    return u
