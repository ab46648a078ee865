"""Whole models: a perceptron, a small CNN, and a GPT with its text generation.

`FusedStep`, `CompiledStep` and `CompiledInt8Step` are imported when they are first asked for: the
last two bring numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinytorch.models.generation import generate
from tinytorch.models.gpt import GPT, GPTConfig
from tinytorch.models.mlp import MLP
from tinytorch.models.small_cnn import SmallCNN

if TYPE_CHECKING:
    from tinytorch.models.compiled_int8_step import CompiledInt8Step
    from tinytorch.models.compiled_step import CompiledStep
    from tinytorch.models.fused_step import FusedStep

__all__ = [
    "GPT",
    "MLP",
    "CompiledInt8Step",
    "CompiledStep",
    "FusedStep",
    "GPTConfig",
    "SmallCNN",
    "generate",
]

_LATE = {
    "CompiledInt8Step": "compiled_int8_step",
    "CompiledStep": "compiled_step",
    "FusedStep": "fused_step",
}
"""What is imported when it is first asked for, and the file it is in."""


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = found
    return found
