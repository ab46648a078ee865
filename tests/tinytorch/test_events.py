"""What each operation tells its observers, against the table in docs/architecture.md."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tinytorch import Tensor, backend, cat, where
from tinytorch import functional as F
from tinytorch.backend import Backend, Event, observe
from tinytorch.kernels import NumpyBackend

Shapes = list[tuple[int, ...]]
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


class Told(NamedTuple):
    """The shapes and the names an event must have."""

    inputs: Shapes
    outputs: Shapes
    attributes: str = ""


def t(*shape: int) -> Tensor:
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def a(*shape: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.ones(shape, np.float32)


def step(op: str, *arrays: np.ndarray, **settings: float) -> Callable[[], None]:  # type: ignore[type-arg]
    return lambda: getattr(backend.active, op)(*arrays, **settings)


def both(function: Callable[[], Tensor]) -> Callable[[], None]:
    """Forward and backward."""

    def run() -> None:
        result = function()
        result.backward(np.ones(result.shape, result.dtype))

    return run


IMAGE, KERNEL, MAP = (2, 3, 6, 6), (4, 3, 3, 3), (2, 4, 3, 3)
HEADS, KEYS = (2, 3, 4, 5), (2, 3, 6, 5)

# what to run -> the operations this must bring, and what each must tell
CASES: list[tuple[Callable[[], object], dict[str, Told]]] = [
    *(
        (lambda op=op: getattr(t(2, 3), op)(t(3)), {name: Told([(2, 3), (3,)], [(2, 3)])})  # type: ignore[misc]
        for op, name in (
            *(("__add__", "add"), ("__sub__", "sub"), ("__mul__", "mul"), ("__truediv__", "div")),
            *(("__pow__", "pow"), ("maximum", "maximum"), ("__eq__", "equal")),
            *(("__ne__", "not_equal"), ("__lt__", "less"), ("__le__", "less_equal")),
            *(("__gt__", "greater"), ("__ge__", "greater_equal")),
        )
    ),
    *(
        (getattr(t(2, 3), op), {op.strip("_"): Told([(2, 3)], [(2, 3)])})
        for op in ("__neg__", "exp", "log", "sqrt", "tanh", "sigmoid", "relu", "gelu", "abs")
    ),
    *(
        (both(getattr(t(2, 3), op)), {f"{op}_grad": Told([(2, 3), (2, 3)], [(2, 3)])})
        for op in ("relu", "tanh", "sigmoid", "gelu", "abs")
    ),
    *(
        (
            both(getattr(t(2, 3), op)),
            {
                op: Told([(2, 3)], [(2, 3)], "axis"),
                f"{op}_grad": Told([(2, 3), (2, 3)], [(2, 3)], "axis"),
            },
        )
        for op in ("softmax", "log_softmax")
    ),
    (
        both(lambda: t(2, 3) ** t(3)),
        {
            "pow_grad_base": Told([(2, 3), (2, 3), (3,)], [(2, 3)]),
            "pow_grad_exponent": Told([(2, 3), (2, 3), (2, 3)], [(2, 3)]),
        },
    ),
    (
        both(lambda: t(2, 3).maximum(t(3))),
        {"maximum_grad": Told([(2, 3), (2, 3), (3,)], [(2, 3), (2, 3)])},
    ),
    (lambda: t(2).to(np.float64), {"cast": Told([(2,)], [(2,)], "dtype")}),
    (lambda: t(2).clone(), {"copy": Told([(2,)], [(2,)])}),
    *(
        (
            lambda op=op: getattr(t(2, 3), op)(1, keepdim=True),  # type: ignore[misc]
            {op: Told([(2, 3)], [(2, 1)], "axis keepdims")},
        )
        for op in ("sum", "mean", "max", "argmax")
    ),
    (both(lambda: t(2, 3).sum(1)), {"broadcast": Told([(2, 1)], [(2, 3)], "shape")}),
    (
        both(lambda: t(2, 3).max(1)),
        {"max_grad": Told([(2, 1), (2, 3), (2, 1)], [(2, 3)], "axis")},
    ),
    (lambda: t(5, 2, 3) @ t(3, 4), {"matmul": Told([(5, 2, 3), (3, 4)], [(5, 2, 4)])}),
    (lambda: F.linear(t(5, 2, 3), t(4, 3)), {"linear": Told([(5, 2, 3), (4, 3)], [(5, 2, 4)])}),
    (
        lambda: F.linear(t(2, 3), t(4, 3), t(4)),
        {"linear": Told([(2, 3), (4, 3), (4,)], [(2, 4)])},
    ),
    (
        both(lambda: F.conv2d(t(*IMAGE), t(*KERNEL), t(4), stride=2, padding=1)),
        {
            "conv2d": Told([IMAGE, KERNEL, (4,)], [MAP], "stride padding"),
            "conv2d_grad_input": Told([MAP, KERNEL], [IMAGE], "stride padding input_shape"),
            "conv2d_grad_weight": Told([MAP, IMAGE], [KERNEL], "stride padding weight_shape"),
        },
    ),
    (
        lambda: F.conv2d(t(*IMAGE), t(*KERNEL), stride=2, padding=1),
        {"conv2d": Told([IMAGE, KERNEL], [MAP], "stride padding")},
    ),
    (
        both(lambda: F.max_pool2d(t(2, 3, 6, 6), 3, 3)),
        {
            "max_pool2d": Told(
                [IMAGE], [(2, 3, 2, 2), (2, 3, 2, 2)], "kernel_size stride save_indices"
            ),
            "max_pool2d_grad": Told(
                [(2, 3, 2, 2), (2, 3, 2, 2)], [IMAGE], "kernel_size stride input_shape"
            ),
        },
    ),
    (
        lambda: F.max_pool2d(t(*IMAGE).detach(), 3),
        {"max_pool2d": Told([IMAGE], [(2, 3, 2, 2)], "kernel_size stride save_indices")},
    ),
    (
        both(lambda: F.layer_norm(t(2, 3), 3, t(3), t(3))),
        {
            "layer_norm": Told([(2, 3), (3,), (3,)], [(2, 3), (2, 1), (2, 1)], "eps"),
            "layer_norm_grad": Told([(2, 3), (2, 3), (3,), (2, 1), (2, 1)], [(2, 3), (3,), (3,)]),
        },
    ),
    (
        both(lambda: F.batch_norm(t(*IMAGE), t(3), t(3), t(3), t(3), training=True)),
        {
            "batch_norm": Told([IMAGE, *[(3,)] * 4], [IMAGE, (3,), (3,)], "training momentum eps"),
            "batch_norm_grad": Told([IMAGE, IMAGE, *[(3,)] * 3], [IMAGE, (3,), (3,)], "training"),
        },
    ),
    (
        both(lambda: F.cross_entropy(t(2, 3, 4), np.zeros((2, 3), int))),
        {
            "cross_entropy": Told([(6, 4), (6,)], [(), (6, 4)]),
            "cross_entropy_grad": Told([(), (6, 4), (6,)], [(6, 4)]),
        },
    ),
    (
        both(lambda: F.scaled_dot_product_attention(t(*HEADS), t(*KEYS), t(*KEYS))),
        {
            "attention": Told(
                [HEADS, KEYS, KEYS], [HEADS, (2, 3, 4, 6)], "causal scale save_weights"
            ),
            "attention_grad": Told(
                [HEADS, HEADS, KEYS, KEYS, (2, 3, 4, 6)], [HEADS, KEYS, KEYS], "scale"
            ),
        },
    ),
    (
        lambda: F.multi_head_attention(t(2, 4, 45).detach(), 3),
        {"attention": Told([HEADS] * 3, [HEADS], "causal scale save_weights")},
    ),
    (
        both(lambda: F.embedding(np.zeros((2, 4), int), t(5, 3))),
        {
            "embedding": Told([(5, 3), (2, 4)], [(2, 4, 3)]),
            "embedding_grad": Told([(2, 4, 3), (2, 4)], [(5, 3)], "num_embeddings"),
        },
    ),
    (
        both(lambda: t(5, 3)[1:3]),
        {
            "getitem": Told([(5, 3)], [(2, 3)], "index"),
            "getitem_grad": Told([(2, 3)], [(5, 3)], "index input_shape"),
        },
    ),
    (lambda: cat([t(2, 3), t(2, 1)], 1), {"concat": Told([(2, 3), (2, 1)], [(2, 4)], "axis")}),
    (
        lambda: where(np.ones((2, 1), bool), t(3), t(2, 3)),
        {"where": Told([(2, 1), (3,), (2, 3)], [(2, 3)])},
    ),
    (step("sgd_step", a(2, 3), a(2, 3), lr=0.1), {"sgd_step": Told([(2, 3)] * 2, [(2, 3)], "lr")}),
    (
        step("sgd_step", a(3), a(3), a(3), lr=0.1, momentum=0.9),
        {"sgd_step": Told([(3,)] * 3, [(3,)] * 2, "lr momentum")},
    ),
    (
        step("adamw_step", a(3), a(3), a(3), a(3), lr=0.1, step=1),
        {"adamw_step": Told([(3,)] * 4, [(3,)] * 3, "lr step")},
    ),
]


def operations_of_the_protocol() -> set[str]:
    return {name for name, _ in inspect.getmembers(Backend, inspect.isfunction) if name[0] != "_"}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_events_tell_what_the_table_says(number: int) -> None:
    run, expected = CASES[number]
    events: list[Event] = []
    with observe(events.append):
        run()
    for op, told in expected.items():
        seen = [event for event in events if event.op == op]
        assert len(seen) == 1, f"{op} was seen {len(seen)} times in {[e.op for e in events]}"
        event = seen[0]
        assert [array.shape for array in event.inputs] == told.inputs, op
        assert [array.shape for array in event.outputs] == told.outputs, op
        assert set(event.attributes) == set(told.attributes.split()), op
        assert not any(isinstance(value, np.ndarray) for value in event.attributes.values()), op


def test_the_cases_cover_every_operation() -> None:
    assert {op for _, expected in CASES for op in expected} == operations_of_the_protocol()


def test_the_table_names_every_operation_and_no_other() -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    table = text[text.index("| op | inputs |") :].split("\n\n")[0]
    first_columns = [line.split("|")[1] for line in table.splitlines()[2:]]
    named = [
        name
        for cell in first_columns
        for code in re.findall(r"`([^`]+)`", cell)
        for name in code.split()
    ]
    assert sorted(named) == sorted(operations_of_the_protocol())


def test_the_numpy_backend_has_every_operation_with_the_protocols_arguments() -> None:
    for name in operations_of_the_protocol():
        expected = inspect.signature(getattr(Backend, name))
        assert inspect.signature(getattr(NumpyBackend, name)) == expected, name


def test_steps_say_that_they_change_their_operands() -> None:
    parameter, gradient, velocity = a(3), a(3), a(3)
    events: list[Event] = []
    with observe(events.append):
        backend.active.sgd_step(parameter, gradient, velocity, lr=0.1, momentum=0.5)
    assert events[0].outputs[0] is parameter
    assert events[0].outputs[1] is velocity
