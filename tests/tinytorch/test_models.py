from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.concat_cache import ConcatCache
from tinytorch import Tensor
from tinytorch import functional as F
from tinytorch.data import python_docs
from tinytorch.models import GPT, MLP, GPTConfig, SmallCNN
from tinytorch.nn import Module
from tinytorch.optim import AdamW
from tinytorch.zoo import load

SMALL = GPTConfig(vocab_size=11, block_size=12, n_layer=2, n_head=2, n_embd=8)


def count(model: Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def small_gpt(seed: int = 0) -> GPT:
    """With weights large enough that every path through it shows in the logits."""
    model = GPT(SMALL, np.random.default_rng(seed))
    for parameter in model.parameters():
        parameter.data *= 8
    return model.eval()


@pytest.fixture(scope="module")
def shipped() -> GPT:
    model = load("docs_gpt")
    assert isinstance(model, GPT)
    return model


@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5), batch=st.integers(1, 4))
def test_mlp_is_matrices_with_relu_between(sizes: list[int], batch: int) -> None:
    rng = np.random.default_rng(0)
    model = MLP(sizes, rng)
    x = rng.standard_normal((batch, sizes[0]), dtype=np.float32)
    weights = [parameter.data for parameter in model.parameters()]
    expected = x
    for number in range(0, len(weights), 2):
        expected = expected @ weights[number].T + weights[number + 1]
        if number < len(weights) - 2:
            expected = np.maximum(expected, 0)
    np.testing.assert_allclose(model(Tensor(x)).data, expected, rtol=1e-4, atol=1e-5)
    assert count(model) == sum(a * b + b for a, b in pairwise(sizes))


@pytest.mark.parametrize("sizes", [[], [3], [3, 0]])
def test_mlp_needs_two_sizes(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="sizes is"):
        MLP(sizes)


@given(channels=st.integers(1, 3), quarter=st.integers(1, 3), width=st.integers(1, 5))
@settings(max_examples=20)
def test_small_cnn_shapes_and_parameters(channels: int, quarter: int, width: int) -> None:
    size = 4 * quarter
    model = SmallCNN(channels, size, num_classes=7, width=width, rng=np.random.default_rng(0))
    images = Tensor(np.zeros((2, channels, size, size), np.float32))
    assert model(images).shape == (2, 7)
    convolutions = 9 * channels * width + width + 9 * width * 2 * width + 2 * width
    norms = 2 * width + 2 * 2 * width
    assert count(model) == convolutions + norms + 2 * width * quarter**2 * 7 + 7
    assert [type(layer).__name__ for layer in model.features] == [
        "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"
    ] * 2  # fmt: skip


def test_small_cnn_refuses_a_size_it_cannot_halve_twice() -> None:
    with pytest.raises(ValueError, match="image_size is 10"):
        SmallCNN(image_size=10)


@given(
    vocab=st.integers(1, 30),
    block=st.integers(1, 20),
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    per_head=st.integers(1, 4),
)
@settings(max_examples=25)
def test_gpt_has_as_many_parameters_as_its_formula(
    vocab: int, block: int, layers: int, heads: int, per_head: int
) -> None:
    c = heads * per_head
    model = GPT(GPTConfig(vocab, block, layers, heads, c), np.random.default_rng(0))
    block_parameters = 12 * c * c + 13 * c
    assert count(model) == 2 * vocab * c + block * c + layers * block_parameters + 2 * c


def test_gpt_starts_near_chance_and_the_same_for_the_same_seed() -> None:
    config = GPTConfig(vocab_size=50, block_size=16, n_layer=2, n_head=2, n_embd=32)
    models = [GPT(config, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    ids = np.random.default_rng(0).integers(0, 50, (4, 16))
    first, again, other = (model(ids).data for model in models)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert F.cross_entropy(Tensor(first), ids).item() == pytest.approx(np.log(50), abs=0.1)


def test_gpt_learns_a_pattern() -> None:
    ids = np.tile(np.arange(5), 3)[None, :13]  # (1, 13)
    model = GPT(SMALL, np.random.default_rng(0))
    optimizer = AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = F.cross_entropy(model(ids[:, :-1]), ids[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("place", [0, 1, 57, 127])
def test_the_shipped_model_is_causal(shipped: GPT, place: int) -> None:
    """Fails when a changed token moves a logit before it, or none from it on."""
    docs = python_docs()
    ids = docs.encode(docs.validation[1000:1128])[None]  # (1, 128)
    changed = ids.copy()
    changed[0, place] = (changed[0, place] + 1) % 96
    logits, moved = shipped(ids).data, shipped(changed).data
    np.testing.assert_allclose(moved[:, :place], logits[:, :place], rtol=0, atol=2e-5)
    assert np.abs(moved[:, place:] - logits[:, place:]).max(axis=(0, 2)).min() > 1e-4


def test_the_causality_check_can_fail(shipped: GPT) -> None:
    docs = python_docs()
    ids = docs.encode(docs.validation[1000:1128])[None]
    changed = ids.copy()
    changed[0, 57] = (changed[0, 57] + 1) % 96
    attentions = [block.attention for block in shipped.blocks]
    try:
        for attention in attentions:
            attention.causal = False
        moved = np.abs(shipped(ids).data - shipped(changed).data)[:, :57]
    finally:
        for attention in attentions:
            attention.causal = True
    assert moved.max() > 1e-2


def test_the_shipped_model_uses_its_keys(shipped: GPT) -> None:
    """Fails for attention that averages the values whatever the keys are."""
    docs = python_docs()
    ids = docs.encode(docs.validation[1000:1128])[None]
    logits = shipped(ids).data
    width = shipped.config.n_embd
    for number, block in enumerate(shipped.blocks):
        weight, bias = block.attention.qkv.weight.data, block.attention.qkv.bias.data
        saved = weight.copy(), bias.copy()
        order = np.random.default_rng(number).permutation(width)
        try:
            weight[width : 2 * width] = weight[width : 2 * width][order]
            bias[width : 2 * width] = bias[width : 2 * width][order]
            assert np.abs(shipped(ids).data - logits).max() > 1e-2, f"block {number}"
        finally:
            weight[:], bias[:] = saved


def test_order_matters(shipped: GPT) -> None:
    """Fails for a model without positions: the last logits would be the same."""
    docs = python_docs()
    ids = docs.encode(docs.validation[1000:1032])[None]
    shuffled = ids.copy()
    shuffled[0, :-1] = ids[0, :-1][::-1]
    assert np.abs(shipped(ids).data[:, -1] - shipped(shuffled).data[:, -1]).max() > 1e-2


@given(split=st.integers(1, 11), seed=st.integers(0, 20))
@settings(max_examples=25)
def test_a_cache_gives_the_same_logits(split: int, seed: int) -> None:
    model = small_gpt(seed)
    ids = np.random.default_rng(seed).integers(0, 11, (2, 12))
    cache = [ConcatCache() for _ in range(2)]
    parts = [model(ids[:, :split], cache=cache).data]
    parts += [model(ids[:, t : t + 1], cache=cache).data for t in range(split, 12)]
    np.testing.assert_allclose(np.concatenate(parts, 1), model(ids).data, rtol=1e-3, atol=1e-4)


def test_last_only_is_the_last_position() -> None:
    model = small_gpt()
    ids = np.random.default_rng(0).integers(0, 11, (3, 7))
    last = model(ids, last_only=True).data
    assert last.shape == (3, 1, 11)
    np.testing.assert_allclose(last, model(ids).data[:, -1:], rtol=1e-5, atol=1e-6)


def test_ids_may_be_a_tensor_or_an_array() -> None:
    model = small_gpt()
    ids = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(model(ids).data, model(Tensor(ids)).data)


def test_what_does_not_fit_is_refused() -> None:
    model = small_gpt()
    with pytest.raises(ValueError, match=r"\(B, T\)"):
        model(np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="T of at least 1"):
        model(np.zeros((1, 0), np.int64))
    with pytest.raises(ValueError, match="block_size of 12"):
        model(np.zeros((1, 13), np.int64))
    with pytest.raises(ValueError, match="1 layers and the model 2"):
        model(np.zeros((1, 3), np.int64), cache=[ConcatCache()])
    cache = [ConcatCache(), ConcatCache()]
    model(np.zeros((1, 10), np.int64), cache=cache)
    with pytest.raises(ValueError, match="10 cached and 3 new"):
        model(np.zeros((1, 3), np.int64), cache=cache)


@pytest.mark.parametrize("field", ["vocab_size", "block_size", "n_layer", "n_head", "n_embd"])
def test_sizes_below_one_are_refused(field: str) -> None:
    sizes = {"vocab_size": 5, "block_size": 5, "n_layer": 1, "n_head": 1, "n_embd": 4}
    with pytest.raises(ValueError, match=f"{field} is 0"):
        GPTConfig(**(sizes | {field: 0}))


def test_heads_must_share_the_channels() -> None:
    with pytest.raises(ValueError, match="cannot be shared by 3 heads"):
        GPTConfig(vocab_size=5, block_size=5, n_layer=1, n_head=3, n_embd=4)
