"""A GPT's weights as plain arrays, for steps that compute without the framework."""

from __future__ import annotations

from operator import is_not
from typing import NamedTuple, cast

import numpy as np

from tinytorch import nn
from tinytorch.kernels.arrays import Array
from tinytorch.models.gpt import GPT

_LAYERS: dict[str, type[nn.Module]] = {
    "token_embedding": nn.Embedding,
    "position_embedding": nn.Embedding,
    "norm": nn.LayerNorm,
    "head": nn.Linear,
}
_BLOCK_LAYERS: dict[str, type[nn.Module]] = {
    "": nn.TransformerBlock,
    ".norm1": nn.LayerNorm,
    ".attention": nn.MultiHeadAttention,
    ".attention.qkv": nn.Linear,
    ".attention.out": nn.Linear,
    ".norm2": nn.LayerNorm,
    ".feed_forward": nn.FeedForward,
    ".feed_forward.fc1": nn.Linear,
    ".feed_forward.activation": nn.GELU,
    ".feed_forward.fc2": nn.Linear,
}


class BlockWeights(NamedTuple):
    """The arrays of one transformer block; products have (out, in), everything else one axis."""

    norm1: Array
    norm1_bias: Array
    qkv: Array
    qkv_bias: Array
    out: Array
    out_bias: Array
    norm2: Array
    norm2_bias: Array
    fc1: Array
    fc1_bias: Array
    fc2: Array
    fc2_bias: Array


class GPTWeights:
    """The very arrays of a model's parameters: nothing is copied.

    What changes in place (an optimizer's step, `load_state_dict`) is therefore followed by itself.
    An array given anew (`parameter.data = ...`) is followed by `refresh`. A layer that was replaced
    by another one is not: take the weights anew.

    Args:
        model: float32; its layers are the framework's own.
        contiguous: refuse parameters that are not.

    Raises:
        TypeError: a layer of another kind (a quantized one, say), or other parameters than float32.
        ValueError: a parameter of another shape than the config says, or not contiguous.
    """

    def __init__(self, model: GPT, contiguous: bool = False) -> None:
        _require_own_layers(model)
        self.model = model
        self.contiguous = contiguous
        self._layers = [cast(nn.TransformerBlock, block) for block in model.blocks]
        self.hidden = self._layers[0].feed_forward.fc1.out_features
        self.eps = tuple((np.float32(b.norm1.eps), np.float32(b.norm2.eps)) for b in self._layers)
        self.last_eps = np.float32(model.norm.eps)
        self._parameters = tuple(model.parameters())
        self._read()

    def refresh(self) -> bool:
        """Read the arrays again if a parameter has another one by now; whether it was so."""
        now = [parameter.data for parameter in self._parameters]
        if not any(map(is_not, now, self._arrays)):
            return False
        self._read()
        return True

    def _read(self) -> None:
        self._arrays: tuple[Array | None, ...] = (None,) * len(self._parameters)  # none is fit yet
        for name, parameter in self.model.named_parameters():
            if parameter.data.dtype != np.float32:
                raise TypeError(
                    f"{name} is {parameter.data.dtype}; a step needs a float32 model. Convert its "
                    "parameters, or use the model's own forward"
                )
            if self.contiguous and not parameter.data.flags.c_contiguous:
                raise ValueError(
                    f"{name} is not contiguous, strides {parameter.data.strides}; this step reads "
                    "whole rows: give it np.ascontiguousarray of its data"
                )
        model = self.model
        self.token = model.token_embedding.weight.data  # (V, C)
        self.position = model.position_embedding.weight.data  # (block_size, C)
        self.blocks = tuple(_block_weights(block) for block in self._layers)
        self.norm, self.norm_bias = model.norm.weight.data, model.norm.bias.data
        self.head, self.head_bias = _linear(model.head)
        self._require_shapes()
        self._arrays = tuple(parameter.data for parameter in self._parameters)

    def _require_shapes(self) -> None:
        """Compiled code trusts the shapes: with others it would write past the end of memory."""
        config, wide, narrow = self.model.config, self.hidden, self.model.config.n_embd
        pairs = [
            ("token_embedding", self.token, (config.vocab_size, narrow)),
            ("position_embedding", self.position, (config.block_size, narrow)),
            *(("norm", array, (narrow,)) for array in (self.norm, self.norm_bias)),
            ("head", self.head, (config.vocab_size, narrow)),
            ("head", self.head_bias, (config.vocab_size,)),
        ]
        norm = ((narrow,), (narrow,))
        qkv = ((3 * narrow, narrow), (3 * narrow,))
        out = ((narrow, narrow), (narrow,))
        hidden = ((wide, narrow), (wide,), (narrow, wide), (narrow,))
        for index, block in enumerate(self.blocks):
            shapes = (*norm, *qkv, *out, *norm, *hidden)
            names = (f"blocks.{index}: {field}" for field in BlockWeights._fields)
            pairs += zip(names, block, shapes, strict=True)
        for name, array, shape in pairs:
            if array.shape != shape:
                raise ValueError(f"{name} has the shape {array.shape}; a step needs {shape}")


def _block_weights(block: nn.TransformerBlock) -> BlockWeights:
    norm1, norm2 = block.norm1, block.norm2
    return BlockWeights(
        norm1.weight.data,
        norm1.bias.data,
        *_linear(block.attention.qkv),
        *_linear(block.attention.out),
        norm2.weight.data,
        norm2.bias.data,
        *_linear(block.feed_forward.fc1),
        *_linear(block.feed_forward.fc2),
    )


def _linear(layer: nn.Linear) -> tuple[Array, Array]:
    """Weight (N, K) and bias (N,), zeros if the layer has none."""
    if layer.bias is None:
        return layer.weight.data, np.zeros(len(layer.weight.data), np.float32)
    return layer.weight.data, layer.bias.data


def _require_own_layers(model: GPT) -> None:
    if not isinstance(model, GPT) or type(model).forward is not GPT.forward:
        raise TypeError(
            f"a step computes what tinytorch.models.GPT.forward does, got a {type(model).__name__}"
        )
    if len(model.blocks) != model.config.n_layer:
        raise ValueError(
            f"the model has {len(model.blocks)} blocks and its config says {model.config.n_layer}"
        )
    expected = dict(_LAYERS)
    for index in range(model.config.n_layer):
        expected |= {f"blocks.{index}{name}": kind for name, kind in _BLOCK_LAYERS.items()}
    for name, kind in expected.items():
        layer: object = model
        for part in name.split("."):
            layer = getattr(layer, part)
        if type(layer) is not kind:
            raise TypeError(
                f"{name} is a {type(layer).__name__}; this step computes {kind.__name__} only. "
                "Use the model's own forward for it"
            )
