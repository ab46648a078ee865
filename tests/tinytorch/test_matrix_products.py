"""matmul and linear: gradients over shapes and layouts, and that BLAS gets what it can take."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import BroadcastableShapes, mutually_broadcastable_shapes

from tests.tinytorch.finite_differences import check_gradients, seeds
from tinytorch import Tensor, backend
from tinytorch import functional as F
from tinytorch.kernels import NumpyBackend
from tinytorch.kernels.arrays import CACHE_BYTES, blas_ready, blocks, row_sums

sizes = st.integers(1, 4)


@settings(max_examples=40)
@given(
    shapes=mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3),
    seed=seeds,
)
def test_matmul_gradients_with_vectors_and_broadcast_batches(
    shapes: BroadcastableShapes, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.asarray(rng.standard_normal(shape)) for shape in shapes.input_shapes)
    np.testing.assert_allclose((Tensor(a) @ Tensor(b)).data, np.matmul(a, b), atol=1e-12)
    check_gradients(lambda x, y: x @ y, a, b)


@settings(max_examples=30)
@given(lead=st.lists(sizes, max_size=2), k=sizes, n=sizes, with_bias=st.booleans(), seed=seeds)
def test_linear_gradients(lead: list[int], k: int, n: int, with_bias: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((*lead, k)), rng.standard_normal((n, k))
    bias = rng.standard_normal(n)
    operands = (x, weight, bias) if with_bias else (x, weight)
    expected = np.einsum("...k,nk->...n", x, weight) + (bias if with_bias else 0)
    np.testing.assert_allclose(F.linear(*map(Tensor, operands)).data, expected, atol=1e-12)
    check_gradients(F.linear, *operands)


def test_the_gradient_of_a_shared_matrix_is_one_product() -> None:
    x, weight = Tensor(np.ones((5, 2, 3)), True), Tensor(np.ones((3, 4)), True)
    result = x @ weight
    events: list[backend.Event] = []
    with backend.observe(events.append):
        result.backward(np.ones((5, 2, 4)))
    assert [event.op for event in events] == ["matmul", "matmul"]
    assert [array.shape for array in events[1].inputs] == [(3, 10), (10, 4)]


def test_linear_of_an_input_with_other_strides() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((3, 5))
    for x in (
        rng.standard_normal((2, 5, 4)).swapaxes(1, 2),
        rng.standard_normal((4, 10))[:, ::2],
        rng.standard_normal((5, 4)).T,
        np.broadcast_to(rng.standard_normal(5), (4, 5)),
    ):
        expected = np.einsum("...k,nk->...n", x, weight)
        np.testing.assert_allclose(F.linear(Tensor(x), Tensor(weight)).data, expected)
    check_gradients(
        lambda x, w: F.linear(x.transpose(0, 1), w), rng.standard_normal((5, 4)), weight
    )
    check_gradients(
        lambda x, w: F.linear(x.transpose(1, 2), w), rng.standard_normal((2, 5, 4)), weight
    )


@settings(max_examples=60)
@given(seed=seeds)
def test_matmul_of_any_layout(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def any_layout(rows: int, columns: int) -> np.ndarray:  # type: ignore[type-arg]
        x = rng.standard_normal((2, 3 * rows, 3 * columns))
        x = x[:, :: rng.choice([1, 2, -1]), :: rng.choice([1, 2, -1])][:, :rows, :columns]
        return x if rng.random() < 0.5 else np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2)

    m, k, n = rng.integers(1, 5, 3)
    a, b = any_layout(m, k), any_layout(k, n)
    expected = np.einsum("bmk,bkn->bmn", a, b)
    np.testing.assert_allclose(NumpyBackend().matmul(a, b), expected, atol=1e-12)
    for ready in (blas_ready(a), blas_ready(b)):
        assert ready.itemsize in ready.strides[-2:] or 1 in ready.shape[-2:]


def test_blas_ready_copies_only_what_it_must() -> None:
    x = np.zeros((4, 6, 8))
    for fine in (x, x.swapaxes(1, 2), x[:, :, 2:5], x[::2], x[:, ::2], x[0], x[0, 0]):
        assert blas_ready(fine) is fine
    for slow in (x[:, :, ::2], x[:, ::-1, ::-1], np.broadcast_to(x[:, :1], (4, 6, 8))):
        assert blas_ready(slow) is not slow


def test_row_sums_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    for x in (
        rng.standard_normal((3, 4, 5)),
        rng.standard_normal((3, 4, 5)).T,
        rng.standard_normal((2, 70_000)),
        rng.integers(0, 9, (3, 4)),
        np.zeros((3, 0)),
    ):
        np.testing.assert_allclose(row_sums(x), x.sum(axis=-1), atol=1e-9)


def test_products_without_terms_are_zero() -> None:
    x, weight, bias = Tensor(np.ones((3, 0))), Tensor(np.ones((2, 0))), Tensor(np.array([1.0, 2.0]))
    np.testing.assert_array_equal(F.linear(x, weight, bias).data, [[1, 2]] * 3)
    np.testing.assert_array_equal((x @ weight.T).data, np.zeros((3, 2)))
    assert F.linear(Tensor(np.ones((0, 4))), Tensor(np.ones((2, 4)))).shape == (0, 2)


@pytest.mark.parametrize("rows", [1, 2])
def test_one_row_and_one_column(rows: int) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = rng.standard_normal((rows, 7)), rng.standard_normal((1, 7)), np.ones(1)
    result = F.linear(Tensor(x), Tensor(weight), Tensor(bias))
    np.testing.assert_allclose(result.data, x @ weight.T + 1)


def test_errors_show_both_shapes() -> None:
    x, y = Tensor(np.ones((3, 4))), Tensor(np.ones((5, 6)))
    with pytest.raises(ValueError, match=r"matmul.*\(3, 4\).*\(5, 6\)"):
        x @ y
    with pytest.raises(ValueError, match=r"linear.*\(3, 4\).*\(5, 6\)"):
        F.linear(x, y)
    with pytest.raises(ValueError, match=r"linear: bias \(4,\) and weight \(5, 4\)"):
        F.linear(x, Tensor(np.ones((5, 4))), Tensor(np.ones(4)))
    with pytest.raises(ValueError, match=r"matmul.*\(\)"):
        x @ Tensor(1.0)


@given(count=st.integers(0, 50), bytes_each=st.integers(0, 1 << 20))
def test_blocks_cover_everything_once(count: int, bytes_each: int) -> None:
    slices = list(blocks(count, bytes_each))
    assert [i for part in slices for i in range(count)[part]] == list(range(count))
    assert all(part.stop <= count for part in slices)
    assert all((part.stop - part.start) * bytes_each <= CACHE_BYTES for part in slices) or all(
        part.stop - part.start == 1 for part in slices
    )


@pytest.mark.parametrize("shape", [(2, 200, 100), (32, 200, 100), (33, 200, 100), (2, 3, 9_000, 2)])
def test_few_and_many_rows_of_a_large_weight(shape: tuple[int, ...]) -> None:
    *lead, k, n = shape
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(s) for s in ((*lead, k), (n, k), n))
    result = NumpyBackend().linear(x, weight, bias)
    np.testing.assert_allclose(result, np.einsum("...k,nk->...n", x, weight) + bias)
    assert result.flags.c_contiguous
