"""Whole models: a perceptron, a small CNN, and a GPT with its text generation."""

from tinytorch.models.generation import generate
from tinytorch.models.gpt import GPT, GPTConfig
from tinytorch.models.mlp import MLP
from tinytorch.models.small_cnn import SmallCNN

__all__ = ["GPT", "MLP", "GPTConfig", "SmallCNN", "generate"]
