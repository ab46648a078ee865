"""Module: parts and their names, state, modes, hooks."""

import copy
import re
from typing import Any

import numpy as np
import pytest

from tinytorch import Parameter, Tensor, nn
from tinytorch import functional as F


class Scale(nn.Module):
    """One number and one buffer."""

    seen: Tensor

    def __init__(self, factor: float) -> None:
        self.factor = Parameter([factor])
        self.register_buffer("seen", Tensor(np.zeros(1, np.float32)))
        self.note = "not a part"

    def forward(self, x: Tensor, shift: float = 0.0) -> Tensor:
        return x * self.factor + shift


class Pair(nn.Module):
    """Two modules, one of them twice."""

    def __init__(self) -> None:
        self.first = Scale(2.0)
        self.second = nn.Sequential(Scale(3.0), nn.ReLU())
        self.again = self.first

    def forward(self, x: Tensor) -> Any:
        return self.second(self.first(x))


def x(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float32))


def test_names_of_all_parts() -> None:
    model = Pair()
    assert [name for name, _ in model.named_modules()] == [
        "",
        "first",
        "second",
        "second.0",
        "second.1",
    ]
    assert [name for name, _ in model.named_children()] == ["first", "second", "again"]
    assert [type(child) for child in model.children()] == [Scale, nn.Sequential, Scale]
    assert len(list(model.modules())) == 5
    names = ["first.factor", "second.0.factor"]
    assert [name for name, _ in model.named_parameters()] == names
    assert len(list(model.parameters())) == 2
    assert [name for name, _ in model.named_buffers()] == ["first.seen", "second.0.seen"]
    assert len(list(model.buffers())) == 2


def test_a_parameter_shared_by_two_modules_is_counted_once() -> None:
    head, table = nn.Linear(4, 6, bias=False), nn.Embedding(6, 4)
    head.weight = table.weight
    model = nn.Sequential(table, head)
    assert [name for name, _ in model.named_parameters()] == ["0.weight"]
    assert set(model.state_dict()) == {"0.weight", "1.weight"}


def test_a_replaced_part_is_the_new_one() -> None:
    model = Pair()
    model.second = nn.Sequential(Scale(5.0))
    assert [name for name, _ in model.named_parameters()] == ["first.factor", "second.0.factor"]
    assert model(x(1.0)).item() == 10
    model.first.factor = Parameter([7.0])
    assert [p.item() for p in model.parameters()] == [7, 5]


def test_a_call_passes_all_arguments() -> None:
    assert Scale(2.0)(x(3.0), shift=1.0).item() == 7


def test_a_module_without_forward() -> None:
    with pytest.raises(NotImplementedError, match=r"Module has no forward\(\)"):
        nn.Module()(1)


def test_state_round_trip() -> None:
    source, target = Pair(), Pair()
    for value in source.state_dict().values():
        value.data += np.random.default_rng(0).standard_normal(1).astype(np.float32)
    target.load_state_dict(source.state_dict())
    for name, value in target.state_dict().items():
        np.testing.assert_array_equal(value.data, source.state_dict()[name].data)
        assert not np.shares_memory(value.data, source.state_dict()[name].data)


def test_state_shares_memory_with_the_module() -> None:
    model = Scale(2.0)
    state = model.state_dict()
    assert list(state) == ["factor", "seen"]
    assert state["factor"].data is model.factor.data
    assert not state["factor"].requires_grad


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("first.seen"), KeyError, r"missing \['first.seen'\]"),
        (lambda s: s.update(extra=x(1.0)), KeyError, r"unexpected \['extra'\]"),
        (lambda s: s.update({"first.seen": x(1, 2)}), ValueError, r"first.seen.*\(1,\).*\(2,\)"),
        (lambda s: s.update({"first.seen": np.array([1j])}), TypeError, r"first.seen.*complex128"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(
    change: Any, error: type[Exception], message: str
) -> None:
    model = Pair()
    state: dict[str, Any] = {name: value.data + 1 for name, value in model.state_dict().items()}
    change(state)
    with pytest.raises(error, match=message):
        model.load_state_dict(state)
    assert model.first.factor.item() == 2
    assert model.first.seen.item() == 0


def test_a_partial_state_can_be_loaded_on_request() -> None:
    model = Pair()
    model.load_state_dict({"first.factor": np.array([9.0]), "other": np.zeros(3)}, strict=False)
    assert [p.item() for p in model.parameters()] == [9, 3]


def test_modes_reach_every_part() -> None:
    model = Pair()
    assert model.training
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert model.train() is model
    assert all(module.training for module in model.modules())


def test_zero_grad() -> None:
    model = Pair()
    model(x(1.0)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_hooks_run_around_forward_in_order() -> None:
    calls: list[Any] = []
    model = Scale(2.0)
    model.register_forward_pre_hook(lambda module, args: calls.append(("before", args[0].item())))
    model.register_forward_hook(
        lambda module, args, output: calls.append(("after", module is model, output.item()))
    )
    model.register_forward_hook(lambda module, args, output: calls.append("second"))
    assert model(x(3.0)).item() == 6
    assert calls == [("before", 3), ("after", True, 6), "second"]


def test_one_kind_of_hook_alone_is_enough() -> None:
    before, after = Scale(2.0), Scale(2.0)
    before.register_forward_pre_hook(lambda module, args: args[0] + 1)
    after.register_forward_hook(lambda module, args, output: output + 1)
    assert (before(x(3.0)).item(), after(x(3.0)).item()) == (8, 7)


def test_hooks_can_replace_arguments_and_output() -> None:
    model = Scale(2.0)
    first = model.register_forward_pre_hook(lambda module, args: args[0] + 1)
    second = model.register_forward_pre_hook(lambda module, args: (args[0] * 10,))
    third = model.register_forward_hook(lambda module, args, output: output - args[0])
    assert model(x(3.0)).item() == 40  # (3 + 1) * 10 * 2 - 40
    third.remove()
    assert model(x(3.0)).item() == 80
    first.remove()
    first.remove()
    assert model(x(3.0)).item() == 60
    second.remove()
    assert model(x(3.0)).item() == 6


def test_always_called_hooks_run_when_forward_raises() -> None:
    calls: list[Any] = []
    model = Scale(2.0)
    model.register_forward_hook(lambda module, args, output: calls.append("only on success"))
    model.register_forward_hook(lambda module, args, output: calls.append(output), always_call=True)
    with pytest.raises(ValueError, match="do not broadcast"):
        model(Tensor(np.ones(2)), shift=Tensor(np.ones(3)))
    assert calls == [None]
    model(x(1.0))
    assert calls[1] == "only on success"
    assert calls[2].item() == 2


def test_a_hook_may_remove_itself() -> None:
    calls: list[int] = []
    model = Scale(2.0)

    def once(module: nn.Module, args: Any, output: Any) -> None:
        calls.append(1)
        handle.remove()

    handle = model.register_forward_hook(once)
    model(x(1.0))
    model(x(1.0))
    assert calls == [1]


def test_hooks_of_inner_modules_run_inside_a_model() -> None:
    calls: list[str] = []
    model = Pair()
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda m, a, name=name: calls.append(f"+{name}"))
        module.register_forward_hook(lambda m, a, o, name=name: calls.append(f"-{name}"))
    model(x(1.0))
    assert (
        " ".join(calls)
        == "+ +first -first +second +second.0 -second.0 +second.1 -second.1 -second -"
    )


def test_a_deep_copy_is_independent() -> None:
    model = Pair()
    twin = copy.deepcopy(model)
    twin.first.factor.data += 1
    assert [p.item() for p in model.parameters()] == [2, 3]
    assert [p.item() for p in twin.parameters()] == [3, 3]
    assert twin.again is twin.first


def test_lists_of_modules() -> None:
    layers = nn.ModuleList([Scale(1.0), Scale(2.0)])
    layers.append(Scale(3.0))
    assert len(layers) == 3
    assert [layer.factor.item() for layer in layers] == [1, 2, 3]  # type: ignore[attr-defined]
    assert layers[-1] is list(layers)[2]
    layers[1] = Scale(5.0)
    assert [p.item() for p in layers.parameters()] == [1, 5, 3]
    assert [name for name, _ in layers.named_parameters()] == ["0.factor", "1.factor", "2.factor"]
    with pytest.raises(IndexError):
        layers[3]


def test_sequential_applies_its_modules_in_order() -> None:
    model = nn.Sequential(Scale(2.0), nn.ReLU(), Scale(-1.0))
    assert model(x(3.0)).item() == -6
    assert model(x(-3.0)).item() == 0
    assert nn.Sequential()(x(4.0)).item() == 4
    model.append(Scale(2.0))
    assert model(x(3.0)).item() == -12


def test_repr_shows_the_tree() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)))
    assert repr(model) == (
        "Sequential(\n  (0): Linear(2, 3, bias=True)\n  (1): Sequential(\n"
        "    (0): ReLU()\n    (1): Dropout(p=0.5)\n  )\n)"
    )
    assert re.match(
        r"MultiHeadAttention\(\n  8, num_heads=2, causal=True\n", repr(nn.MultiHeadAttention(8, 2))
    )


def test_training_a_module_moves_its_parameters_towards_the_targets() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.GELU(), nn.Linear(16, 2, rng=rng))
    points = rng.standard_normal((64, 2)).astype(np.float32)
    classes = (points[:, 0] * points[:, 1] > 0).astype(int)
    losses = []
    for _ in range(200):
        loss = F.cross_entropy(model(Tensor(points)), classes)
        loss.backward()
        for parameter in model.parameters():
            parameter.data -= 0.5 * parameter._grad  # type: ignore[operator]
        model.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
