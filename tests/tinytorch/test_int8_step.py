"""The int8 decode step computes the model with rounded weights and activations, and only that."""

import copy

import numpy as np
import pytest

from tests.tinytorch.reserving_cache import reserving_caches
from tinytorch import Tensor, nn, no_grad
from tinytorch.kernels.compiled import int8_product, vnni_available
from tinytorch.models import GPT, CompiledInt8Step, GPTConfig

LAYOUTS = [pytest.param(False, id="plain")] + (
    [pytest.param(True, id="packed")] if vnni_available() else []
)
CONFIG = GPTConfig(vocab_size=37, block_size=40, n_layer=2, n_head=3, n_embd=33)


class RoundedLinear(nn.Module):
    """What an int8 layer is to compute, by NumPy in whole numbers of 64 bits."""

    def __init__(self, linear):
        self.values, self.scales = rounded(linear.weight.data)
        self.shift = 0 if linear.bias is None else linear.bias.data

    def forward(self, x):
        values, scales = rounded(x.data)
        sums = values @ self.values.T
        return Tensor((sums * scales[..., None] * self.scales + self.shift).astype(np.float32))


def rounded(rows):
    scales = np.abs(rows.astype(np.float64)).max(axis=-1) / 127
    return np.rint(rows / scales[..., None]).astype(np.int64), scales


def random_gpt(seed, config=CONFIG):
    """A GPT whose every parameter matters to the result."""
    model = GPT(config, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    for parameter in model.parameters():
        parameter.data += 0.2 * rng.standard_normal(parameter.shape).astype(np.float32)
    return model.eval()


def rounded_copy(model):
    model = copy.deepcopy(model)
    for block in model.blocks:
        for parent, name in (
            (block.attention, "qkv"),
            (block.attention, "out"),
            (block.feed_forward, "fc1"),
            (block.feed_forward, "fc2"),
        ):
            setattr(parent, name, RoundedLinear(getattr(parent, name)))
    model.head = RoundedLinear(model.head)
    return model


def make_step(model, packed):
    """A step with one of the two layouts, whatever the processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8_product, "vnni_available", lambda: packed)
        return CompiledInt8Step(model)


def by_step(step, model, ids):
    """Scores after each position of ids (B, T), read one by one: (B, T, V)."""
    cache = reserving_caches(model, len(ids))
    return np.stack([step(model, ids[:, t], cache) for t in range(ids.shape[1])], axis=1)


@no_grad()
def by_model(model, ids):
    return model(ids).data  # (B, T, V)


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize("packed", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 2, 7])
def test_scores_are_those_of_the_rounded_model(packed, batch):
    """Rejects a wrong layer, scale, bias or position; a value on an edge may round otherwise."""
    model = random_gpt(batch)
    ids = np.random.default_rng(batch).integers(0, 37, (batch, 40))
    scores = by_step(make_step(model, packed), model, ids)
    assert (scores.shape, scores.dtype) == ((batch, 40, 37), np.float32)
    exact = by_model(model, ids)
    assert distance(scores, by_model(rounded_copy(model), ids)) < 0.005
    assert 0.01 < distance(scores, exact) < 0.06  # what rounding costs, seen and bounded


def test_the_oracle_sees_a_lost_bias():
    """The comparison says no when one layer's bias is missing."""
    model = random_gpt(3)
    ids = np.random.default_rng(3).integers(0, 37, (2, 40))
    damaged = copy.deepcopy(model)
    damaged.blocks[1].attention.out.bias.data[:] = 0
    scores = by_step(CompiledInt8Step(damaged), damaged, ids)
    assert distance(scores, by_model(rounded_copy(model), ids)) > 0.02


@pytest.mark.parametrize("packed", LAYOUTS)
def test_sequences_of_a_batch_do_not_touch_each_other(packed):
    """Rejects one scale for the whole batch, and a wrong row in a tile."""
    model = random_gpt(8)
    step = make_step(model, packed)
    ids = np.random.default_rng(8).integers(0, 37, (9, 12))
    together = by_step(step, model, ids)
    for row in range(9):
        alone = by_step(step, model, ids[row : row + 1])
        np.testing.assert_allclose(together[row], alone[0], rtol=1e-4, atol=1e-4)


def test_it_goes_on_after_a_prefill_by_the_model():
    model = random_gpt(9)
    step = CompiledInt8Step(model)
    ids = np.random.default_rng(9).integers(0, 37, (1, 30))
    cache = reserving_caches(model)
    with no_grad():
        model(ids[:, :-1], cache=cache)
    scores = step(model, ids[:, -1], cache)
    assert cache[0].length == 30
    assert distance(scores, by_model(model, ids)[:, -1]) < 0.06


def test_rows_with_gaps_are_refused():
    """Rejects a kernel that would read the neighbours of what it was given."""
    model = random_gpt(14)
    cache = reserving_caches(model)
    for cached in cache:
        cached.keys = np.zeros((*cached.keys.shape[:3], 22), np.float32)[..., ::2]
    with pytest.raises(ValueError, match="without gaps"):
        CompiledInt8Step(model)(model, np.array([1]), cache)


def test_weights_are_those_of_when_it_was_made():
    """It says that it does not follow changes, so it must not follow half of them."""
    model = random_gpt(10)
    step = CompiledInt8Step(model)
    ids = np.random.default_rng(10).integers(0, 37, (1, 5))
    before = by_step(step, model, ids)
    for parameter in model.parameters():
        parameter.data += 1
    np.testing.assert_array_equal(by_step(step, model, ids), before)


def test_weights_are_small():
    """A byte for each weight of a layer; embeddings and the rest stay float32."""
    model = random_gpt(11, GPTConfig(64, 32, 2, 2, 64))
    linears = 12 * 64 * 64 * 2 + 64 * 64
    total = sum(parameter.data.size for parameter in model.parameters())
    scales = 4 * (2 * (3 + 1 + 4 + 1) * 64 + 64)
    head_bias = 4 * 64
    expected = linears + 4 * (total - linears) + scales + head_bias
    assert CompiledInt8Step(model).nbytes == expected


def test_bad_input():
    model, other = random_gpt(12), random_gpt(13)
    step = CompiledInt8Step(model)
    with pytest.raises(ValueError, match="another model"):
        step(other, np.array([1]), reserving_caches(other))
    with pytest.raises(ValueError, match="token 37 is not in 0"):
        step(model, np.array([37]), reserving_caches(model))
    with pytest.raises(ValueError, match=r"writable float32 of shape \(2, 3"):
        step(model, np.array([1, 2]), reserving_caches(model))
    other.blocks[0].feed_forward.fc1.weight.data[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"weight holds 1 NaN or inf, the first at \(2, 3\)"):
        CompiledInt8Step(other)
    with pytest.raises(TypeError, match="GPT"):
        CompiledInt8Step(nn.Linear(2, 2))
