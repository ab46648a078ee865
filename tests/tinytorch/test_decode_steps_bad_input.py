"""What does not fit is refused in words, and the cache is as it was."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.tinytorch.concat_cache import ConcatCache
from tests.tinytorch.reserving_cache import ReservingCache, reserving_caches
from tinytorch.kernels.compiled.decode_block import decode_scores
from tinytorch.models import GPT, MLP, CompiledStep, FusedStep, GPTConfig
from tinytorch.nn import Linear, ModuleList, ReLU, Sequential

CONFIG = GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=8)


@pytest.fixture(params=[FusedStep, CompiledStep])
def make_step(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def model() -> GPT:
    return GPT(CONFIG, np.random.default_rng(0)).eval()


@pytest.mark.parametrize(
    ("tokens", "kind", "message"),
    [
        ([[1]], ValueError, r"shape \(1, 1\).*\(B,\)"),
        (np.empty(0, np.int64), ValueError, r"shape \(0,\).*B at least 1"),
        (np.int64(3), ValueError, r"shape \(\)"),
        ([1.0], TypeError, "tokens are float64"),
        ([True], TypeError, "tokens are bool"),
        ([11], ValueError, r"token 11 is not in 0 \.\.\. 10"),
        ([-1], ValueError, "token -1"),
        ([1, 2], ValueError, r"keys.*\(1, 2, 1, 4\).*\(2, 2, 1, 4\)"),
    ],
)
def test_tokens(
    make_step: Any, model: GPT, tokens: Any, kind: type[Exception], message: str
) -> None:
    cache = reserving_caches(model)
    with pytest.raises(kind, match=message):
        make_step(model)(model, tokens, cache)
    assert [layer.length for layer in cache] == [0, 0]


def test_past_the_last_position(make_step: Any, model: GPT) -> None:
    step, cache = make_step(model), reserving_caches(model)
    for token in range(6):
        step(model, [token], cache)
    with pytest.raises(ValueError, match=r"6 positions are cached.*block_size is 6"):
        step(model, [1], cache)
    assert [layer.length for layer in cache] == [6, 6]


def test_a_cache_too_small_says_so_itself(make_step: Any, model: GPT) -> None:
    cache = [ReservingCache(1, 2, capacity, 4) for capacity in (2, 1)]
    step = make_step(model)
    step(model, [1], cache)
    with pytest.raises(ValueError, match="1 stored and 1 new exceed 1"):
        step(model, [1], cache)
    assert [layer.length for layer in cache] == [1, 1]


def lengths_differ(cache: list[Any]) -> None:
    cache[1].length = 3


def one_layer_less(cache: list[Any]) -> None:
    cache.pop()


def without_reserve(cache: list[Any]) -> None:
    cache[1] = ConcatCache()


def float64(cache: list[Any]) -> None:
    cache[0].keys = cache[0].keys.astype(np.float64)


def read_only(cache: list[Any]) -> None:
    cache[0].values.setflags(write=False)


def other_heads(cache: list[Any]) -> None:
    cache[0] = ReservingCache(1, 4, 6, 2)


def unlike(cache: list[Any]) -> None:
    cache[0].keys = cache[0].keys[:, :, :1]
    cache[0].length = cache[1].length = 2
    cache[0].reserve = lambda n: (cache[0].keys, cache[0].values[:, :, :3])


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (lengths_differ, ValueError, r"layers hold \[0, 3\] positions"),
        (one_layer_less, ValueError, "cache has 1 layers and the model 2"),
        (without_reserve, TypeError, r"ConcatCache has no reserve\(n\)"),
        (float64, ValueError, "keys are writable float64"),
        (read_only, ValueError, "values are read-only float32"),
        (other_heads, ValueError, r"\(1, 4, 1, 2\).*\(1, 2, 1, 4\)"),
        (unlike, ValueError, r"keys have the shape \(1, 2, 1, 4\) and its values \(1, 2, 3, 4\)"),
    ],
)
def test_caches(
    make_step: Any,
    model: GPT,
    spoil: Callable[[list[Any]], None],
    kind: type[Exception],
    message: str,
) -> None:
    cache: list[Any] = list(reserving_caches(model))
    spoil(cache)
    with pytest.raises(kind, match=message):
        make_step(model)(model, [1], cache)


def test_another_model(make_step: Any, model: GPT) -> None:
    other = GPT(CONFIG, np.random.default_rng(0))
    with pytest.raises(ValueError, match="made for another model"):
        make_step(model)(other, [1], reserving_caches(model))


class AnotherForward(GPT):
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return super().forward(*args, **kwargs) * 2


def test_models_it_cannot_compute(make_step: Any) -> None:
    for other in (MLP([2, 3]), AnotherForward(CONFIG)):
        with pytest.raises(TypeError, match=rf"GPT\.forward does, got a {type(other).__name__}"):
            make_step(other)


@pytest.mark.parametrize(
    "path",
    [
        "token_embedding",
        "head",
        "blocks.1",
        "blocks.0.attention",
        "blocks.1.feed_forward",
        "blocks.1.feed_forward.fc1",
        "blocks.1.feed_forward.activation",
    ],
)
def test_layers_it_cannot_compute(make_step: Any, model: GPT, path: str) -> None:
    parent: Any = model
    *before, last = path.split(".")
    for part in before:
        parent = getattr(parent, part)
    setattr(parent, last, Sequential(Linear(8, 8), ReLU()))
    with pytest.raises(TypeError, match=rf"{re.escape(path)} is a Sequential"):
        make_step(model)


def test_a_block_too_few(make_step: Any, model: GPT) -> None:
    model.blocks = ModuleList(list(model.blocks)[:1])
    with pytest.raises(ValueError, match="has 1 blocks and its config says 2"):
        make_step(model)


@pytest.mark.parametrize("name", [name for name, _ in GPT(CONFIG).named_parameters()])
def test_other_shapes(make_step: Any, model: GPT, name: str) -> None:
    """Compiled code would write past the end of its memory."""
    step = make_step(model)
    parameter = dict(model.named_parameters())[name]
    good = parameter.data
    parameter.data = np.zeros((2 * len(parameter.data), *parameter.shape[1:]), np.float32)
    cache = reserving_caches(model)
    for _ in range(2):  # not even when it is asked again
        with pytest.raises(ValueError, match=r"has the shape .*; a step needs"):
            step(model, [1], cache)
    with pytest.raises(ValueError, match=r"has the shape .*; a step needs"):
        make_step(model)
    assert cache[0].length == 0
    parameter.data = good
    np.testing.assert_array_equal(
        step(model, [1], cache), make_step(model)(model, [1], reserving_caches(model))
    )


def test_other_dtypes(make_step: Any, model: GPT) -> None:
    step = make_step(model)
    model.norm.weight.data = model.norm.weight.data.astype(np.float64)
    with pytest.raises(TypeError, match=r"norm\.weight is float64"):
        make_step(model)
    with pytest.raises(TypeError, match=r"norm\.weight is float64"):
        step(model, [1], reserving_caches(model))


def test_memory_the_compiled_step_cannot_read(model: GPT) -> None:
    step = CompiledStep(model)
    cache = reserving_caches(model)
    gaps = np.zeros((1, 2, 6, 8), np.float32)[..., ::2]
    cache[0].keys = gaps
    with pytest.raises(ValueError, match="last axis without gaps"):
        step(model, [1], cache)
    model.head.weight.data = np.asfortranarray(model.head.weight.data)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"head\.weight is not contiguous"):
            step(model, [1], reserving_caches(model))
    with pytest.raises(ValueError, match=r"head\.weight is not contiguous"):
        CompiledStep(model)


def test_the_fused_step_reads_any_memory(model: GPT) -> None:
    step = FusedStep(model)
    expected = step(model, [1], reserving_caches(model))
    cache = reserving_caches(model)
    cache[0].keys = np.zeros((1, 2, 6, 8), np.float32)[..., ::2]
    model.head.weight.data = np.asfortranarray(model.head.weight.data)
    np.testing.assert_allclose(step(model, [1], cache), expected, rtol=1e-5, atol=1e-6)


def test_the_kernels_take_nothing_but_float32() -> None:
    x = np.zeros((1, 8))
    with pytest.raises(TypeError, match="No matching definition"):
        decode_scores(x, (x[0], x[0], x, x[0]), np.float32(1e-5), x, x)
