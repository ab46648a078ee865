"""layer_norm and batch_norm: their laws, their gradients, their statistics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.finite_differences import check_gradients, seeds
from tinytorch import Tensor, nn
from tinytorch import functional as F
from tinytorch.kernels import arrays

sizes = st.integers(1, 4)


@settings(max_examples=25)
@given(lead=st.lists(sizes, max_size=2), channels=st.integers(2, 5), seed=seeds)
def test_layer_norm_gradients(lead: list[int], channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*lead, channels))
    weight, bias = rng.standard_normal(channels), rng.standard_normal(channels)
    check_gradients(
        lambda x, w, b: F.layer_norm(x, channels, w, b, eps=0.1), x, weight, bias, atol=1e-6
    )


@settings(max_examples=25)
@given(rows=sizes, channels=st.integers(8, 40), scale=st.floats(0.1, 100), seed=seeds)
def test_layer_norm_gives_mean_0_and_variance_1(
    rows: int, channels: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = scale * rng.standard_normal((rows, channels)) + rng.uniform(-50, 50)
    y = F.layer_norm(Tensor(x), channels, eps=0).data
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-9)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-9)


def test_layer_norm_over_several_dimensions() -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s) for s in ((2, 3, 4), (3, 4), (3, 4)))
    centred = x - x.mean(axis=(1, 2), keepdims=True)
    normal = centred / np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-5)
    result = F.layer_norm(Tensor(x), (3, 4), Tensor(weight), Tensor(bias))
    np.testing.assert_allclose(result.data, normal * weight + bias, atol=1e-10)
    check_gradients(lambda x, w, b: F.layer_norm(x, (3, 4), w, b), x, weight, bias, atol=1e-6)


def test_layer_norm_of_float32_far_from_zero() -> None:
    x = np.random.default_rng(0).standard_normal((4, 256)) + 100
    y = F.layer_norm(Tensor(x.astype(np.float32)), 256)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.data, F.layer_norm(Tensor(x), 256).data, atol=2e-4)


@pytest.mark.parametrize("training", [True, False])
@settings(max_examples=15)
@given(shape=st.tuples(st.integers(2, 3), sizes, sizes, sizes), seed=seeds)
def test_batch_norm_gradients(training: bool, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = shape[1]
    x, weight, bias = (rng.standard_normal(s) for s in (shape, channels, channels))
    running_mean, running_var = rng.standard_normal(channels), rng.uniform(0.5, 2, channels)

    def function(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        statistics = Tensor(running_mean.copy()), Tensor(running_var.copy())
        return F.batch_norm(x, *statistics, weight, bias, training=training, eps=0.1)

    check_gradients(function, x, weight, bias, atol=1e-6)


def test_batch_norm_running_statistics() -> None:
    rng = np.random.default_rng(0)
    layer = nn.BatchNorm2d(3, momentum=0.25)
    x = rng.standard_normal((4, 3, 5, 6)).astype(np.float32) * 2 + 1
    layer(Tensor(x))
    np.testing.assert_allclose(layer.running_mean.data, 0.25 * x.mean(axis=(0, 2, 3)), rtol=1e-5)
    unbiased = x.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_var.data, 0.75 + 0.25 * unbiased, rtol=1e-5)


def test_batch_norm_in_evaluation_uses_and_keeps_running_statistics() -> None:
    layer = nn.BatchNorm2d(2).eval()
    layer.running_mean.data[...] = [1, -1]
    layer.running_var.data[...] = [4, 9]
    x = np.random.default_rng(0).standard_normal((3, 2, 2, 2)).astype(np.float32)
    expected = (x - np.array([1, -1]).reshape(2, 1, 1)) / np.sqrt(
        np.array([4, 9]).reshape(2, 1, 1) + 1e-5
    )
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.running_mean.data, [1, -1])
    np.testing.assert_array_equal(layer.running_var.data, [4, 9])


def test_errors_show_the_shapes() -> None:
    x = Tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"input \(2, 3\) does not end in normalized_shape \(4,\)"):
        F.layer_norm(x, 4)
    with pytest.raises(ValueError, match=r"weight \(2,\).*\(3,\)"):
        F.layer_norm(x, 3, Tensor(np.ones(2)))
    with pytest.raises(ValueError, match=r"batch_norm: input \(2, 3\)"):
        nn.BatchNorm2d(3)(x)
    with pytest.raises(ValueError, match=r"more than one value a channel, got \(1, 3, 1, 1\)"):
        nn.BatchNorm2d(3)(Tensor(np.ones((1, 3, 1, 1))))


@pytest.mark.parametrize("cache_bytes", [1, 200, 1 << 30])
def test_blocks_of_rows_make_no_difference(
    cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "CACHE_BYTES", cache_bytes)
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((2, 5, 3)), rng.standard_normal(3), rng.standard_normal(3)
    check_gradients(lambda x, w, b: F.layer_norm(x, 3, w, b), x, weight, bias, atol=1e-6)
