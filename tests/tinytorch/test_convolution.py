"""conv2d and max_pool2d against loops written from their definitions, and their gradients."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.finite_differences import Floats, all_different, check_gradients, seeds
from tinytorch import Tensor
from tinytorch import functional as F
from tinytorch.kernels import NumpyBackend, arrays

sizes = st.integers(1, 3)


def convolution_by_loops(
    x: Floats, weight: Floats, bias: Floats, stride: int, padding: int
) -> Floats:
    """Every product of the definition, one at a time."""
    batch, channels, height, width = x.shape
    out_channels, _, rows, columns = weight.shape
    out_height = (height + 2 * padding - rows) // stride + 1
    out_width = (width + 2 * padding - columns) // stride + 1
    y = np.zeros((batch, out_channels, out_height, out_width))
    for b, o, i, j in np.ndindex(y.shape):
        y[b, o, i, j] = bias[o]
        for c, r, s in itertools.product(range(channels), range(rows), range(columns)):
            row, column = i * stride + r - padding, j * stride + s - padding
            if 0 <= row < height and 0 <= column < width:
                y[b, o, i, j] += x[b, c, row, column] * weight[o, c, r, s]
    return y


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """Shapes of x and weight, stride, padding."""
    batch, channels, out_channels, rows, columns = (draw(sizes) for _ in range(5))
    stride, padding = draw(sizes), draw(st.integers(0, 2))
    height = draw(st.integers(max(1, rows - 2 * padding), 6))
    width = draw(st.integers(max(1, columns - 2 * padding), 6))
    shapes = (batch, channels, height, width), (out_channels, channels, rows, columns)
    return *shapes, stride, padding


@settings(max_examples=40)
@given(case=convolutions(), seed=seeds)
def test_conv2d_against_loops_and_finite_differences(
    case: tuple[tuple[int, ...], tuple[int, ...], int, int], seed: int
) -> None:
    x_shape, weight_shape, stride, padding = case
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal(x_shape), rng.standard_normal(weight_shape)
    bias = rng.standard_normal(weight_shape[0])
    result = F.conv2d(Tensor(x), Tensor(weight), Tensor(bias), stride, padding)
    np.testing.assert_allclose(
        result.data, convolution_by_loops(x, weight, bias, stride, padding), atol=1e-12
    )
    check_gradients(lambda *t: F.conv2d(*t, stride=stride, padding=padding), x, weight, bias)


@pytest.mark.parametrize("block_bytes", [1, 5_000, 1 << 30])
def test_blocks_of_images_make_no_difference(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s) for s in ((5, 2, 6, 7), (3, 2, 3, 2), (3,)))
    expected = convolution_by_loops(x, weight, bias, 2, 1)
    monkeypatch.setattr(arrays, "CACHE_BYTES", block_bytes)
    kernels = NumpyBackend()
    np.testing.assert_allclose(
        kernels.conv2d(x, weight, bias, stride=2, padding=1), expected, atol=1e-12
    )
    check_gradients(lambda *t: F.conv2d(*t, stride=2, padding=1), x, weight, bias)


def test_conv2d_without_bias_and_of_a_view() -> None:
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 5, 5, 3)), rng.standard_normal((4, 3, 2, 2))
    channels_first = x.transpose(0, 3, 1, 2)  # (B, C, H, W) with other strides
    expected = convolution_by_loops(channels_first, weight, np.zeros(4), 1, 0)
    np.testing.assert_allclose(F.conv2d(Tensor(channels_first), Tensor(weight)).data, expected)
    check_gradients(lambda x, w: F.conv2d(x.permute(0, 3, 1, 2), w), x, weight)


def pooling_by_loops(x: Floats, kernel_size: int, stride: int) -> Floats:
    """The largest of each window, one window at a time."""
    batch, channels, height, width = x.shape
    shape = (height - kernel_size) // stride + 1, (width - kernel_size) // stride + 1
    y = np.zeros((batch, channels, *shape))
    for b, c, i, j in np.ndindex(y.shape):
        top, left = i * stride, j * stride
        y[b, c, i, j] = x[b, c, top : top + kernel_size, left : left + kernel_size].max()
    return y


@settings(max_examples=40)
@given(
    lead=st.tuples(sizes, sizes),
    kernel_size=sizes,
    stride=st.none() | sizes,
    extra=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    seed=seeds,
)
def test_max_pool2d_against_loops_and_finite_differences(
    lead: tuple[int, int],
    kernel_size: int,
    stride: int | None,
    extra: tuple[int, int],
    seed: int,
) -> None:
    shape = (*lead, kernel_size + extra[0], kernel_size + extra[1])
    x = all_different(np.random.default_rng(seed), shape)
    result = F.max_pool2d(Tensor(x), kernel_size, stride)
    np.testing.assert_array_equal(
        result.data, pooling_by_loops(x, kernel_size, stride or kernel_size)
    )
    check_gradients(lambda t: F.max_pool2d(t, kernel_size, stride), x)


def test_max_pool2d_gives_equal_values_to_the_first() -> None:
    x = Tensor(np.ones((1, 1, 2, 2), np.float32), True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [[[[1, 0], [0, 0]]]])


@pytest.mark.parametrize(
    ("x", "weight", "arguments", "message"),
    [
        ((1, 2, 5, 5), (4, 3, 3, 3), {}, r"\(1, 2, 5, 5\).*\(4, 3, 3, 3\)"),
        ((2, 5, 5), (4, 2, 3, 3), {}, r"\(2, 5, 5\).*\(4, 2, 3, 3\)"),
        ((1, 2, 2, 5), (4, 2, 3, 3), {}, r"kernel \(3, 3\) is larger than the image \(2, 5\)"),
        ((1, 2, 5, 5), (4, 2, 3, 3), {"stride": 0}, "stride >= 1"),
        ((1, 2, 5, 5), (4, 2, 3, 3), {"padding": -1}, "padding >= 0"),
    ],
)
def test_conv2d_errors(
    x: tuple[int, ...], weight: tuple[int, ...], arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        F.conv2d(Tensor(np.ones(x)), Tensor(np.ones(weight)), **arguments)


def test_bias_and_pooling_errors() -> None:
    x, weight = Tensor(np.ones((1, 2, 5, 5))), Tensor(np.ones((4, 2, 3, 3)))
    with pytest.raises(ValueError, match=r"bias \(3,\).*\(4,\)"):
        F.conv2d(x, weight, Tensor(np.ones(3)))
    for arguments in ((6,), (0,), (2, 0)):
        with pytest.raises(ValueError, match="max_pool2d"):
            F.max_pool2d(x, *arguments)
    with pytest.raises(ValueError, match="max_pool2d"):
        F.max_pool2d(x.flatten(1), 2)
