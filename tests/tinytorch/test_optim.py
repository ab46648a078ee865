import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch import Parameter, Tensor, backend
from tinytorch.optim import (
    SGD,
    AdamW,
    Optimizer,
    Scheduler,
    clip_gradient_norm,
    cosine_schedule,
    warmup_schedule,
)

RATES = st.floats(1e-4, 0.5)
SHARES = st.floats(0.0, 0.95)
DECAYS = st.sampled_from([0.0, 0.01, 0.3])
STEPS = 4


def parameters(seed: int) -> tuple[Parameter, list[np.ndarray]]:
    """A parameter in float64, so that formulas must agree closely, and gradients for it."""
    rng = np.random.default_rng(seed)
    parameter = Parameter(rng.standard_normal((3, 4)))
    return parameter, [rng.standard_normal((3, 4)) for _ in range(STEPS)]


@given(seed=st.integers(0, 99), lr=RATES, momentum=SHARES, nesterov=st.booleans(), decay=DECAYS)
def test_sgd_is_its_formula(
    seed: int, lr: float, momentum: float, nesterov: bool, decay: float
) -> None:
    parameter, gradients = parameters(seed)
    expected, velocity = parameter.data.copy(), np.zeros((3, 4))
    nesterov = nesterov and momentum > 0
    optimizer = SGD([parameter], lr, momentum, nesterov, decay)
    for gradient in gradients:
        parameter.grad = Tensor(gradient.copy())
        optimizer.step()
        slope = gradient + decay * expected
        velocity = momentum * velocity + slope
        expected = expected - lr * (slope + momentum * velocity if nesterov else velocity)
    np.testing.assert_allclose(parameter.data, expected, rtol=1e-9, atol=1e-12)


@given(seed=st.integers(0, 99), lr=RATES, beta1=SHARES, beta2=SHARES, decay=DECAYS)
def test_adamw_is_its_formula(
    seed: int, lr: float, beta1: float, beta2: float, decay: float
) -> None:
    parameter, gradients = parameters(seed)
    expected, m, v = parameter.data.copy(), np.zeros((3, 4)), np.zeros((3, 4))
    optimizer = AdamW([parameter], lr, (beta1, beta2), eps=1e-6, weight_decay=decay)
    for number, gradient in enumerate(gradients, start=1):
        parameter.grad = Tensor(gradient.copy())
        optimizer.step()
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        corrected_m, corrected_v = m / (1 - beta1**number), v / (1 - beta2**number)
        expected = expected - lr * decay * expected
        expected = expected - lr * corrected_m / (np.sqrt(corrected_v) + 1e-6)
    np.testing.assert_allclose(parameter.data, expected, rtol=1e-9, atol=1e-12)


def test_adamw_decays_the_weight_and_not_the_gradient() -> None:
    """Adam with L2 in the gradient would move by lr whatever the decay."""
    parameter = Parameter(np.full(3, 10.0))
    parameter.grad = Tensor(np.zeros(3))
    AdamW([parameter], lr=0.1, weight_decay=0.5).step()
    np.testing.assert_allclose(parameter.data, 10 * (1 - 0.1 * 0.5))


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_the_gradient_is_only_read_and_the_array_stays(kind: type[Any]) -> None:
    parameter, (gradient, *_) = parameters(0)
    array, before = parameter.data, gradient.copy()
    parameter.grad = Tensor(gradient)
    kind([parameter], lr=0.1).step()
    assert parameter.data is array
    np.testing.assert_array_equal(gradient, before)


@pytest.mark.parametrize(
    "make", [lambda p: SGD(p, 0.1), lambda p: SGD(p, 0.1, momentum=0.9), lambda p: AdamW(p, 0.1)]
)
def test_parameters_without_a_gradient_stay(make: Any) -> None:
    still, moving = Parameter(np.ones(2)), Parameter(np.ones(2))
    moving.grad = Tensor(np.ones(2))
    optimizer = make([still, moving])
    optimizer.step()
    assert still.data.tolist() == [1, 1]
    assert np.all(moving.data < 1)
    optimizer.zero_grad()
    assert moving.grad is None


def test_steps_go_through_the_backend_one_a_parameter() -> None:
    shapes = [(2, 3), (4,)]
    learned = [Parameter(np.ones(shape, np.float32)) for shape in shapes]
    for optimizer, op in ((SGD(learned, 0.1), "sgd_step"), (AdamW(learned), "adamw_step")):
        for parameter in learned:
            parameter.grad = Tensor(np.ones(parameter.shape, np.float32))
        seen: list[str] = []
        with backend.observe(lambda event, seen=seen: seen.append(event.op)):
            optimizer.step()
        assert seen == [op, op]


@pytest.mark.parametrize(
    ("make", "arrays"),
    [
        (lambda p: SGD(p, 0.1), 0),
        (lambda p: SGD(p, 0.1, momentum=0.9), 1),
        (lambda p: AdamW(p), 2),
    ],
)
def test_the_state_is_so_many_arrays_a_parameter(make: Any, arrays: int) -> None:
    parameter = Parameter(np.ones((3, 5), np.float32))
    optimizer = make([parameter])
    assert optimizer.state_arrays() == []
    parameter.grad = Tensor(np.ones((3, 5), np.float32))
    optimizer.step()
    assert [(a.shape, a.dtype) for a in optimizer.state_arrays()] == [((3, 5), np.float32)] * arrays


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True),
        lambda p: SGD(p, 0.1),
        lambda p: AdamW(p, 0.1),
    ],
)
def test_a_loaded_state_goes_on_where_it_stood(make: Any) -> None:
    first, gradients = parameters(3)
    optimizer = make([first])

    def step(parameter: Parameter, with_optimizer: Optimizer, number: int) -> None:
        parameter.grad = Tensor(gradients[number])
        with_optimizer.step()

    step(first, optimizer, 0)
    step(first, optimizer, 1)
    second = Parameter(first.data.copy())
    other = make([second])
    optimizer.lr = 0.05
    other.load_state_dict(
        {k: np.copy(v).item() if np.ndim(v) == 0 else v for k, v in optimizer.state_dict().items()}
    )
    for number in (2, 3):
        step(first, optimizer, number)
        step(second, other, number)
    np.testing.assert_array_equal(first.data, second.data)
    assert other.lr == 0.05


def test_a_loaded_state_is_a_copy() -> None:
    parameter, (gradient, *_) = parameters(0)
    parameter.grad = Tensor(gradient)
    optimizer = SGD([parameter], 0.1, momentum=0.9)
    optimizer.step()
    other = SGD([parameter], 0.1, momentum=0.9)
    other.load_state_dict(optimizer.state_dict())
    assert not np.shares_memory(other.state_arrays()[0], optimizer.state_arrays()[0])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"kind": "SGD", "lr": 0.1}, "state of SGD"),
        ({}, "state of None"),
        ({"kind": "AdamW", "lr": 0.1, "m.0": np.zeros(3), "v.0": np.zeros(2)}, "shape"),
        ({"kind": "AdamW", "lr": 0.1, "m.0": np.zeros(2)}, "incomplete"),
        ({"kind": "AdamW", "lr": 0.1, "step.0": 3}, "incomplete"),
        ({"kind": "AdamW", "lr": 0.1, "m.1": np.zeros(2)}, "only 1 parameters"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(
    state: dict[str, Any], message: str
) -> None:
    optimizer = AdamW([Parameter(np.zeros(2))], lr=0.2)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.lr == 0.2
    assert optimizer.state_arrays() == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: SGD([], 0.1), "no parameters"),
        (lambda p: SGD([p, p], 0.1), "given twice"),
        (lambda p: SGD([p], -0.1), "lr is -0.1"),
        (lambda p: SGD([p], math.nan), "lr is nan"),
        (lambda p: SGD([p], 0.1, momentum=1.0), "momentum is 1.0"),
        (lambda p: SGD([p], 0.1, nesterov=True), "nesterov needs"),
        (lambda p: SGD([p], 0.1, weight_decay=-1), "weight_decay is -1"),
        (lambda p: AdamW([p], betas=(0.9, 1.0)), r"betas\[1\] is 1.0"),
        (lambda p: AdamW([p], eps=0), "eps is 0"),
    ],
)
def test_impossible_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Parameter(np.zeros(2)))


def test_what_is_no_floating_point_tensor_is_refused() -> None:
    for wrong in (np.zeros(2), Tensor(np.zeros(2, np.int64))):
        with pytest.raises(TypeError, match=r"model\.parameters"):
            SGD([wrong], 0.1)  # type: ignore[list-item]


@given(total=st.integers(1, 500), final=st.floats(0, 1))
def test_cosine_falls_from_one_to_its_end(total: int, final: float) -> None:
    factors = [cosine_schedule(step, total, final) for step in range(total + 3)]
    assert factors[0] == pytest.approx(1)
    assert factors[total:] == pytest.approx([final] * 3)
    assert all(a >= b - 1e-12 for a, b in pairwise(factors))
    for step in range(total):
        expected = final + (1 - final) * (1 + math.cos(math.pi * step / total)) / 2
        assert factors[step] == pytest.approx(expected)


@given(warmup=st.integers(0, 100))
def test_warmup_rises_in_a_line_to_one(warmup: int) -> None:
    factors = [warmup_schedule(step, warmup) for step in range(warmup + 2)]
    assert factors[-2:] == [1, 1]
    assert factors[: max(warmup, 0)] == pytest.approx([(i + 1) / warmup for i in range(warmup)])


def test_impossible_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="total_steps is 0"):
        cosine_schedule(0, 0)
    with pytest.raises(ValueError, match="warmup_steps is -1"):
        warmup_schedule(0, -1)


def test_the_scheduler_sets_the_rate_before_each_step() -> None:
    optimizer = SGD([Parameter(np.zeros(1))], lr=0.5)
    scheduler = Scheduler(optimizer, lambda step: warmup_schedule(step, 2) / (step + 1))
    rates = []
    for _ in range(4):
        scheduler.step()
        rates.append(optimizer.lr)
    assert rates == [0.25, 0.25, 0.5 / 3, 0.125]


@given(seed=st.integers(0, 99), max_norm=st.floats(0.01, 20))
def test_clipping_keeps_the_direction_and_bounds_the_length(seed: int, max_norm: float) -> None:
    rng = np.random.default_rng(seed)
    learned = [Parameter(np.zeros(shape)) for shape in ((2, 3), (5,), ())]
    gradients = [rng.standard_normal(p.shape) for p in learned]
    for parameter, gradient in zip(learned, gradients, strict=True):
        parameter.grad = Tensor(np.asarray(gradient).copy())
    learned.append(Parameter(np.zeros(4)))
    length = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    assert clip_gradient_norm(learned, max_norm) == pytest.approx(length)
    factor = min(1, max_norm / length)
    for parameter, gradient in zip(learned[:3], gradients, strict=True):
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad.data, gradient * factor)
    assert learned[3].grad is None


def test_clipping_says_when_training_diverged() -> None:
    parameter = Parameter(np.zeros(2))
    parameter.grad = Tensor(np.array([math.inf, 1.0]))
    with pytest.raises(FloatingPointError, match="diverged"):
        clip_gradient_norm([parameter], 1.0)
    with pytest.raises(ValueError, match="max_norm is 0"):
        clip_gradient_norm([parameter], 0)


def test_an_unfinished_optimizer_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"no step\(\)"):
        Optimizer([Parameter(np.zeros(1))], 0.1).step()
