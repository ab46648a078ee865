"""The one point every numeric operation passes.

The framework computes by calling `backend.active.<op>(arrays..., **attributes)`. So a faster set
of kernels is put in with `set_backend`, and whoever wants to see the operations listens with
`observe`. Both are meant for one thread.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import numpy as np

from tinytorch.kernels import NumpyBackend
from tinytorch.kernels.arrays import Array
from tinytorch.kernels.protocol import Backend

__all__ = ["Array", "Backend", "Event", "active", "observe", "set_backend", "use_backend"]


class Event(NamedTuple):
    """What an observer is told, once an operation.

    Attributes:
        op: name of the operation, `"matmul"`.
        inputs: the array operands in order; an absent one (a bias) is left out.
        outputs: the arrays the kernel returned; the first is the result.
        attributes: the other arguments by name: axis, stride, causal, ...
        start_ns, end_ns: the observer's clock before and after the kernel.
    """

    op: str
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    attributes: dict[str, Any]
    start_ns: int
    end_ns: int


Observer = Callable[[Event], None]
Clock = Callable[[], int]


class _Observed:
    """A backend whose every kernel tells the observers what it did."""

    def __init__(self, kernels: Backend, listeners: list[tuple[Observer, Clock]]) -> None:
        self._kernels = kernels
        self._listeners = listeners
        self._telling = False

    def __getattr__(self, op: str) -> Any:
        kernel = getattr(self._kernels, op)
        if op.startswith("_") or not callable(kernel):
            return kernel

        def observed_kernel(*arrays: Array | None, **attributes: Any) -> Any:
            if self._telling:  # an observer computes: not the program's own work
                return kernel(*arrays, **attributes)
            starts = [clock() for _, clock in self._listeners]
            result = kernel(*arrays, **attributes)
            ends = [clock() for _, clock in reversed(self._listeners)][::-1]
            self._tell(op, arrays, result, attributes, starts, ends)
            return result

        self.__dict__[op] = observed_kernel  # found without __getattr__ from now on
        return observed_kernel

    def _tell(
        self,
        op: str,
        arrays: tuple[Array | None, ...],
        result: Any,
        attributes: dict[str, Any],
        starts: list[int],
        ends: list[int],
    ) -> None:
        inputs = tuple(np.asarray(array) for array in arrays if array is not None)
        results = result if isinstance(result, tuple) else (result,)
        outputs = tuple(np.asarray(array) for array in results if array is not None)
        self._telling = True
        try:
            for (observer, _), start_ns, end_ns in zip(
                tuple(self._listeners), starts, ends, strict=True
            ):
                observer(Event(op, inputs, outputs, dict(attributes), start_ns, end_ns))
        finally:
            self._telling = False


active: Backend = NumpyBackend()
"""The backend in use. Read it at each call (`backend.active.add(...)`); never keep it."""

_chosen: Backend = active
_listeners: list[tuple[Observer, Clock]] = []


def _activate(kernels: Backend, listeners: list[tuple[Observer, Clock]]) -> None:
    global active, _chosen, _listeners
    _chosen, _listeners = kernels, listeners
    active = cast(Backend, _Observed(kernels, listeners)) if listeners else kernels


def set_backend(backend: Backend) -> None:
    """Use these kernels from now on."""
    _activate(backend, _listeners)


@contextmanager
def use_backend(backend: Backend) -> Iterator[Backend]:
    """Use these kernels inside a `with`; the former ones come back also after an error."""
    before = _chosen
    _activate(backend, _listeners)
    try:
        yield backend
    finally:
        _activate(before, _listeners)


@contextmanager
def observe(observer: Observer, clock: Clock = time.perf_counter_ns) -> Iterator[None]:
    """Call `observer` with an `Event` after each operation inside a `with`.

    Several nest, and each sees each operation once. An operation that raises is not reported, nor
    is one that an observer runs itself. Without an observer an operation costs nothing more.

    Args:
        observer: takes the event; it must not change the arrays.
        clock: returns nanoseconds; read right before and right after the kernel.
    """
    listener = (observer, clock)
    _activate(_chosen, [*_listeners, listener])
    try:
        yield
    finally:
        _activate(_chosen, [other for other in _listeners if other is not listener])
