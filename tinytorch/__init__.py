"""TinyTorch: a small deep-learning framework on NumPy, with PyTorch's names."""

from tinytorch import _lessons, autograd, backend, functional, nn
from tinytorch.autograd import is_grad_enabled, no_grad
from tinytorch.functional import cat, maximum, stack, where
from tinytorch.tensor import Parameter, Tensor

_lessons.install()

__all__ = [
    "Parameter",
    "Tensor",
    "autograd",
    "backend",
    "cat",
    "functional",
    "is_grad_enabled",
    "maximum",
    "nn",
    "no_grad",
    "stack",
    "where",
]
