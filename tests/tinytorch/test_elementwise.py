"""Elementwise operations: values, gradients under broadcasting, corner values."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import BroadcastableShapes, mutually_broadcastable_shapes

from tests.tinytorch.finite_differences import (
    all_different,
    away_from_zero,
    check_gradients,
    numeric_gradient,
    seeds,
)
from tinytorch import Tensor, where
from tinytorch.kernels import NumpyBackend, arrays
from tinytorch.tensor import constant

two_shapes = mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)
three_shapes = mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)
shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "maximum": lambda a, b: a.maximum(b),
}
UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "neg": lambda x: -x,
    "abs": lambda x: x.abs(),
    "exp": lambda x: x.exp(),
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "relu": lambda x: x.relu(),
    "gelu": lambda x: x.gelu(),
}


@pytest.mark.parametrize("op", BINARY)
@settings(max_examples=25)
@given(shapes=two_shapes, seed=seeds)
def test_binary_gradients_under_broadcasting(
    op: str, shapes: BroadcastableShapes, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (away_from_zero(rng, shape) for shape in shapes.input_shapes)
    if op == "maximum":
        b += 10 * rng.choice([-1, 1], b.shape)  # no ties
    check_gradients(BINARY[op], a, b)


@pytest.mark.parametrize("op", UNARY)
@settings(max_examples=15)
@given(shape=shapes, seed=seeds)
def test_unary_gradients(op: str, shape: tuple[int, ...], seed: int) -> None:
    check_gradients(UNARY[op], away_from_zero(np.random.default_rng(seed), shape))


@pytest.mark.parametrize("op", ["log", "sqrt"])
@settings(max_examples=15)
@given(shape=shapes, seed=seeds)
def test_gradients_on_positive_numbers(op: str, shape: tuple[int, ...], seed: int) -> None:
    x = np.random.default_rng(seed).uniform(0.2, 3.0, shape)
    check_gradients(lambda x: getattr(x, op)(), np.asarray(x))


@settings(max_examples=25)
@given(shapes=two_shapes, seed=seeds)
def test_pow_gradients_for_base_and_exponent(shapes: BroadcastableShapes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = shapes.input_shapes
    check_gradients(
        lambda x, y: x**y, np.asarray(rng.uniform(0.3, 2, a)), np.asarray(rng.uniform(-2, 2, b))
    )


@pytest.mark.parametrize("exponent", [-2, -1, 0, 0.5, 1, 2, 3, 4, 2.5])
def test_pow_with_a_number(exponent: float) -> None:
    x = np.random.default_rng(1).uniform(0.3, 2, (3, 4))
    np.testing.assert_allclose((Tensor(x) ** exponent).data, x**exponent, rtol=1e-12)
    check_gradients(lambda x: x**exponent, x)


@pytest.mark.parametrize("exponent", [2, 3, 4])
def test_pow_of_negative_numbers(exponent: int) -> None:
    check_gradients(lambda x: x**exponent, np.array([-1.5, -0.2, 0.7]))


def test_pow_at_zero_has_finite_gradients() -> None:
    x = Tensor([0.0, 0.0], requires_grad=True)
    (x**0).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, [0, 0])
    base, exponent = Tensor([0.0, 2.0, 0.0], True), Tensor([2.0, 0.0, 0.0], True)
    (base**exponent).sum().backward()
    assert base.grad is not None
    assert exponent.grad is not None
    np.testing.assert_allclose(base.grad.data, [0, 0, 0])
    np.testing.assert_allclose(exponent.grad.data, [0, np.log(2), 0], rtol=1e-6)


@settings(max_examples=20)
@given(shapes=three_shapes, seed=seeds)
def test_where_gradients(shapes: BroadcastableShapes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, a, b = shapes.input_shapes
    condition = np.asarray(rng.random(c) < 0.5)
    check_gradients(
        lambda x, y: where(condition, x, y),
        np.asarray(rng.standard_normal(a)),
        np.asarray(rng.standard_normal(b)),
    )


def test_maximum_shares_the_gradient_of_equal_values() -> None:
    a, b = Tensor([1.0, 2.0, 5.0], True), Tensor([1.0, 3.0, 4.0], True)
    a.maximum(b).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    np.testing.assert_array_equal(a.grad.data, [0.5, 0, 1])
    np.testing.assert_array_equal(b.grad.data, [0.5, 1, 0])


def test_relu_and_abs_have_gradient_zero_at_zero() -> None:
    for function in (Tensor.relu, Tensor.abs):
        x = Tensor([0.0, -1.0, 2.0], True)
        function(x).sum().backward()
        assert x.grad is not None
        assert x.grad.data[0] == 0


def test_numbers_on_either_side() -> None:
    x = np.array([0.5, 2.0, 4.0])
    check_gradients(lambda t: 3 - t, x)
    check_gradients(lambda t: 2 / t, x)
    check_gradients(lambda t: 2**t, x)
    check_gradients(lambda t: t * 0.5 + 1 - 2, x)


def test_gelu_against_its_formula_in_float64() -> None:
    x = np.linspace(-6, 6, 101)
    expected = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    np.testing.assert_allclose(Tensor(x).gelu().data, expected, atol=1e-13)


def test_sigmoid_does_not_overflow_and_keeps_small_values() -> None:
    x = np.array([-1000, -80, -20, 0, 20, 1000], np.float32)
    y = Tensor(x).sigmoid()
    assert y.dtype == np.float32
    np.testing.assert_allclose(
        y.data, [0, np.exp(-80.0), np.exp(-20.0), 0.5, 1 / (1 + np.exp(-20.0)), 1], rtol=1e-6
    )


@pytest.mark.parametrize("size", [1, 3, 1023, 1024, 3000, 1 << 14, (1 << 14) + 1, 3 << 14])
def test_relu_of_every_size_and_layout(size: int) -> None:
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    for layout in (x, x[::2], x.reshape(1, -1).T):
        np.testing.assert_array_equal(NumpyBackend().relu(layout), np.where(layout > 0, layout, 0))


def test_relu_keeps_nan() -> None:
    assert np.isnan(NumpyBackend().relu(np.full(4096, np.nan, np.float32))).all()


def test_operations_accept_views_with_any_strides() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 8))[::2, ::-2].T  # (4, 3), negative and large steps
    for name, function in UNARY.items():
        np.testing.assert_allclose(
            function(Tensor(x)).data, function(Tensor(x.copy())).data, err_msg=name
        )


def test_clone_passes_its_gradient() -> None:
    check_gradients(lambda x: x.clone() * 2, all_different(np.random.default_rng(0), (2, 3)))


def test_numeric_gradient_of_a_constant_is_zero() -> None:
    array = np.ones(3)
    np.testing.assert_array_equal(numeric_gradient(lambda: 1.0, array), np.zeros(3))
    assert constant(array).grad is None


def test_the_gradient_of_gelu_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "CACHE_BYTES", 100)
    check_gradients(lambda x: x.gelu(), np.random.default_rng(0).standard_normal((3, 7)))
    check_gradients(lambda x: x.T.gelu(), np.random.default_rng(0).standard_normal((3, 7)))
