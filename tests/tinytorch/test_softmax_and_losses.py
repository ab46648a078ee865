"""softmax, log_softmax and cross_entropy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.finite_differences import check_gradients, seeds
from tinytorch import Tensor
from tinytorch import functional as F
from tinytorch.kernels import NumpyBackend


@st.composite
def shapes_and_dim(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
@settings(max_examples=25)
@given(case=shapes_and_dim(), seed=seeds)
def test_gradients(function, case: tuple[tuple[int, ...], int], seed: int) -> None:  # type: ignore[no-untyped-def]
    shape, dim = case
    x = np.random.default_rng(seed).standard_normal(shape)
    check_gradients(lambda t: function(t, dim), x)


@settings(max_examples=25)
@given(case=shapes_and_dim(), shift=st.floats(-1e4, 1e4), seed=seeds)
def test_softmax_is_a_distribution_and_ignores_a_shift(
    case: tuple[tuple[int, ...], int], shift: float, seed: int
) -> None:
    shape, dim = case
    x = np.random.default_rng(seed).standard_normal(shape) * 30
    y = F.softmax(Tensor(x), dim)
    np.testing.assert_allclose(y.data.sum(axis=dim), 1, rtol=1e-12)
    assert (y.data >= 0).all()
    np.testing.assert_allclose(F.softmax(Tensor(x + shift), dim).data, y.data, atol=1e-9)
    np.testing.assert_allclose(F.log_softmax(Tensor(x), dim).exp().data, y.data, atol=1e-12)


def test_softmax_of_scores_that_would_overflow() -> None:
    y = F.softmax(Tensor([1000.0, 0.0, -1000.0]))
    np.testing.assert_array_equal(y.data, [1, 0, 0])
    assert F.log_softmax(Tensor([1000.0, 0.0])).data[1] == -1000


@settings(max_examples=25)
@given(rows=st.integers(1, 5), classes=st.integers(1, 5), seed=seeds)
def test_cross_entropy_against_its_definition(rows: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = rng.standard_normal((rows, classes)), rng.integers(0, classes, rows)
    expected = -sum(
        math.log(math.exp(row[target]) / sum(math.exp(value) for value in row))
        for row, target in zip(logits, targets, strict=True)
    )
    loss = F.cross_entropy(Tensor(logits), targets)
    assert loss.shape == ()
    np.testing.assert_allclose(loss.item(), expected / rows, rtol=1e-9, atol=1e-12)
    check_gradients(lambda t: F.cross_entropy(t, targets), logits)


def test_cross_entropy_of_sequences() -> None:
    rng = np.random.default_rng(0)
    logits, targets = rng.standard_normal((2, 3, 5)), rng.integers(0, 5, (2, 3))
    flat = F.cross_entropy(Tensor(logits.reshape(6, 5)), targets.reshape(6))
    assert F.cross_entropy(Tensor(logits), Tensor(targets)).item() == pytest.approx(flat.item())
    check_gradients(lambda t: F.cross_entropy(t, targets), logits)


def test_cross_entropy_of_logits_in_other_layouts() -> None:
    logits = np.random.default_rng(0).standard_normal((5, 4))
    targets = [0, 3, 1, 2]
    expected = F.cross_entropy(Tensor(logits.T.copy()), targets).item()
    assert F.cross_entropy(Tensor(logits.T), targets).item() == pytest.approx(expected)
    check_gradients(lambda t: F.cross_entropy(t.T, targets), logits)


def test_cross_entropy_grad_of_probabilities_in_another_layout() -> None:
    kernels, targets = NumpyBackend(), np.array([1, 0, 1, 2])
    _, probabilities = kernels.cross_entropy(
        np.random.default_rng(0).standard_normal((4, 3)), targets
    )
    g = np.ones(())
    np.testing.assert_array_equal(
        kernels.cross_entropy_grad(g, np.asfortranarray(probabilities), targets),
        kernels.cross_entropy_grad(g, probabilities, targets),
    )


def test_cross_entropy_keeps_float32_and_does_not_change_the_logits() -> None:
    logits = Tensor(np.zeros((3, 4), np.float32), True)
    loss = F.cross_entropy(logits, [0, 1, 2])
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(math.log(4))
    loss.backward()
    assert not logits.data.any()
    assert logits.grad is not None
    assert logits.grad.dtype == np.float32


def test_cross_entropy_errors() -> None:
    logits = Tensor(np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"\(3, 4\) and targets \(2,\)"):
        F.cross_entropy(logits, [0, 1])
    with pytest.raises(IndexError, match=r"targets must be in 0 \.\.\. 3, got 4"):
        F.cross_entropy(logits, [0, 1, 4])
    with pytest.raises(IndexError, match=r"got -1"):
        F.cross_entropy(logits, [0, 1, -1])
    with pytest.raises(TypeError, match="whole numbers, got float64"):
        F.cross_entropy(logits, np.zeros(3))
    with pytest.raises(ValueError, match="at least one row"):
        F.cross_entropy(Tensor(np.zeros((0, 4))), np.zeros(0, np.int64))
