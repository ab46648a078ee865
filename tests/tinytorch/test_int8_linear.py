"""The int8 linear layer: exact where it can be, within its bound elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.kernels.compiled import Int8Linear, int8_product, vnni_available
from tinytorch.kernels.compiled.int8_linear import quantize_weight_rows

LAYOUTS = [pytest.param(False, id="plain")] + (
    [pytest.param(True, id="packed")] if vnni_available() else []
)
SIZES = st.tuples(st.integers(1, 30), st.integers(1, 120), st.integers(1, 75))  # M, K, N


def layer(weight, bias, packed):
    """A layer in one of the two layouts, whatever the processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_product, "vnni_available", lambda: packed)
        return Int8Linear(weight, bias)


def whole_numbers(rng, rows, columns):
    """float32 whole numbers with a 127 in each row, so that the scale is 1."""
    values = rng.integers(-127, 128, (rows, columns))
    values[np.arange(rows), rng.integers(0, columns, rows)] = 127
    return values.astype(np.float32)


@pytest.mark.parametrize("packed", LAYOUTS)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_whole_numbers_come_out_exactly(packed, sizes, seed):
    """Rejects a wrong integer anywhere: with scales of 1 nothing is rounded."""
    rows, channels, columns = sizes
    rng = np.random.default_rng(seed)
    x, weight = whole_numbers(rng, rows, channels), whole_numbers(rng, columns, channels)
    bias = rng.integers(-9, 10, columns).astype(np.float32)
    result = layer(weight, bias, packed)(x)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, x.astype(np.int64) @ weight.T.astype(np.int64) + bias)


@pytest.mark.parametrize("packed", LAYOUTS)
@given(sizes=SIZES, seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1e-6, 1.0, 1e6]))
@settings(max_examples=40)
def test_error_stays_within_half_a_step_a_value(packed, sizes, seed, spread):
    """Rejects scales of the wrong row, truncation in place of rounding, a lost bias."""
    rows, channels, columns = sizes
    rng = np.random.default_rng(seed)
    x = (spread * rng.standard_normal((rows, channels)) ** 3).astype(np.float32)
    weight = rng.standard_normal((columns, channels)).astype(np.float32)
    bias = rng.standard_normal(columns).astype(np.float32)
    exact = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    x_half = np.abs(x).max(axis=1, keepdims=True) / 127 / 2  # (M, 1)
    weight_half = np.abs(weight).max(axis=1) / 127 / 2  # (N,)
    bound = weight_half * np.abs(x).sum(axis=1, keepdims=True)  # (M, N)
    bound = bound + x_half * (np.abs(weight).sum(axis=1) + channels * weight_half)
    error = np.abs(layer(weight, bias, packed)(x) - exact)
    assert (error <= 1.001 * bound + 1e-5 * np.abs(exact) + 1e-5 * np.abs(bias)).all()


@pytest.mark.parametrize("packed", LAYOUTS)
@pytest.mark.parametrize("rows", [1, 5])
def test_a_row_does_not_touch_the_others(packed, rows):
    """Rejects one scale for the whole batch: an outlier, NaN or inf stays in its row."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((9, 21)).astype(np.float32)
    x = rng.standard_normal((rows + 3, 21)).astype(np.float32)
    linear = layer(weight, None, packed)
    before = linear(x)
    x[-3, 4], x[-2, 5], x[-1, 20] = 1e6, np.nan, -np.inf
    after = linear(x)
    np.testing.assert_array_equal(after[:rows], before[:rows])
    assert np.isfinite(after[-3]).all()
    assert np.isnan(after[-2:]).all()


@pytest.mark.parametrize("packed", LAYOUTS)
def test_zeros(packed):
    """A row of zeros has no range; its result is the bias, not NaN."""
    bias = np.arange(5, dtype=np.float32)
    weight = np.ones((5, 7), np.float32)
    weight[2] = 0
    linear = layer(weight, bias, packed)
    np.testing.assert_array_equal(linear(np.zeros((3, 7), np.float32)), np.tile(bias, (3, 1)))
    np.testing.assert_allclose(linear(np.ones((1, 7), np.float32))[0], [7, 8, 2, 10, 11], rtol=1e-6)


@pytest.mark.parametrize("packed", LAYOUTS)
@pytest.mark.parametrize(("rows", "channels", "columns"), [(0, 5, 3), (3, 5, 0), (3, 0, 4)])
def test_empty(packed, rows, channels, columns):
    bias = np.ones(columns, np.float32)
    linear = layer(np.ones((columns, channels), np.float32), bias, packed)
    result = linear(np.ones((rows, channels), np.float32))
    np.testing.assert_array_equal(result, np.ones((rows, columns), np.float32))


@pytest.mark.parametrize("packed", LAYOUTS)
def test_views_and_read_only_arrays_are_read(packed):
    """Rejects a layer that takes a transposed view for a contiguous array."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((21, 9)).astype(np.float32).T  # (9, 21)
    bias = rng.standard_normal(18).astype(np.float32)[::2]  # (9,)
    x = rng.standard_normal((42, 6)).astype(np.float32)[::2].T  # (6, 21)
    plain_copies = layer(weight.copy(), bias.copy(), packed)(x.copy())
    np.testing.assert_array_equal(layer(weight, bias, packed)(x), plain_copies)
    x = x.copy()
    x.flags.writeable = False
    np.testing.assert_array_equal(layer(weight, bias, packed)(x), plain_copies)


def test_the_layouts_agree():
    """Both hold the same integers, so they give the same floats."""
    if not vnni_available():
        pytest.skip("the processor has no VNNI")
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((70, 130)).astype(np.float32)
    for rows in (1, 2, 13, 40):
        x = rng.standard_normal((rows, 130)).astype(np.float32)
        np.testing.assert_array_equal(layer(weight, None, True)(x), layer(weight, None, False)(x))


def test_weights_are_small():
    """A byte a weight, and 8 bytes a row for scale and bias."""
    assert Int8Linear(np.ones((64, 256), np.float32)).nbytes == 64 * 256 + 64 * 8


def test_weight_rows():
    weight = np.array([[0.5, -1.27, 0.004], [0, 0, 0]], np.float32)
    values, scales = quantize_weight_rows(weight)
    np.testing.assert_array_equal(values, [[50, -127, 0], [0, 0, 0]])
    np.testing.assert_allclose(scales, [0.01, 1], rtol=1e-6)


GOOD = np.ones((4, 3), np.float32)
WITH_NAN = np.array([[1, 2, 3], [4, np.nan, 6]], np.float32)


@pytest.mark.parametrize(
    ("weight", "bias", "error", "words"),
    [
        (GOOD.astype(np.float64), None, TypeError, ["weight is float64", "float32"]),
        (GOOD.tolist(), None, TypeError, ["weight is list"]),
        (GOOD[0], None, ValueError, ["(3,)", "(N, K)"]),
        (WITH_NAN, None, ValueError, ["weight holds 1 NaN", "(1, 1)"]),
        (GOOD, np.ones(3, np.float32), ValueError, ["bias has shape (3,)", "(4,)"]),
        (GOOD, np.ones(4), TypeError, ["bias is float64"]),
        (GOOD, np.full(4, np.inf, np.float32), ValueError, ["bias holds 4 NaN or inf", "(0,)"]),
        (np.ones((1, 2**17), np.float32), None, ValueError, ["(1, 131072)", "131071"]),
    ],
)
def test_bad_weights(weight, bias, error, words):
    with pytest.raises(error) as raised:
        Int8Linear(weight, bias)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.ones((2, 3)), TypeError, ["x is float64", "float32"]),
        (np.ones(3, np.float32), ValueError, ["(3,)", "(M, 3)"]),
        (np.ones((2, 4), np.float32), ValueError, ["(2, 4)", "(4, 3)", "(M, 3)"]),
    ],
)
def test_bad_activations(x, error, words):
    linear = Int8Linear(GOOD)
    with pytest.raises(error) as raised:
        linear(x)
    for word in words:
        assert word in str(raised.value)
