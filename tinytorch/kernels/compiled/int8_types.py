"""Kernels that are compiled for fixed types, whatever else could be said of an argument.

numba by itself compiles a kernel once more, for seconds, when an array is read-only or a view of a
cache happens to be all of it. These types take both.
"""

from collections.abc import Callable
from typing import Any

from numba import types

from tinytorch.kernels.compiled.jit import jit

BYTES = types.Array(types.int8, 2, "C", readonly=True)
PANELS = types.Array(types.uint8, 3, "C", readonly=True)
SUMS = types.Array(types.int32, 2, "C")
INPUT = types.Array(types.float32, 2, "C", readonly=True)
VECTOR = types.Array(types.float32, 1, "C", readonly=True)
NORMS = types.Array(types.float32, 3, "C", readonly=True)
RESULT = types.Array(types.float32, 2, "C")
CACHED = types.Array(types.float32, 4, "A")


def stored(packed: bool) -> types.Array:
    """The type of weights as `stored_weights` leaves them: packed panels or rows."""
    return PANELS if packed else BYTES


class Typed:
    """A function that becomes a kernel for some types when it is first called.

    Args:
        function: what to compile.
        argument_types: numba's types of its arguments.
    """

    def __init__(self, function: Callable[..., None], *argument_types: types.Type) -> None:
        self._function = function
        self._types = argument_types
        self._compiled: Callable[..., None] | None = None

    def __call__(self, *arguments: Any) -> None:
        """Run it; arguments that do not convert to the types are a TypeError."""
        (self._compiled or self.compile())(*arguments)

    def compile(self) -> Callable[..., None]:
        """The kernel, compiled here or found on disk if it is not there yet."""
        if self._compiled is None:
            self._compiled = jit(types=self._types)(self._function)
        return self._compiled


def typed(*argument_types: types.Type) -> Callable[[Callable[..., None]], Typed]:
    """Decorate a function that is only called from Python; see `Typed`."""
    return lambda function: Typed(function, *argument_types)
