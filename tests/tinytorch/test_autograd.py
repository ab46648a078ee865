"""The tape: order, accumulation, depth, freeing, no_grad."""

import gc
import weakref

import numpy as np
import pytest

from tests.tinytorch.finite_differences import check_gradients
from tinytorch import Tensor, autograd, backend, is_grad_enabled, no_grad
from tinytorch.tensor import recorded


def grad(x: Tensor) -> list[float]:
    assert x.grad is not None
    return x.grad.data.tolist()  # type: ignore[no-any-return]


def test_a_tensor_used_many_times_gathers_every_gradient() -> None:
    x = np.array([0.5, -1.5])
    check_gradients(lambda t: t * t + t - t / (t * t + 1), x)
    check_gradients(lambda t: (t + t) * (t - t * 3), x)


def test_an_inner_result_used_many_times_passes_on_once() -> None:
    calls = []
    x = Tensor([2.0], True)

    def backward(g: np.ndarray) -> tuple[np.ndarray]:  # type: ignore[type-arg]
        calls.append(g.tolist())
        return (g,)

    inner = recorded(x.data, (x,), backward)
    (inner * inner + inner * 3 + inner).backward()
    assert calls == [[2 * 2 + 3 + 1]]
    assert grad(x) == [8]


def test_a_diamond_of_doublings_takes_each_node_once() -> None:
    x = Tensor(1.0, True)
    y = x
    for _ in range(60):  # 2 ** 60 paths
        y = y + y
    y.backward()
    assert grad(x) == 2.0**60


def test_backward_adds_to_what_is_there() -> None:
    x = Tensor([1.0, 2.0], True)
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    assert grad(x) == [7, 7]


def test_a_chain_of_ten_thousand_operations() -> None:
    x = Tensor([1.0], True)
    y = x
    for _ in range(10_000):
        y = y + 1.0
    y.backward()
    assert grad(x) == [1]


def test_dropping_a_long_chain_unused() -> None:
    x = Tensor([1.0], True)
    y = x
    for _ in range(100_000):
        y = -y
    assert y.data[0] == 1
    del y


def test_the_graph_is_freed_and_says_so() -> None:
    x = Tensor([1.0, 2.0], True)
    inner = x * 2
    saved = weakref.ref(inner)
    loss = (inner * inner).sum()
    del inner
    gc.disable()  # freed by counting references, not by the collector
    try:
        loss.backward()
        assert saved() is None
    finally:
        gc.enable()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    assert grad(x) == [8, 16]


def test_a_used_up_part_of_another_graph_is_noticed() -> None:
    x = Tensor([1.0], True)
    shared = x * 2
    (shared * 3).sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        (shared * 4).sum().backward()


def test_backward_from_a_leaf() -> None:
    x = Tensor([1.0, 2.0], True)
    start = np.array([3.0, 4.0], np.float32)
    x.backward(start)
    assert grad(x) == [3, 4]
    assert x._grad is not start


def test_gradients_of_leaves_share_no_memory() -> None:
    x, y = Tensor(np.ones(3, np.float32), True), Tensor(np.ones(3, np.float32), True)
    start = np.ones(3, np.float32)
    (x + y).backward(start)
    assert x._grad is not None
    assert y._grad is not None
    x._grad *= 10
    assert grad(y) == [1, 1, 1]
    assert start.tolist() == [1, 1, 1]
    z = Tensor(np.ones((2, 3), np.float32), True)
    z.T.backward(np.ones((3, 2), np.float32))
    z.sum().backward()
    assert z._grad is not None
    z._grad *= 2  # writable
    assert grad(z) == [[4] * 3] * 2


def test_only_leaves_that_ask_get_a_gradient() -> None:
    x, y = Tensor([1.0], True), Tensor([2.0])
    inner = x * y
    inner.sum().backward()
    assert y.grad is None
    assert inner.grad is None
    assert inner.requires_grad
    assert not inner.is_leaf or inner._backward is autograd._freed
    assert x.is_leaf
    frozen = Tensor([3.0], True)
    result = frozen * x
    frozen.requires_grad = False
    result.sum().backward()
    assert frozen.grad is None
    assert grad(x) == [5]


def test_detach_cuts_the_graph() -> None:
    x = Tensor([3.0], True)
    (x.detach() * x).sum().backward()
    assert grad(x) == [3]


def test_backward_needs_something_recorded() -> None:
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor([1.0]).backward()
    x = Tensor([1.0, 2.0], True)
    with pytest.raises(RuntimeError, match=r"one element, this tensor has shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"shape \(2,\).*got \(3,\)"):
        (x * 2).backward(np.ones(3))


def test_a_rule_that_gives_a_wrong_shape_is_noticed() -> None:
    x = Tensor([1.0, 2.0], True)
    wrong = recorded(x.data, (x,), lambda g: (g.sum(),))
    with pytest.raises(RuntimeError, match=r"shape \(\) for a tensor of shape \(2,\)"):
        wrong.backward(np.ones(2))


def test_no_grad_records_nothing() -> None:
    x = Tensor([1.0], True)
    with no_grad():
        assert not is_grad_enabled()
        y = x * 2 + x.exp()
        with no_grad():
            pass
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert not y.requires_grad
    assert y._parents == ()
    assert y._backward is None


def test_no_grad_comes_back_after_an_error_and_can_be_reused() -> None:
    quiet = no_grad()
    with pytest.raises(KeyError), quiet, quiet:
        raise KeyError
    assert is_grad_enabled()


def test_no_grad_as_a_decorator() -> None:
    @no_grad()
    def double(x: Tensor) -> Tensor:
        """Twice x."""
        return x * 2

    assert not double(Tensor([1.0], True)).requires_grad
    assert double.__doc__ == "Twice x."
    assert is_grad_enabled()


def test_no_work_for_operands_that_need_no_gradient() -> None:
    events: list[str] = []
    x, constant = Tensor(np.ones((2, 3)), True), Tensor(np.ones(3))
    for result in (x + constant, x - constant, x * constant, x.maximum(constant)):
        with backend.observe(lambda event: events.append(event.op)):
            result.backward(np.ones((2, 3)))
    assert "sum" not in events
    assert "neg" not in events
    assert events.count("mul") == 1
