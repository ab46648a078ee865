"""A linear layer with int8 weights: beside float32 in NumPy, and dynamic int8 in PyTorch.

All sides take float32 and return float32, so quantizing the activations is inside the clock. The
int8 results may be off by rounding; each case first asserts by how much, against float64.
"""

import warnings
from functools import cache as once

import numpy as np
import torch
from torch.ao import quantization

from benchmarks.case import Case
from tinytorch.kernels.compiled import Int8Linear, vnni_available

CHANNELS = 1024
OUR_ERROR = 0.012
"""Rounding to 8 bits, as a share of the result: root of the mean square over the other."""


@once
def weight() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((CHANNELS, CHANNELS)) / 32).astype(np.float32)  # (N, K)


@once
def ours() -> Int8Linear:
    return Int8Linear(weight())


def activations(rows: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, CHANNELS)).astype(np.float32)


def error(result: np.ndarray, x: np.ndarray) -> float:
    exact = x.astype(np.float64) @ weight().T.astype(np.float64)
    return float(np.linalg.norm(result - exact) / np.linalg.norm(exact))


@once
def torch_layer() -> torch.nn.Module:
    """PyTorch's dynamic int8 layer with a scale for each weight row, the more exact of its two."""
    layer = torch.nn.Linear(CHANNELS, CHANNELS, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight()))
    with warnings.catch_warnings():  # torch.ao still is what `pip install torch` brings for int8
        warnings.simplefilter("ignore")
        settings = {torch.nn.Linear: quantization.per_channel_dynamic_qconfig}
        quantized = quantization.quantize_dynamic(torch.nn.Sequential(layer), settings)
    return quantized[0]  # type: ignore[no-any-return]


def one_row() -> Case:
    x, matrix, layer = activations(1), weight(), ours()
    assert error(layer(x), x) <= OUR_ERROR
    return Case(
        f"int8 linear 1x{CHANNELS}x{CHANNELS}",
        1.4 if vnni_available() else None,
        lambda: layer(x),
        lambda: x @ matrix.T,
        peer_name="NumPy fp32",
    )


def batch(rows: int) -> Case:
    x, layer, peer = activations(rows), ours(), torch_layer()
    given = torch.from_numpy(x)

    def torch_int8() -> torch.Tensor:
        with torch.inference_mode():
            return peer(given)  # type: ignore[no-any-return]

    own_error, torch_error = error(layer(x), x), error(torch_int8().numpy(), x)
    assert torch_error <= 0.03, f"PyTorch's error is {torch_error:.3f}; is this the same layer?"
    assert own_error <= OUR_ERROR
    assert own_error <= 0.8 * torch_error
    return Case(
        f"int8 linear {rows}x{CHANNELS}x{CHANNELS}",
        0.75 if vnni_available() else None,
        lambda: layer(x),
        torch_int8,
        peer_name="torch int8",
    )


def batch_of_64() -> Case:
    return batch(64)


def batch_of_512() -> Case:
    return batch(512)
