"""Writing with a GPT: beside the same without a cache, PyTorch eager, and ONNX Runtime.

A prompt of 32 tokens, one sequence, greedy. All sides have the same weights; each case first
asserts that they give the same scores along a sequence and the same tokens.
"""

from functools import cache as once
from typing import TypeVar

import numpy as np
import torch

import tinytorch
from benchmarks import own_generation
from benchmarks.case import Case, assert_same
from benchmarks.own_generation import Step, model_step, new_cache
from benchmarks.peers import ort_gpt, torch_gpt, weights_of
from tinytorch.models import GPT, CompiledStep, FusedStep, GPTConfig

StepKind = TypeVar("StepKind", FusedStep, CompiledStep)

PROMPT, LONG = 32, 1024
SHORT = 256
CONFIG = GPTConfig(vocab_size=512, block_size=PROMPT + LONG, n_layer=4, n_head=4, n_embd=256)
CHECKED = 64
"""Tokens that all sides must agree on before they are timed."""


@once
def model() -> GPT:
    """Random weights, larger than at the start of training: scores apart, no two tokens equal."""
    rng = np.random.default_rng(0)
    gpt = GPT(CONFIG, rng=rng)
    for parameter in gpt.parameters():
        parameter.data += 0.05 * rng.standard_normal(parameter.shape).astype(np.float32)
    return gpt.eval()


@once
def prompt() -> np.ndarray:
    return np.random.default_rng(1).integers(0, CONFIG.vocab_size, PROMPT)


@once
def expected() -> list[int]:
    """The tokens of the model itself, without a cache."""
    return list(tinytorch.models.generate(model(), prompt(), CHECKED)[PROMPT:])


def step_scores(step: Step) -> np.ndarray:
    """Our scores (T, V) after each of the prompt's tokens."""
    cache = new_cache(model())
    return np.concatenate([step(model(), prompt()[t : t + 1], cache) for t in range(PROMPT)])


@once
def true_scores() -> np.ndarray:
    with tinytorch.no_grad():
        return model()(prompt()[None]).data[0]  # type: ignore[no-any-return]


def own(step: Step | None, new: int) -> list[int]:
    """Our tokens, with a cache that is there before the clock starts."""
    return own_generation.generate(model(), prompt(), new, own_cache(), step)


@once
def own_cache() -> own_generation.Cache:
    return new_cache(model())


@once
def torch_peer() -> torch_gpt.TorchGPT:
    peer = torch_gpt.TorchGPT(weights_of(model()), CONFIG)
    ids = torch.from_numpy(prompt())[None]  # (1, T)
    scores = torch.cat([peer.read(ids[:, t : t + 1]) for t in range(PROMPT)])
    assert_same(true_scores(), scores, "scores")
    for cached in (True, False):
        assert torch_gpt.generate(peer, prompt(), CHECKED, cached) == expected()
    return peer


@once
def ort_peer() -> ort_gpt.OrtGPT:
    peer = ort_gpt.OrtGPT(weights_of(model()), CONFIG)
    scores = [peer.read(prompt()[None, t : t + 1]).copy() for t in range(PROMPT)]
    assert_same(true_scores(), np.concatenate(scores), "scores")
    assert ort_gpt.generate(peer, prompt(), CHECKED) == expected()
    return peer


@once
def fused_step() -> FusedStep:
    return checked(FusedStep(model()))


@once
def compiled_step() -> CompiledStep:
    return checked(CompiledStep(model()))


def checked(step: StepKind) -> StepKind:
    assert_same(true_scores(), step_scores(step), "scores")
    assert own(step, CHECKED) == expected()
    return step


def uncached_generation() -> Case:
    peer = torch_peer()
    return Case(
        f"GPT generation, {PROMPT} + {SHORT} tokens, no cache",
        0.5,
        lambda: tinytorch.models.generate(model(), prompt(), SHORT),
        lambda: torch_gpt.generate(peer, prompt(), SHORT, cached=False),
        pairs=5,
    )


def cached_beside_uncached() -> Case:
    assert own(None, CHECKED) == expected()
    return Case(
        f"GPT generation, {PROMPT} + {SHORT} tokens, cache",
        10,
        lambda: own(None, SHORT),
        lambda: tinytorch.models.generate(model(), prompt(), SHORT),
        peer_name="own, no cache",
        pairs=5,
    )


def late_beside_early() -> Case:
    """Per-token time may grow to four times: the ratio early / late must stay above a quarter."""
    late, early = new_cache(model()), new_cache(model())
    with tinytorch.no_grad():
        model()(np.tile(prompt(), LONG // PROMPT)[None], cache=late)
        model()(prompt()[None], cache=early)

    def one_more(cache: own_generation.Cache) -> None:
        model_step(model(), prompt()[:1], cache)
        for layer in cache:
            layer.rewind(1)

    return Case(
        f"GPT, a token at T={LONG}, cache",
        0.25,
        lambda: one_more(late),
        lambda: one_more(early),
        peer_name=f"own, T={PROMPT}",
    )


def fused_beside_torch() -> Case:
    step, peer = fused_step(), torch_peer()
    return Case(
        f"GPT decode, {PROMPT} + {LONG}, NumPy step",
        1.25,
        lambda: own(step, LONG),
        lambda: torch_gpt.generate(peer, prompt(), LONG, cached=True),
        peer_name="torch, cache",
        pairs=15,
    )


def compiled_beside_torch() -> Case:
    step, peer = compiled_step(), torch_peer()
    return Case(
        f"GPT decode, {PROMPT} + {LONG}, compiled step",
        1.8,
        lambda: own(step, LONG),
        lambda: torch_gpt.generate(peer, prompt(), LONG, cached=True),
        peer_name="torch, cache",
        pairs=15,
    )


def compiled_beside_ort() -> Case:
    step, peer = compiled_step(), ort_peer()
    return Case(
        f"GPT decode, {PROMPT} + {LONG}, compiled step beside ORT",
        0.75,
        lambda: own(step, LONG),
        lambda: ort_gpt.generate(peer, prompt(), LONG),
        peer_name="onnxruntime fp32",
        pairs=15,
    )
