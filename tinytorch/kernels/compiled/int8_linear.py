"""`Int8Linear`: a linear layer with int8 weights for float32 activations."""

import numpy as np
from numpy.typing import NDArray

from tinytorch.kernels.compiled.int8_gemm import MAX_CHANNELS
from tinytorch.kernels.compiled.int8_product import Stored, quantized_product, stored_weights
from tinytorch.kernels.compiled.int8_quantize import quantize_rows
from tinytorch.kernels.compiled.int8_types import INPUT, RESULT, VECTOR, Typed, stored
from tinytorch.kernels.compiled.jit import jit


class Int8Linear:
    """x @ weight.T + bias, computed with int8 weights and int8 activations.

    Each weight row has a scale of its own, and so has each row of activations, found anew in each
    call (*dynamic quantization*). Sums are exact integers; the result is float32.

    Args:
        weight: (N, K) float32; it is quantized, not kept.
        bias: (N,) float32 or None.

    Raises:
        TypeError: weight or bias not arrays of float32.
        ValueError: shapes that do not fit, NaN or inf, or K above 131071.
    """

    def __init__(
        self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None = None
    ) -> None:
        self.shape = np.shape(weight)
        self._stored, self._scales, self._bias = quantized_layer(weight, bias)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply the layer.

        Args:
            x: (M, K) float32. A row with NaN or inf gives a row of NaN.

        Returns:
            (M, N) float32.

        Raises:
            TypeError: not an array of float32.
            ValueError: not (M, K).
        """
        _check_float32("x", x)
        if x.ndim != 2 or x.shape[1] != self.shape[1]:
            raise ValueError(
                f"Int8Linear: x has shape {x.shape}; the weight {self.shape} needs "
                f"(M, {self.shape[1]})"
            )
        result = np.empty((len(x), self.shape[0]), np.float32)  # (M, N)
        kernel = LINEAR[self._stored.dtype == np.uint8]
        kernel(np.ascontiguousarray(x), self._stored, self._scales, self._bias, result)
        return result

    @property
    def nbytes(self) -> int:
        """Bytes of the weights as they are stored, with scales and bias."""
        return self._stored.nbytes + self._scales.nbytes + self._bias.nbytes


def quantized_layer(
    weight: NDArray[np.float32], bias: NDArray[np.float32] | None
) -> tuple[Stored, NDArray[np.float32], NDArray[np.float32]]:
    """What `linear_rows` needs of a layer.

    Args:
        weight: (N, K) float32.
        bias: (N,) float32 or None.

    Returns:
        Stored weights, scales (N,) and bias (N,), zeros if there is none.

    Raises:
        TypeError, ValueError: see `Int8Linear`.
    """
    _check_weights(weight, bias)
    values, scales = quantize_weight_rows(weight)
    filled = np.zeros(len(weight), np.float32) if bias is None else np.array(bias)
    return stored_weights(values), scales, filled


def quantize_weight_rows(
    weight: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 (N, K) with a scale (N,) for each row."""
    largest = np.abs(weight).max(axis=1, initial=0)  # (N,)
    scales = (largest / np.float32(127)).astype(np.float32)
    scales[scales == 0] = 1  # a row of zeros, or one too small for a scale: all of it becomes 0
    values = np.rint(weight / scales[:, None])  # (N, K)
    return np.clip(values, -127, 127).astype(np.int8), scales


@jit(cache=False)
def linear_rows(
    x: NDArray[np.float32],
    weights: Stored,
    weight_scales: NDArray[np.float32],
    bias: NDArray[np.float32],
    result: NDArray[np.float32],
) -> None:
    """Quantize x (M, K), multiply with stored weights, and write float32 (M, N)."""
    rows, channels = x.shape
    active = np.empty((rows, channels + -channels % 4), np.int8)
    row_scales = np.empty(rows, np.float32)
    starts = np.empty(rows, np.int32)
    quantize_rows(x, active, row_scales, starts)
    quantized_product(active, row_scales, starts, weights, weight_scales, bias, result)


LINEAR = tuple(
    Typed(linear_rows.py_func, INPUT, stored(packed), VECTOR, VECTOR, RESULT)  # type: ignore[attr-defined]
    for packed in (False, True)
)
"""`linear_rows` to be called from Python, for weights in rows and in panels."""


def _check_weights(weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> None:
    _check_float32("weight", weight)
    if weight.ndim != 2 or weight.shape[1] > MAX_CHANNELS:
        raise ValueError(
            f"Int8Linear: weight has shape {weight.shape}; it must be (N, K), K up to "
            f"{MAX_CHANNELS} so that sums fit into int32"
        )
    _check_finite("weight", weight)
    if bias is None:
        return
    _check_float32("bias", bias)
    if bias.shape != weight.shape[:1]:
        raise ValueError(
            f"Int8Linear: bias has shape {bias.shape}; the weight {weight.shape} needs "
            f"({weight.shape[0]},)"
        )
    _check_finite("bias", bias)


def _check_float32(name: str, array: NDArray[np.float32]) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(
            f"Int8Linear: {name} is {kind}; it must be a NumPy array of float32 "
            "(a Tensor's array is tensor.data)"
        )


def _check_finite(name: str, array: NDArray[np.float32]) -> None:
    wrong = ~np.isfinite(array)
    if wrong.any():
        first = tuple(int(axis[0]) for axis in np.nonzero(wrong))
        raise ValueError(
            f"Int8Linear: {name} holds {int(wrong.sum())} NaN or inf, the first at {first}; "
            "its scales would be NaN. Mend or retrain the model first"
        )
