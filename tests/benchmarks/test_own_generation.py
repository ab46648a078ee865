"""Our side of the decode benchmarks writes what the model writes, with the lesson and without."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import own_generation
from benchmarks.own_generation import PlainLayer, generate, model_step, new_cache
from tinytorch.models import GPT, FusedStep, GPTConfig
from tinytorch.models import generate as uncached

PROMPT = np.array([3, 1, 4])


@pytest.fixture
def model() -> GPT:
    gpt = GPT(GPTConfig(11, 16, 2, 2, 8), np.random.default_rng(0)).eval()
    for parameter in gpt.parameters():
        parameter.data *= 8
    return gpt


@pytest.fixture
def no_lesson(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_generation, "memoization", None)


@pytest.mark.usefixtures("no_lesson")
def test_without_the_lesson_the_small_cache_serves(model: GPT) -> None:
    expected = uncached(model, PROMPT, 12)[3:].tolist()
    cache = new_cache(model)
    for step in (None, model_step, FusedStep(model)):
        for _ in range(2):  # again: each generation begins anew
            assert generate(model, PROMPT, 12, cache, step) == expected
    assert all(isinstance(layer, PlainLayer) for layer in cache)


@pytest.mark.usefixtures("no_lesson")
def test_a_token_can_be_taken_back(model: GPT) -> None:
    cache = new_cache(model)
    model_step(model, PROMPT[:1], cache)
    first = model_step(model, PROMPT[1:2], cache)
    for layer in cache:
        layer.rewind(1)
    np.testing.assert_array_equal(model_step(model, PROMPT[1:2], cache), first)


def test_with_the_lesson_its_cache_and_its_loop_serve(
    model: GPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def generate_cached(*arguments: Any, **options: Any) -> Any:
        asked.append((arguments, options))
        return np.array([3, 1, 4, 1, 5])

    layers = [PlainLayer(1, 2, 16, 4)]
    kind = SimpleNamespace(for_model=lambda model: layers)
    lesson = SimpleNamespace(KVCache=kind, generate_cached=generate_cached)
    monkeypatch.setattr(own_generation, "memoization", lesson)
    cache = new_cache(model)
    assert generate(model, PROMPT, 2, cache, model_step) == [1, 5]
    assert asked == [((model, PROMPT, 2), {"cache": layers, "step": model_step})]
