"""Kernels that numba compiles to machine code. Importing this package imports numba.

`import tinytorch` does not: who wants compiled kernels asks for them by name.
"""

from importlib import import_module
from typing import Any

from tinytorch.kernels.compiled.cpu_features import cpu_name, has_feature
from tinytorch.kernels.compiled.jit import jit

_LATE = {
    "Int8Linear": "int8_linear",
    "int8_matmul": "int8_gemm",
    "vnni_available": "int8_vnni",
}
"""What is imported when it is first asked for, and the file it is in."""

__all__ = ["Int8Linear", "cpu_name", "has_feature", "int8_matmul", "jit", "vnni_available"]


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    globals()[name] = found
    return found
