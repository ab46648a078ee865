"""The same GPT in PyTorch and in ONNX Runtime, from the same weights."""

import numpy as np

from tinytorch.models import GPT

Weights = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]


def weights_of(model: GPT) -> Weights:
    """Copies of a model's parameters by their dotted names."""
    return {name: parameter.numpy().copy() for name, parameter in model.named_parameters()}
