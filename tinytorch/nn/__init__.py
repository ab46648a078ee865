"""Layers."""

from tinytorch.nn.activation import GELU, Dropout, Flatten, ReLU
from tinytorch.nn.attention import LayerCache, MultiHeadAttention
from tinytorch.nn.containers import ModuleList, Sequential
from tinytorch.nn.convolution import Conv2d, MaxPool2d
from tinytorch.nn.embedding import Embedding
from tinytorch.nn.linear import Linear
from tinytorch.nn.module import HookHandle, Module
from tinytorch.nn.normalization import BatchNorm2d, LayerNorm
from tinytorch.nn.transformer import FeedForward, TransformerBlock
from tinytorch.tensor import Parameter

__all__ = [
    "GELU",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Embedding",
    "FeedForward",
    "Flatten",
    "HookHandle",
    "LayerCache",
    "LayerNorm",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiHeadAttention",
    "Parameter",
    "ReLU",
    "Sequential",
    "TransformerBlock",
]
