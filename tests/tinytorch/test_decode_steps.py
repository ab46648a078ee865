"""Fused and compiled steps compute what the model computes, from its own weights."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.reserving_cache import ReservingCache, reserving_caches
from tinytorch import Tensor, no_grad
from tinytorch.kernels import NumpyBackend
from tinytorch.kernels.compiled.decode_elementwise import exp, gelu_rows, layer_norm_rows
from tinytorch.kernels.compiled.decode_products import linear_rows
from tinytorch.models import GPT, CompiledStep, FusedStep, GPTConfig, generate
from tinytorch.nn import Linear

Step: TypeAlias = FusedStep | CompiledStep
MakeStep: TypeAlias = Callable[[GPT], Step]
ODD = GPTConfig(vocab_size=11, block_size=14, n_layer=2, n_head=3, n_embd=15)
both_steps = pytest.mark.parametrize("make_step", [FusedStep, CompiledStep])


def random_gpt(seed: int, config: GPTConfig = ODD) -> GPT:
    """A GPT whose every parameter matters to the result."""
    model = GPT(config, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    for parameter in model.parameters():
        parameter.data += 0.3 * rng.standard_normal(parameter.shape).astype(np.float32)
    return model.eval()


@no_grad()
def uncached(model: GPT, ids: Any) -> Any:
    """Scores after the last of the ids (B, T), everything computed anew: (B, V)."""
    return model(ids, last_only=True).data[:, -1]


@no_grad()
def read(model: GPT, ids: Any, cache: list[ReservingCache]) -> None:
    """Prefill a cache by the model itself."""
    model(ids, cache=cache)


@both_steps
@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 3),
    prompt=st.integers(0, 6),
    new=st.integers(1, 8),
    heads=st.sampled_from([1, 3]),
)
@settings(max_examples=25, deadline=None)
def test_scores_are_the_models_without_a_cache(
    make_step: MakeStep, seed: int, batch: int, prompt: int, new: int, heads: int
) -> None:
    model = random_gpt(seed, GPTConfig(11, 14, 2, heads, 15))
    step = make_step(model)
    cache = reserving_caches(model, batch)
    rng = np.random.default_rng(seed)
    for _ in range(2):  # the second sequence begins after a reset
        ids = rng.integers(0, 11, (batch, prompt + new))
        for layer in cache:
            layer.length = 0
        if prompt:
            read(model, ids[:, :prompt], cache)
        for end in range(prompt + 1, prompt + new + 1):
            scores = step(model, ids[:, end - 1], cache)
            assert (scores.shape, scores.dtype) == ((batch, 11), np.float32)
            np.testing.assert_allclose(scores, uncached(model, ids[:, :end]), rtol=1e-4, atol=1e-4)


@both_steps
def test_greedy_tokens_are_the_models(make_step: MakeStep) -> None:
    model = random_gpt(5, GPTConfig(50, 64, 3, 4, 32))
    step = make_step(model)
    prompt = np.random.default_rng(5).integers(0, 50, (2, 9))
    expected = generate(model, prompt, 55)
    cache = reserving_caches(model, 2)
    read(model, prompt[:, :-1], cache)
    ids = [*prompt.T]
    while len(ids) < 64:  # up to the last position that exists
        ids.append(step(model, ids[-1], cache).argmax(axis=1))
    np.testing.assert_array_equal(np.stack(ids, axis=1), expected)


@both_steps
def test_what_a_step_returns_stays(make_step: MakeStep) -> None:
    model = random_gpt(1)
    step, cache = make_step(model), reserving_caches(model)
    first = step(model, [3], cache)
    kept = first.copy()
    step(model, Tensor(np.array([4])), cache)
    np.testing.assert_array_equal(first, kept)


@both_steps
def test_batches_may_change_between_calls(make_step: MakeStep) -> None:
    model = random_gpt(1)
    step = make_step(model)
    for batch in (1, 3, 2, 1):
        ids = np.arange(batch)
        scores = step(model, ids, reserving_caches(model, batch))
        np.testing.assert_allclose(scores, uncached(model, ids[:, None]), rtol=1e-4, atol=1e-4)


@both_steps
class TestWeights:
    def check(self, step: Step, model: GPT) -> None:
        scores = step(model, np.array([7]), reserving_caches(model))
        np.testing.assert_allclose(scores, uncached(model, [[7]]), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", [name for name, _ in GPT(ODD).named_parameters()])
    def test_every_weight_changed_in_place_is_followed(
        self, make_step: MakeStep, name: str
    ) -> None:
        model = random_gpt(2)
        step = make_step(model)
        before = step(model, np.array([7]), reserving_caches(model))
        rng = np.random.default_rng(3)
        parameter = dict(model.named_parameters())[name]
        parameter.data += rng.standard_normal(parameter.shape).astype(np.float32)
        self.check(step, model)
        after = step(model, np.array([7]), reserving_caches(model))
        assert not np.array_equal(before, after)

    def test_loaded_weights_are_followed(self, make_step: MakeStep) -> None:
        model = random_gpt(2)
        step = make_step(model)
        model.load_state_dict(random_gpt(3).state_dict())
        self.check(step, model)

    def test_an_array_given_anew_is_followed(self, make_step: MakeStep) -> None:
        model = random_gpt(2)
        step = make_step(model)
        for parameter in model.parameters():
            parameter.data = 0.5 * parameter.data
        self.check(step, model)

    def test_a_replaced_layer_needs_a_new_step(self, make_step: MakeStep) -> None:
        model = random_gpt(2)
        model.head = Linear(15, 11, rng=np.random.default_rng(1))  # this one has a bias
        self.check(make_step(model), model)

    def test_read_only_weights_are_read(self, make_step: MakeStep) -> None:
        model = random_gpt(2)
        for parameter in model.parameters():
            parameter.data.setflags(write=False)
        self.check(make_step(model), model)

    def test_dropout_is_off_also_in_training_mode(self, make_step: MakeStep) -> None:
        model = random_gpt(2, GPTConfig(11, 14, 2, 3, 15, dropout=0.5))
        step = make_step(model)
        expected = uncached(model, [[7]])
        scores = step(model.train(), np.array([7]), reserving_caches(model))
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
        assert model.training


class RecentCache(ReservingCache):
    """Keeps the last 4 positions and counts all of them."""

    def reserve(self, n: int) -> tuple[Any, Any]:
        stored = min(self.length, 4)
        kept = min(stored, 4 - n)
        for array in (self.keys, self.values):
            array[:, :, :kept] = array[:, :, stored - kept : stored].copy()
        self.length += n
        return self.keys[:, :, : kept + n], self.values[:, :, : kept + n]


class HeadsInside(ReservingCache):
    """Stores (B, S, H, D), so that its views have other strides."""

    def __init__(self, batch: int, heads: int, capacity: int, width: int) -> None:
        super().__init__(batch, heads, capacity, width)
        self.keys, self.values = (
            np.zeros((batch, capacity, heads, width), np.float32).transpose(0, 2, 1, 3)
            for _ in range(2)
        )


@both_steps
@pytest.mark.parametrize("kind", [RecentCache, HeadsInside])
@pytest.mark.parametrize("batch", [1, 2])
def test_other_caches_give_what_the_model_gives_with_them(
    make_step: MakeStep, kind: type[ReservingCache], batch: int
) -> None:
    model = random_gpt(4)
    step = make_step(model)
    ours, models = ([kind(batch, 3, 14, 5) for _ in range(2)] for _ in range(2))
    for ids in np.random.default_rng(4).integers(0, 11, (12, batch)):
        scores = step(model, ids, ours)
        with no_grad():
            expected = model(ids[:, None], cache=models).data[:, 0]
        np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)


class TestKernels:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("lead", [(), (1,), (1, 1)])
    def test_a_single_row_is_normalized_as_it_is_among_others(
        self, dtype: type[np.floating[Any]], lead: tuple[int, ...]
    ) -> None:
        rng = np.random.default_rng(0)
        rows, weight, bias = (rng.standard_normal(s).astype(dtype) for s in [(3, 9), 9, 9])
        alone = NumpyBackend().layer_norm(rows[1].reshape(*lead, 9), weight, bias, eps=0.1)
        among = NumpyBackend().layer_norm(rows, weight, bias, eps=0.1)
        for one, many in zip(alone, among, strict=True):
            assert (one.shape, one.dtype) == ((*lead, many.shape[1]), many.dtype)
            np.testing.assert_allclose(one.reshape(-1), many[1], rtol=1e-5)

    def test_exp_is_right_to_a_few_units_in_the_last_place(self) -> None:
        x = np.linspace(-87, 87, 20_001, dtype=np.float32)
        found = np.array([exp(value) for value in x])
        exact = np.exp(x.astype(np.float64))
        assert np.abs(found / exact - 1).max() < 3e-7
        assert exp(np.float32(0)) == 1

    def test_exp_of_anything_is_a_number_unless_it_is_none(self) -> None:
        assert exp(np.float32(-np.inf)) == exp(np.float32(-87)) < 1e-37
        assert exp(np.float32(np.inf)) == exp(np.float32(87)) > 1e37
        assert np.isnan(exp(np.float32(np.nan)))

    def test_gelu_far_from_zero_is_the_identity_or_nothing(self) -> None:
        x = np.array([[-1e4, -20, -3, -1e-3, 0, 0.5, 3, 20, 1e4]], np.float32)
        expected = NumpyBackend().gelu(x.astype(np.float64))
        gelu_rows(x)
        np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)

    @given(rows=st.integers(1, 4), channels=st.integers(1, 70), seed=st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_layer_norm_and_linear_against_float64(
        self, rows: int, channels: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        x, weight, scale, shift = (
            rng.standard_normal(shape).astype(np.float32)
            for shape in [(rows, channels), (7, channels), channels, channels]
        )
        bias = rng.standard_normal(7).astype(np.float32)
        x += 3
        normal, out = np.empty_like(x), np.empty((rows, 7), np.float32)
        layer_norm_rows(x, scale, shift, np.float32(1e-5), normal)
        wide = x.astype(np.float64)
        centred = wide - wide.mean(axis=1, keepdims=True)
        expected = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(normal, expected * scale + shift, rtol=1e-4, atol=1e-4)
        linear_rows(x, weight, bias, out)
        np.testing.assert_allclose(out, wide @ weight.T + bias, rtol=1e-4, atol=1e-4)
