"""sum, mean, max, var and argmax over any axes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.finite_differences import all_different, check_gradients, seeds
from tinytorch import Tensor


@st.composite
def shapes_and_dims(draw: st.DrawFn) -> tuple[tuple[int, ...], int | tuple[int, ...] | None]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    dims = st.integers(-len(shape), len(shape) - 1)
    several = st.lists(dims, min_size=1, max_size=len(shape), unique_by=lambda d: d % len(shape))
    return shape, draw(st.none() | dims | several.map(tuple))


@pytest.mark.parametrize("op", ["sum", "mean", "max"])
@settings(max_examples=30)
@given(case=shapes_and_dims(), keepdim=st.booleans(), seed=seeds)
def test_values_and_gradients(
    op: str, case: tuple[tuple[int, ...], int | tuple[int, ...] | None], keepdim: bool, seed: int
) -> None:
    shape, dim = case
    x = all_different(np.random.default_rng(seed), shape)
    result = getattr(Tensor(x), op)(dim, keepdim)
    expected = getattr(np, op)(x, axis=dim, keepdims=keepdim)
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(result.data, expected, atol=1e-12)
    check_gradients(lambda t: getattr(t, op)(dim, keepdim), x)


@settings(max_examples=20)
@given(case=shapes_and_dims(), keepdim=st.booleans(), seed=seeds)
def test_var(
    case: tuple[tuple[int, ...], int | tuple[int, ...] | None], keepdim: bool, seed: int
) -> None:
    shape, dim = case
    x = np.random.default_rng(seed).standard_normal(shape)
    np.testing.assert_allclose(
        Tensor(x).var(dim, keepdim, correction=0).data,
        np.var(x, axis=dim, keepdims=keepdim),
        atol=1e-12,
    )
    check_gradients(lambda t: t.var(dim, keepdim, correction=0), x)


def test_var_is_unbiased_by_default() -> None:
    assert Tensor([1.0, 3.0]).var().item() == 2.0
    with pytest.raises(ValueError, match="correction=1"):
        Tensor([1.0]).var()


def test_max_shares_the_gradient_of_equal_values() -> None:
    x = Tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], True)
    x.max(dim=1).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_argmax() -> None:
    x = Tensor([[1.0, 5.0, 5.0], [7.0, 2.0, 3.0]])
    np.testing.assert_array_equal(x.argmax(dim=-1).data, [1, 0])
    assert x.argmax(dim=0, keepdim=True).shape == (1, 3)
    assert x.argmax().item() == 3
    assert x.argmax().dtype == np.int64


@pytest.mark.parametrize("shape", [(70_000, 3), (3, 70_000), (5, 257), (4, 3, 5, 6)])
@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
def test_float32_sums_are_accurate(shape: tuple[int, ...], layout: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x = x if layout == "contiguous" else x.T
    for axis in (None, *range(x.ndim), (0, 2, 3) if x.ndim == 4 else (0, 1)):
        result = Tensor(x).sum(axis)
        assert result.dtype == np.float32
        exact = np.sum(x.astype(np.float64), axis=axis)
        np.testing.assert_allclose(result.data, exact, rtol=1e-4, atol=1e-2)


def test_integers_add_up_without_overflow_and_average_to_float32() -> None:
    x = Tensor(np.full(1000, 100, np.int8))
    assert x.sum().item() == 100_000
    assert x.mean().dtype == np.float32
    assert x.mean().item() == 100.0
    assert Tensor(np.ones((3, 4), bool)).sum(dim=1).data.tolist() == [4, 4, 4]


def test_a_dimension_that_does_not_exist() -> None:
    with pytest.raises(IndexError, match="dimension 2 does not exist: this tensor has 2"):
        Tensor(np.ones((2, 3))).sum(dim=2)
