"""What every submission uses, imported once: children of the zygote share these pages."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types

from .shell import Shell

_NEEDED = ("numpy", "tinytorch", "tito.testing")
_STANDARD = ("asyncio", "dataclasses", "inspect", "json", "subprocess", "textwrap", "tracemalloc")
_TRIALS = (  # each brings in what IPython or NumPy import only when it is first used
    "1 + 1",
    "print(1)",
    "1 / 0",
    "def (",
    "import numpy as np; np.ones((8, 8)) @ np.ones((8, 8))",
    "display([1])",
    "%time 1",
    "!true",
)


def everything(printed: int, where_installed: list[str]) -> Shell:
    """Import it all, run a few cells, and forget them.

    Args:
        printed: How many characters a cell may print.
        where_installed: Packages that are imported too, when they are there.

    Returns:
        The shell in which a child runs its cells.
    """
    for name in (*_NEEDED, *_STANDARD):
        importlib.import_module(name)
    for name in where_installed:
        if _installed(name):
            importlib.import_module(name)
    module = types.ModuleType("__main__")
    module.__builtins__ = sys.modules["builtins"]  # type: ignore[attr-defined]
    sys.modules["__main__"] = module
    shell = Shell(module, printed)
    for source in _TRIALS:
        shell.run(source, lambda message: None)
    shell.forget()
    return shell


def _installed(name: str) -> bool:
    return all(
        importlib.util.find_spec(".".join(name.split(".")[: depth + 1])) is not None
        for depth in range(name.count(".") + 1)
    )
