"""Real data: shipped digits, the interpreter's own documentation, and CIFAR-10 from your disk."""

from tinytorch.data.cifar10 import CIFAR10_LABELS, cifar10
from tinytorch.data.digits import digits
from tinytorch.data.loader import DataLoader
from tinytorch.data.python_docs import PythonDocs, python_docs
from tinytorch.data.split import Split
from tinytorch.data.token_windows import token_windows

__all__ = [
    "CIFAR10_LABELS",
    "DataLoader",
    "PythonDocs",
    "Split",
    "cifar10",
    "digits",
    "python_docs",
    "token_windows",
]
