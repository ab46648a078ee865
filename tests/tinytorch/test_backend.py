"""The dispatch point: nothing passes by, observers see each operation once, backends change."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinytorch import Tensor, backend, cat, nn, where
from tinytorch import functional as F
from tinytorch.backend import Event, observe, set_backend, use_backend
from tinytorch.kernels import NumpyBackend


def counting_clock(step: int = 1) -> Callable[[], int]:
    """0, step, 2 * step, ..."""
    now = -step

    def clock() -> int:
        nonlocal now
        now += step
        return now

    return clock


# ---- observers -----------------------------------------------------------------------------------


def test_an_observer_sees_each_operation_once_in_order() -> None:
    events: list[Event] = []
    x = Tensor(np.ones((2, 3), np.float32), True)
    with observe(events.append):
        y = (x * 2 + 1).sum()
        y.backward()
    x * 3  # not observed any more
    assert [event.op for event in events] == ["mul", "add", "sum", "broadcast", "mul"]
    first = events[0]
    assert first.inputs[0] is x.data
    assert [array.shape for array in first.inputs] == [(2, 3), ()]
    assert first.outputs[0].tolist() == [[2] * 3] * 2
    assert first.attributes == {}
    assert events[2].attributes == {"axis": None, "keepdims": False}
    assert all(type(array) is np.ndarray for e in events for array in (*e.inputs, *e.outputs))


def test_the_clock_is_read_right_before_and_after() -> None:
    events: list[Event] = []
    with observe(events.append, clock=counting_clock(10)):
        Tensor([1.0]) + 1
        Tensor([1.0]) * 2
    assert [(event.start_ns, event.end_ns) for event in events] == [(0, 10), (20, 30)]


def test_observers_nest_and_keep_their_own_clocks() -> None:
    outer: list[Event] = []
    inner: list[Event] = []
    x = Tensor([1.0])
    with observe(outer.append, clock=counting_clock()):
        x + 1
        with observe(inner.append, clock=counting_clock(100)):
            x * 2
        x - 1
    assert [event.op for event in outer] == ["add", "mul", "sub"]
    assert [event.op for event in inner] == ["mul"]
    assert [(e.start_ns, e.end_ns) for e in outer] == [(0, 1), (2, 3), (4, 5)]
    assert [(e.start_ns, e.end_ns) for e in inner] == [(0, 100)]


def test_observers_may_leave_in_any_order() -> None:
    first, second = [], []  # type: list[str], list[str]
    one = observe(lambda event: first.append(event.op))
    two = observe(lambda event: second.append(event.op))
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    Tensor([1.0]) + 1
    two.__exit__(None, None, None)
    Tensor([1.0]) * 2
    assert (first, second) == ([], ["add"])


def test_the_same_observer_twice_is_told_twice() -> None:
    events: list[Event] = []
    with observe(events.append):
        with observe(events.append):
            Tensor([1.0]) + 1
        Tensor([1.0]) * 2
    assert [event.op for event in events] == ["add", "add", "mul"]


def test_an_observer_that_computes_is_not_observed() -> None:
    sums: list[float] = []
    with observe(lambda event: sums.append(Tensor(event.outputs[0]).sum().item())):
        Tensor([1.0, 2.0]) + 1
    assert sums == [5]


def test_without_observers_there_is_no_wrapper() -> None:
    plain = backend.active
    with observe(lambda event: None):
        assert backend.active is not plain
        assert backend.active.name == "numpy"
    assert backend.active is plain


def test_observers_leave_after_an_error() -> None:
    plain = backend.active
    with pytest.raises(KeyError), observe(lambda event: None):
        raise KeyError
    assert backend.active is plain


def test_an_error_of_an_observer_reaches_the_caller_and_the_next_event_is_told() -> None:
    events: list[Event] = []

    def complain_once(event: Event) -> None:
        events.append(event)
        if len(events) == 1:
            raise LookupError("observer")

    with observe(complain_once):
        with pytest.raises(LookupError, match="observer"):
            Tensor([1.0]) + 1
        Tensor([1.0]) * 2
    assert [event.op for event in events] == ["add", "mul"]


def test_a_kernel_that_fails_is_not_reported() -> None:
    events: list[Event] = []
    with observe(events.append), pytest.raises(ValueError, match="do not broadcast"):
        Tensor(np.ones(2)) + Tensor(np.ones(3))
    assert events == []


def test_an_unknown_operation_is_an_attribute_error() -> None:
    with observe(lambda event: None), pytest.raises(AttributeError, match="fourier"):
        backend.active.fourier  # type: ignore[attr-defined]  # noqa: B018


# ---- changing the backend ------------------------------------------------------------------------


class Doubling(NumpyBackend):
    """Adds wrongly, so that its use shows."""

    name = "doubling"

    def add(self, a: Any, b: Any) -> Any:
        return 2 * super().add(a, b)


def test_use_backend_nests_and_comes_back_after_an_error() -> None:
    x = Tensor([1.0])
    plain = backend.active
    with use_backend(Doubling()) as first:
        assert backend.active is first
        assert (x + 1).item() == 4
        with use_backend(plain):
            assert (x + 1).item() == 2
        assert (x + 1).item() == 4
    assert backend.active is plain
    with pytest.raises(KeyError), use_backend(Doubling()):
        raise KeyError
    assert backend.active is plain


def test_set_backend() -> None:
    plain = backend.active
    try:
        set_backend(Doubling())
        assert (Tensor([1.0]) + 1).item() == 4
    finally:
        set_backend(plain)
    assert backend.active is plain


def test_observers_keep_listening_when_the_backend_changes() -> None:
    events: list[Event] = []
    with use_backend(NumpyBackend()):
        with observe(events.append):
            Tensor([1.0]) + 1
            with use_backend(Doubling()):
                Tensor([1.0]) + 1
            Tensor([1.0]) + 1
        assert [event.outputs[0].item() for event in events] == [2, 4, 2]


# ---- nothing passes by ---------------------------------------------------------------------------


class RefusedError(Exception):
    """A kernel was asked for."""


class Refusing:
    """A backend that has no kernel at all."""

    name = "refusing"

    def __getattr__(self, op: str) -> Any:
        raise RefusedError(op)


def ones(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


DIFFERENTIABLE: dict[str, Callable[[], Tensor]] = {
    "add": lambda: ones(2, 3) + ones(3),
    "add of equal shapes": lambda: ones(2) + ones(2),
    "sub": lambda: ones(2, 3) - ones(3),
    "mul": lambda: ones(2, 3) * ones(3),
    "div": lambda: ones(2, 3) / ones(3),
    "pow": lambda: ones(2, 3) ** ones(3),
    "pow with a number": lambda: ones(2) ** 2,
    "maximum": lambda: ones(2, 3).maximum(ones(3)),
    "where": lambda: where(np.array([True, False]), ones(2), ones(2)),
    **{
        name: lambda name=name: getattr(ones(2, 3), name)()  # type: ignore[misc]
        for name in (
            *("__neg__", "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "gelu", "softmax"),
            *("log_softmax", "sum", "mean", "max", "var", "clone"),
        )
    },
    "to": lambda: ones(2).to(np.float64),
    "matmul": lambda: ones(2, 3) @ ones(3, 2),
    "linear": lambda: F.linear(ones(2, 3), ones(4, 3), ones(4)),
    "conv2d": lambda: F.conv2d(ones(1, 2, 4, 4), ones(3, 2, 2, 2), ones(3)),
    "max_pool2d": lambda: F.max_pool2d(ones(1, 2, 4, 4), 2),
    "layer_norm": lambda: F.layer_norm(ones(2, 3), 3, ones(3), ones(3)),
    "batch_norm": lambda: F.batch_norm(
        ones(2, 3, 2, 2), ones(3), ones(3), ones(3), ones(3), training=True
    ),
    "cross_entropy": lambda: F.cross_entropy(ones(2, 3), [0, 1]),
    "attention": lambda: F.scaled_dot_product_attention(*(ones(1, 2, 3, 4) for _ in range(3))),
    "multi_head_attention": lambda: F.multi_head_attention(ones(1, 2, 6), 2),
    "embedding": lambda: F.embedding([0, 1], ones(3, 2)),
    "dropout": lambda: F.dropout(ones(2, 3)),
    "getitem": lambda: ones(2, 3)[0],
    "cat": lambda: cat([ones(2), ones(3)]),
}
WITHOUT_GRADIENT: dict[str, Callable[[], Tensor]] = {
    "equal": lambda: ones(2) == 1,
    "less": lambda: ones(2) < 1,
    "argmax": lambda: ones(2).argmax(),
    "reshape that copies": lambda: ones(2, 3).T.reshape(6),
}


@pytest.mark.parametrize("name", [*DIFFERENTIABLE, *WITHOUT_GRADIENT])
def test_every_forward_asks_the_backend(name: str) -> None:
    compute = {**DIFFERENTIABLE, **WITHOUT_GRADIENT}[name]
    compute()
    with use_backend(Refusing()), pytest.raises(RefusedError):  # type: ignore[arg-type]
        compute()


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_backward_asks_the_backend(name: str) -> None:
    compute = DIFFERENTIABLE[name]
    result = compute()
    start = np.ones(result.shape, result.dtype)
    with use_backend(Refusing()), pytest.raises(RefusedError):  # type: ignore[arg-type]
        result.backward(start)
    compute().backward(start)  # and works with kernels


def test_gradients_add_up_through_the_backend() -> None:
    x = ones(2)
    (x * 2).sum().backward()
    result = x * 3
    ops: list[str] = []
    with observe(lambda event: ops.append(event.op)):
        result.backward(np.ones(2, np.float32))
    assert ops == ["mul", "add"]


def test_gradients_of_inner_results_add_up_through_the_backend() -> None:
    x = ones(2)
    inner = x * 2
    result = -inner * inner
    ops: list[str] = []
    with observe(lambda event: ops.append(event.op)):
        result.backward(np.ones(2, np.float32))
    assert sorted(ops) == ["add", "mul", "mul", "mul", "neg"]


def test_layers_of_a_model_ask_the_backend_each_step() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.0), nn.Linear(4, 2))
    events: list[str] = []
    with observe(lambda event: events.append(event.op)):
        F.cross_entropy(model(Tensor(np.ones((5, 3), np.float32))), [0] * 5).backward()
    assert events == [
        *("linear", "relu", "linear", "cross_entropy"),
        *("cross_entropy_grad", "matmul", "matmul", "sum", "relu_grad", "matmul", "sum"),
    ]
