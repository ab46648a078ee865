"""The numeric kernels: plain NumPy, one file for each kind of operation."""

from tinytorch.kernels.numpy_backend import NumpyBackend

__all__ = ["NumpyBackend"]
