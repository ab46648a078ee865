"""Trained models that come with the package.

Each is two files beside this one: the values (`<name>.npz`) and a card (`<name>.json`) that says
how they were made and what was measured. `tito train-zoo` makes them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from tinytorch import nn
from tinytorch.models import GPT, MLP, GPTConfig, SmallCNN
from tinytorch.training.checkpoint import load_checkpoint

BUILDERS: dict[str, Callable[[np.random.Generator], nn.Module]] = {
    "digits_mlp": lambda rng: MLP([64, 128, 64, 10], rng=rng),
    "digits_cnn": lambda rng: SmallCNN(width=16, rng=rng),
    "docs_gpt": lambda rng: GPT(
        GPTConfig(vocab_size=96, block_size=256, n_layer=4, n_head=4, n_embd=128), rng=rng
    ),
}


def names() -> list[str]:
    """The names of the models."""
    return sorted(BUILDERS)


def build(name: str, rng: np.random.Generator | None = None) -> nn.Module:
    """A model of the zoo's shape with initial values, as `tito train-zoo` starts from."""
    if name not in BUILDERS:
        raise KeyError(f"the zoo has no model {name!r}; it has {', '.join(names())}")
    return BUILDERS[name](np.random.default_rng(0) if rng is None else rng)


def load(name: str) -> nn.Module:
    """A trained model, in evaluation mode; a new copy at each call.

    Args:
        name: one of `names()`.

    Raises:
        KeyError: there is no such model.
    """
    model = build(name)
    with as_file(files("tinytorch.zoo") / f"{name}.npz") as path:
        load_checkpoint(path, model)
    return model.eval()


def card(name: str) -> dict[str, Any]:
    """How a model was made, and what was measured then: data, seed, seconds, accuracy or loss."""
    if name not in BUILDERS:
        raise KeyError(f"the zoo has no model {name!r}; it has {', '.join(names())}")
    fields: dict[str, Any] = json.loads(
        (files("tinytorch.zoo") / f"{name}.json").read_text("utf-8")
    )
    return fields
