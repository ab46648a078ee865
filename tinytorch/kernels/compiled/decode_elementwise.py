"""Normalization and activation of a step's few rows."""

import math

import numpy as np

from tinytorch.kernels.arrays import Array
from tinytorch.kernels.compiled.jit import jit

F32 = np.float32
GELU_SLOPE = F32(2 * math.sqrt(2 / math.pi))
GELU_CUBIC = F32(0.044715)
LARGEST_EXPONENT = F32(87)  # e ** 88 is already close to the largest float32
LOG2_E = F32(math.log2(math.e))
LN_2_HIGH, LN_2_LOW = F32(0.693145751953125), F32(1.42860682030941723e-6)  # their sum is ln 2
# The last terms of the Taylor series of e ** r, spread over |r| <= ln(2) / 2.
TERMS = tuple(F32(1 / math.factorial(k)) for k in range(7, 1, -1))


@jit(any_order=True, cache=False)
def exp(x: np.float32) -> np.float32:
    """e ** x for a float32, in steps that the processor does for 8 or 16 numbers at once.

    x = n ln 2 + r with a whole n and |r| <= ln(2) / 2; e ** r is a polynomial, and multiplying by
    2 ** n adds n to the exponent's bits. Below -87 and above 87 the result stays where it is there.

    Source: Cody and Waite, "Software Manual for the Elementary Functions", 1980.
    """
    x = -LARGEST_EXPONENT if x < -LARGEST_EXPONENT else x
    x = LARGEST_EXPONENT if x > LARGEST_EXPONENT else x
    n = np.floor(x * LOG2_E + F32(0.5))
    r = (x - n * LN_2_HIGH) - n * LN_2_LOW
    series = TERMS[0]
    series = series * r + TERMS[1]
    series = series * r + TERMS[2]
    series = series * r + TERMS[3]
    series = series * r + TERMS[4]
    series = series * r + TERMS[5]
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (series * r * r + r + F32(1)) * power  # type: ignore[no-any-return]


@jit(any_order=True, cache=False)
def gelu_rows(x: Array) -> None:
    """GELU in its tanh form, in place: x / (1 + e ** -2u) with u = 0.798 (x + 0.0447 x³).

    Args:
        x: (B, N) float32.

    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", arXiv:1606.08415.
    """
    for b in range(x.shape[0]):
        row = x[b]
        for i in range(row.size):
            v = row[i]
            row[i] = v / (F32(1) + exp(-GELU_SLOPE * (v + GELU_CUBIC * v * v * v)))


@jit(any_order=True, cache=False)
def layer_norm_rows(x: Array, weight: Array, bias: Array, eps: np.float32, out: Array) -> None:
    """Each row of x to mean 0 and variance 1, then scaled and shifted, into `out`.

    Args:
        x: (B, C) float32.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.
        out: (B, C), written.

    Source: Ba, Kiros and Hinton, "Layer Normalization", arXiv:1607.06450.
    """
    channels = F32(x.shape[1])
    for b in range(x.shape[0]):
        row, normal = x[b], out[b]
        total = F32(0)
        for i in range(row.size):
            total += row[i]
        mean = total / channels
        squares = F32(0)
        for i in range(row.size):
            centred = row[i] - mean
            normal[i] = centred
            squares += centred * centred
        scale = F32(1) / np.sqrt(squares / channels + eps)
        for i in range(row.size):
            normal[i] = normal[i] * scale * weight[i] + bias[i]
