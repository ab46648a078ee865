"""Tensor as a container: dtypes, shapes, conversions, comparisons, errors."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes

from tests.tinytorch.finite_differences import check_gradients
from tinytorch import Parameter, Tensor, backend


def test_dtypes_are_kept_and_python_floats_become_float32() -> None:
    for dtype in (np.int8, np.uint8, np.int64, np.float16, np.float32, np.float64, np.bool_):
        assert Tensor(np.zeros(3, dtype)).dtype == dtype
    assert Tensor(1.5).dtype == np.float32
    assert Tensor([[1.0, 2.0]]).dtype == np.float32
    assert Tensor([1, 2]).dtype == np.int64
    assert Tensor([True]).dtype == np.bool_
    assert Tensor(np.float64(1.5)).dtype == np.float64
    assert Tensor([1, 2], dtype=np.int8).dtype == np.int8
    assert Tensor(Tensor([1.0])).dtype == np.float32


def test_an_array_is_taken_without_a_copy() -> None:
    x = np.zeros(3)
    assert Tensor(x).data is x
    assert Tensor(x).numpy() is x


@pytest.mark.parametrize("wrong", ["text", [1, "a"], None, [object()]])
def test_what_is_no_number_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="a tensor holds numbers"):
        Tensor(wrong)  # type: ignore[arg-type]


def test_only_floating_tensors_require_a_gradient() -> None:
    with pytest.raises(TypeError, match=r"got int64.*\.float\(\)"):
        Tensor([1, 2], requires_grad=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_take_the_dtype_of_the_tensor(dtype: type) -> None:
    x = Tensor(np.ones(3, dtype))
    scalars = (2, 0.5, True, np.float64(0.5), np.float32(0.5), np.int64(2))
    for scalar in scalars:
        for result in (
            x + scalar,
            scalar + x,
            x * scalar,
            x - scalar,
            scalar / x,
            x.maximum(scalar),
        ):
            assert result.dtype == dtype
    assert (x**2).dtype == dtype
    assert (x**2.5).dtype == dtype
    assert x.mean().dtype == dtype
    assert x.gelu().dtype == dtype
    assert x.sigmoid().dtype == dtype
    assert x.softmax().dtype == dtype
    assert x.var().dtype == dtype


def test_integers() -> None:
    x = Tensor(np.array([10, -3], np.int8))
    assert (x + 1).dtype == np.int8
    assert (-x).dtype == np.int8
    assert x.relu().dtype == np.int8
    assert (x * 0.5).dtype == np.float32
    assert (x / x).dtype == np.float32
    assert x.exp().dtype == np.float32
    assert (Tensor([True]) + 1).dtype == np.int64
    assert (x + Tensor(np.array([1, 1], np.float64))).dtype == np.float64
    with pytest.raises(OverflowError):
        x + 300


def test_gradients_have_the_dtype_of_their_tensor() -> None:
    x = Tensor(np.ones(3, np.float32), True)
    y = Tensor(np.ones(3, np.float64), True)
    (x * y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_conversions() -> None:
    x = Tensor(np.array([1.5, -2.5], np.float64))
    assert x.to(np.float64) is x
    assert x.float().dtype == np.float32
    np.testing.assert_array_equal(x.to(np.int8).data, [1, -2])
    assert not Tensor([1.0], True).to(np.int64).requires_grad
    y = Tensor(np.array([1.5]), True)
    (y.float() * 2).sum().backward()
    assert y.grad is not None
    assert y.grad.dtype == np.float64
    assert y.grad.data[0] == 2


def test_results_are_arrays_also_without_dimensions() -> None:
    x = Tensor(2.0, requires_grad=True)
    results = [x + 1, x * x, x**2, x / 3, -x, x.exp(), x.gelu(), x.relu(), x.sum(), x.max(), x > 1]
    for result in results:
        assert type(result.data) is np.ndarray
    (x * x + x).backward()
    assert x.grad is not None
    assert type(x.grad.data) is np.ndarray
    assert x.grad.item() == 5


def test_an_array_on_the_left_gives_a_tensor() -> None:
    x, array = Tensor([1.0, 2.0], True), np.array([3.0, 4.0], np.float32)
    for result in (array + x, array - x, array * x, array / x, array @ x, array**x):
        assert isinstance(result, Tensor)
        assert result.requires_grad
    assert isinstance(array > x, Tensor)
    np.testing.assert_array_equal((array - x).data, [2, 2])
    np.testing.assert_array_equal((array / x).data, [3, 2])
    assert isinstance(np.float32(2) * x, Tensor)


def test_comparisons_give_bool_tensors_without_gradient() -> None:
    x = Tensor([1.0, 2.0, 3.0], True)
    for result, expected in (
        (x == 2, [False, True, False]),
        (x != 2, [True, False, True]),
        (x < Tensor(2.0), [True, False, False]),
        (x <= 2, [True, True, False]),
        (x > np.array(2.0), [False, False, True]),
        (x >= 2, [False, True, True]),
    ):
        assert result.dtype == np.bool_
        assert not result.requires_grad
        assert result.data.tolist() == expected
    with pytest.raises(ValueError, match=r"equal.*\(3,\).*\(2,\)"):
        x == Tensor([1.0, 2.0])  # noqa: B015


def test_tensors_are_keys_by_identity() -> None:
    x, y = Tensor([1.0]), Tensor([1.0])
    assert {x: "x", y: "y"}[x] == "x"
    assert len({x, y, x}) == 2


def test_truth_length_and_iteration() -> None:
    assert Tensor([2.0])
    assert not Tensor(0.0)
    with pytest.raises(ValueError, match=r"shape \(2,\) is ambiguous"):
        bool(Tensor([1.0, 2.0]))
    assert len(Tensor(np.zeros((4, 2)))) == 4
    assert [row.shape for row in Tensor(np.zeros((3, 2)))] == [(2,)] * 3
    with pytest.raises(TypeError, match="no length"):
        len(Tensor(1.0))
    with pytest.raises(TypeError):
        list(Tensor(1.0))


def test_items() -> None:
    x = Tensor([[2.5]])
    assert x.item() == 2.5
    assert float(x) == 2.5
    assert int(x) == 2
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        Tensor([1.0, 2.0]).item()


def test_numpy_reads_a_tensor() -> None:
    x = Tensor([1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(x), [1, 2])
    assert np.asarray(x) is not None
    assert np.array(x, dtype=np.float64).dtype == np.float64
    np.testing.assert_allclose(x, [1, 2])


def test_a_tensor_meets_what_it_cannot_combine_with() -> None:
    with pytest.raises(TypeError, match="cannot be combined with str"):
        Tensor([1.0]) + "1"  # type: ignore[operator]
    with pytest.raises(TypeError, match="cannot be combined with list"):
        Tensor([1.0]) * [1.0]  # type: ignore[operator]


@pytest.mark.parametrize(
    "op", ["__add__", "__sub__", "__mul__", "__truediv__", "__pow__", "maximum"]
)
def test_errors_of_broadcasting_show_both_shapes(op: str) -> None:
    x, y = Tensor(np.ones((2, 3))), Tensor(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"shapes \(2, 3\) and \(4, 3\) do not broadcast"):
        getattr(x, op)(y)


@given(shape=array_shapes(min_dims=2, max_dims=4, max_side=3))
def test_views_share_memory_and_are_no_operation(shape: tuple[int, ...]) -> None:
    x = Tensor(np.zeros(shape))
    events: list[backend.Event] = []
    with backend.observe(events.append):
        views = [
            x.reshape(-1), x.view(-1), x.flatten(), x.transpose(0, -1), x.T, x.unsqueeze(1),
            x.unsqueeze(-1), x.squeeze(), x.permute(*reversed(range(x.ndim))), x.detach(),
        ]  # fmt: skip
    assert events == []
    assert all(np.shares_memory(view.data, x.data) for view in views)


def test_shapes_against_numpy() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    t = Tensor(x)
    np.testing.assert_array_equal(t.reshape(4, 6).data, x.reshape(4, 6))
    np.testing.assert_array_equal(t.reshape((4, -1)).data, x.reshape(4, -1))
    np.testing.assert_array_equal(t.permute(2, 0, 1).data, x.transpose(2, 0, 1))
    np.testing.assert_array_equal(t.permute((-1, 0, 1)).data, x.transpose(2, 0, 1))
    np.testing.assert_array_equal(t.transpose(0, 2).data, x.swapaxes(0, 2))
    np.testing.assert_array_equal(t.T.data, x.T)
    assert t.flatten(1).shape == (2, 12)
    assert t.flatten(0, 1).shape == (6, 4)
    assert Tensor(1.0).flatten().shape == (1,)
    assert t.unsqueeze(-1).shape == (2, 3, 4, 1)
    assert t.unsqueeze(0).squeeze(0).shape == (2, 3, 4)
    assert t.squeeze(0) is t
    assert Tensor(np.zeros((1, 2, 1))).squeeze().shape == (2,)
    assert (t.ndim, t.numel(), t.shape) == (3, 24, (2, 3, 4))


def test_gradients_of_shapes() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    weight = np.random.default_rng(1).standard_normal((4, 3, 2))
    check_gradients(lambda t: t.permute(2, 1, 0) * Tensor(weight), x)
    check_gradients(lambda t: t.permute(1, 2, 0).reshape(6, 4) ** 2, x)
    check_gradients(lambda t: t.transpose(-1, 0).flatten(1) ** 2, x)
    check_gradients(lambda t: t.unsqueeze(1).view(2, -1).T ** 2, x)
    check_gradients(lambda t: t[:1].squeeze() ** 2, x)


def test_reshape_copies_through_the_backend_when_it_must() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3)).T
    events: list[backend.Event] = []
    with backend.observe(events.append):
        y = x.reshape(6)
    assert [event.op for event in events] == ["copy"]
    np.testing.assert_array_equal(y.data, [0, 3, 1, 4, 2, 5])
    with pytest.raises(ValueError, match=r"view a tensor of shape \(3, 2\) as \(6,\)"):
        x.view(6)


def test_errors_of_shapes() -> None:
    x = Tensor(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"cannot reshape \(2, 3\) \(6 elements\) to \(4, -1\)"):
        x.reshape(4, -1)
    with pytest.raises(ValueError, match=r"each dimension of \(2, 3\) once, got \(0, 0\)"):
        x.permute(0, 0)
    for wrong in (
        lambda: x.transpose(0, 2),
        lambda: x.unsqueeze(4),
        lambda: x.squeeze(-3),
        lambda: x.softmax(2),
        lambda: x.flatten(5),
    ):
        with pytest.raises(IndexError, match="does not exist"):
            wrong()


def test_repr() -> None:
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.], dtype=float32)"
    assert "requires_grad=True" in repr(Tensor([1.0], True))
    assert repr(Parameter([1.0])).startswith("Parameter containing: Tensor([1.]")


def test_leaves_can_be_copied_and_pickled_and_results_cannot_be_deep_copied() -> None:
    x = Parameter(np.ones(2, np.float32))
    (x * 2).sum().backward()
    twin = copy.deepcopy(x)
    assert type(twin) is Parameter
    assert twin.requires_grad
    assert twin.grad is not None
    assert not np.shares_memory(twin.data, x.data)
    assert twin.grad.data.tolist() == [2, 2]
    again = pickle.loads(pickle.dumps(x))
    assert again.data.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)\.clone\(\)"):
        copy.deepcopy(x * 2)


def test_setting_a_gradient_checks_its_shape() -> None:
    x = Tensor([1.0, 2.0], True)
    x.grad = Tensor([3.0, 4.0])
    assert x.grad is not None
    x.grad = None
    assert x.grad is None
    with pytest.raises(ValueError, match=r"\(2,\).*got \(3,\)"):
        x.grad = np.zeros(3)
