"""Embedding, indexing, joining, choosing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices

from tests.tinytorch.finite_differences import check_gradients, seeds
from tinytorch import Tensor, cat, stack, where
from tinytorch import functional as F
from tinytorch.kernels import NumpyBackend


@settings(max_examples=40)
@given(data=st.data(), shape=array_shapes(min_dims=1, max_dims=3, max_side=4), seed=seeds)
def test_getitem_gradients_of_slices(
    data: st.DataObject, shape: tuple[int, ...], seed: int
) -> None:
    index = data.draw(basic_indices(shape, allow_newaxis=True, max_dims=5))
    x = np.random.default_rng(seed).standard_normal(shape)
    np.testing.assert_array_equal(Tensor(x)[index].data, x[index])
    check_gradients(lambda t: t[index], x)


@pytest.mark.parametrize(
    "index",
    [
        [0, 2, 0, 0],
        np.array([[1, 1], [2, -1]]),
        (np.array([0, 0, 1]), np.array([1, 1, 3])),
        (slice(None), [3, 3, 0]),
        (None, [1], ..., 2),
        np.array([True, False, True]),
        np.arange(12).reshape(3, 4) % 3 == 0,
        True,
    ],
)
def test_getitem_gradients_of_arrays_and_masks(index: Any) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_array_equal(Tensor(x)[index].data, x[index])
    check_gradients(lambda t: t[index], x)


def test_getitem_takes_tensors_as_index() -> None:
    x = Tensor(np.arange(12.0).reshape(3, 4))
    np.testing.assert_array_equal(x[Tensor([2, 0]), 1].data, [9, 1])
    np.testing.assert_array_equal(x[x > 9].data, [10, 11])
    with pytest.raises(IndexError):
        x[5]


@settings(max_examples=30)
@given(
    ids_shape=array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    rows=st.integers(1, 5),
    seed=seeds,
)
def test_embedding(ids_shape: tuple[int, ...], rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, ids = rng.standard_normal((rows, 3)), np.asarray(rng.integers(0, rows, ids_shape))
    np.testing.assert_array_equal(F.embedding(ids, Tensor(table)).data, table[ids])
    check_gradients(lambda t: F.embedding(ids, t), table)


@settings(max_examples=30)
@given(rows=st.integers(1, 6), count=st.integers(0, 50), seed=seeds)
def test_embedding_grad_adds_up_every_repetition(rows: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids, g = rng.integers(0, rows, count), rng.standard_normal((count, 2))
    expected = np.zeros((rows, 2))
    for row, gradient in zip(ids, g, strict=True):
        expected[row] += gradient
    result = NumpyBackend().embedding_grad(g, ids, num_embeddings=rows)
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_embedding_takes_every_integer_dtype(dtype: type) -> None:
    table = Tensor(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(
        F.embedding(np.array([2, 0], dtype), table).data, [[4, 5], [0, 1]]
    )


def test_embedding_errors() -> None:
    table = Tensor(np.ones((3, 2)))
    for ids, got in (([0, 3], "3"), ([[1], [-1]], "-1")):
        with pytest.raises(IndexError, match=rf"ids must be in 0 \.\.\. 2, got {got}"):
            F.embedding(ids, table)
    with pytest.raises(TypeError, match="whole numbers, got float64"):
        F.embedding(np.ones(2), table)


@settings(max_examples=25)
@given(data=st.data(), count=st.integers(1, 3), seed=seeds)
def test_cat_gradients(data: st.DataObject, count: int, seed: int) -> None:
    shape = list(data.draw(array_shapes(min_dims=1, max_dims=3, max_side=3)))
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(count):
        shape[dim] = data.draw(st.integers(1, 3))
        arrays.append(rng.standard_normal(shape))
    np.testing.assert_array_equal(
        cat([Tensor(array) for array in arrays], dim).data, np.concatenate(arrays, dim)
    )
    check_gradients(lambda *t: cat(t, dim), *arrays)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_stack_gradients(dim: int) -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 3, 4))
    np.testing.assert_array_equal(stack([Tensor(a), Tensor(b)], dim).data, np.stack([a, b], dim))
    check_gradients(lambda x, y: stack([x, y], dim), a, b)


def test_joining_errors_show_the_shapes() -> None:
    a, b = Tensor(np.ones((2, 3))), Tensor(np.ones((2, 4)))
    with pytest.raises(ValueError, match=r"\(2, 3\), \(2, 4\)"):
        cat([a, b])
    with pytest.raises(ValueError, match="at least one"):
        cat([])
    with pytest.raises(IndexError, match="dimension 2 does not exist"):
        cat([a, a], 2)
    with pytest.raises(ValueError, match=r"where: shapes \(2, 3\), \(2, 3\) and \(2, 4\)"):
        where(a > 0, a, b)


def test_where_with_numbers_keeps_the_dtype() -> None:
    x = Tensor(np.array([-1, 2], np.float32))
    result = where(x > 0, x, 0.0)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result.data, [0, 2])
    assert where(np.array([True]), 1.0, 2.0).dtype == np.float32
