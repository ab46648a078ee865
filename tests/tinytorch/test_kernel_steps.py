"""The update kernels against their formulas, written out for one number at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.finite_differences import seeds
from tinytorch.kernels import NumpyBackend, arrays, optimizer_steps

kernels = NumpyBackend()


@settings(max_examples=30)
@given(
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 0.1]),
    seed=seeds,
)
def test_sgd(momentum: float, nesterov: bool, weight_decay: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parameter = rng.standard_normal(3)
    velocity = np.zeros(3) if momentum else None
    expected, expected_velocity = parameter.tolist(), [0.0] * 3
    for _ in range(4):
        gradient = rng.standard_normal(3)
        for i in range(3):
            g = gradient[i] + weight_decay * expected[i]
            expected_velocity[i] = momentum * expected_velocity[i] + g
            move = g + momentum * expected_velocity[i] if nesterov else expected_velocity[i]
            expected[i] -= 0.1 * (move if momentum else g)
        before = gradient.copy()
        kernels.sgd_step(
            parameter,
            gradient,
            velocity,
            lr=0.1,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
        )
        np.testing.assert_array_equal(gradient, before)
    np.testing.assert_allclose(parameter, expected, rtol=1e-12)


@settings(max_examples=30)
@given(weight_decay=st.sampled_from([0.0, 0.1]), seed=seeds)
def test_adamw(weight_decay: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parameter, m, v = rng.standard_normal(3), np.zeros(3), np.zeros(3)
    expected, expected_m, expected_v = parameter.tolist(), [0.0] * 3, [0.0] * 3
    for step in range(1, 5):
        gradient = rng.standard_normal(3)
        for i, g in enumerate(gradient.tolist()):
            expected[i] -= 0.1 * weight_decay * expected[i]
            expected_m[i] = 0.8 * expected_m[i] + 0.2 * g
            expected_v[i] = 0.9 * expected_v[i] + 0.1 * g * g
            mean, square = expected_m[i] / (1 - 0.8**step), expected_v[i] / (1 - 0.9**step)
            expected[i] -= 0.1 * mean / (math.sqrt(square) + 1e-3)
        before = gradient.copy()
        kernels.adamw_step(
            parameter,
            gradient,
            m,
            v,
            lr=0.1,
            beta1=0.8,
            beta2=0.9,
            eps=1e-3,
            weight_decay=weight_decay,
            step=step,
        )
        np.testing.assert_array_equal(gradient, before)
    np.testing.assert_allclose(parameter, expected, rtol=1e-12)
    np.testing.assert_allclose(m, expected_m, rtol=1e-12)
    np.testing.assert_allclose(v, expected_v, rtol=1e-12)


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided"])
def test_large_and_oddly_laid_out_parameters_change_in_place(
    layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimizer_steps, "SMALL", 10)
    monkeypatch.setattr(arrays, "CACHE_BYTES", 7 * 4 * 8)
    rng = np.random.default_rng(0)
    storage = rng.standard_normal((6, 8))
    parameter = {"contiguous": storage, "transposed": storage.T, "strided": storage[::2, ::3]}[
        layout
    ]
    gradient = rng.standard_normal(parameter.shape)
    expected = parameter - 0.1 * gradient
    kernels.sgd_step(parameter, gradient, lr=0.1)
    np.testing.assert_allclose(parameter, expected)
    assert np.shares_memory(parameter, storage)
    m, v = np.zeros_like(parameter), np.zeros_like(parameter)
    before = parameter.copy()
    kernels.adamw_step(parameter, gradient, m, v, lr=0.1, weight_decay=0.0, step=1)
    np.testing.assert_allclose(parameter, before - 0.1 * np.sign(gradient), atol=1e-6)


def test_float32_parameters_stay_float32() -> None:
    parameter, gradient = np.ones(3, np.float32), np.ones(3, np.float32)
    results = kernels.sgd_step(parameter, gradient, np.zeros(3, np.float32), lr=0.1, momentum=0.9)
    assert all(result.dtype == np.float32 for result in results)
