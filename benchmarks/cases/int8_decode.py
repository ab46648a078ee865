"""Writing with a GPT whose layers have int8 weights, beside ONNX Runtime's dynamic int8."""

import numpy as np

from benchmarks.case import Case
from benchmarks.cases.gpt_decode import (
    CONFIG,
    LONG,
    PROMPT,
    compiled_step,
    model,
    own,
    prompt,
    step_scores,
    true_scores,
)
from benchmarks.peers import ort_gpt, weights_of
from tinytorch.kernels.compiled import vnni_available
from tinytorch.models import CompiledInt8Step

ROUNDING = 0.06
"""How far int8 scores may be from the float32 model's: root of the mean square over the other."""


def distance(scores: np.ndarray) -> float:
    exact = true_scores()
    return float(np.linalg.norm(scores - exact) / np.linalg.norm(exact))


def int8_step() -> CompiledInt8Step:
    step = CompiledInt8Step(model())
    assert distance(step_scores(step)) <= ROUNDING
    return step


def ort_int8() -> ort_gpt.OrtGPT:
    peer = ort_gpt.OrtGPT(weights_of(model()), CONFIG, int8=True)
    ids = prompt()[None]  # (1, T)
    scores = [peer.read(ids[:, t : t + 1]).copy() for t in range(PROMPT)]
    assert distance(np.concatenate(scores)) <= ROUNDING
    return peer


def int8_beside_ort() -> Case:
    step, peer = int8_step(), ort_int8()
    return Case(
        f"GPT decode, {PROMPT} + {LONG}, compiled int8 step",
        0.9 if vnni_available() else None,
        lambda: own(step, LONG),
        lambda: ort_gpt.generate(peer, prompt(), LONG),
        peer_name="onnxruntime int8",
        pairs=15,
    )


def int8_beside_fp32() -> Case:
    step, full = int8_step(), compiled_step()
    return Case(
        f"GPT decode, {PROMPT} + {LONG}, compiled int8 beside fp32",
        None,
        lambda: own(step, LONG),
        lambda: own(full, LONG),
        peer_name="own, compiled fp32",
        pairs=15,
    )
