"""From the judge to a sandbox: what goes by value, by name, by reference, and as a twin.

The trusted direction is pickle: the sandbox may be told anything that it could have found out by
itself. What a test made for itself (functions, closures, its own classes' objects) never leaves the
judge; the sandbox gets a number for it.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn

import numpy as np

from tinytorch import Tensor, nn
from tito.grading.judge.handles import Asker, Handle, asker_of, number_of
from tito.grading.judge.own_objects import OwnObjects, exposed, shown_name
from tito.grading.judge.twins import Twins, set_module, twin, twin_module, twin_tensor

_SHARED_PACKAGES = frozenset({"numpy", "tinytorch"}) | sys.stdlib_module_names
_SHARED_PARTS = ("tito.testing",)


def _only_inside(*_: object) -> NoReturn:
    raise RuntimeError("this function exists by name only; the sandbox has its own in its place")


def student_object(number: int) -> NoReturn:
    """In the sandbox: the object of a handle."""
    _only_inside(number)


def given_name(name: str) -> NoReturn:
    """In the sandbox: what a given or read-only cell bound to a name."""
    _only_inside(name)


def judge_object(number: int, name: str, callable_: bool, exposed_: tuple[str, ...]) -> NoReturn:
    """In the sandbox: a proxy of one of the judge's objects."""
    _only_inside(number, name, callable_, exposed_)


def imported(name: str) -> NoReturn:
    """In the sandbox: a module."""
    _only_inside(name)


def plain_tensor(kind: type, data: Any, requires_grad: bool, gradient: Any) -> NoReturn:
    """In the sandbox: a tensor outside any graph."""
    _only_inside(kind, data, requires_grad, gradient)


_WORDS = frozenset(
    {
        *(student_object, given_name, judge_object, imported, plain_tensor),
        *(twin, twin_module, set_module, twin_tensor),
    }
)


class Arguments:
    """Turns messages into frames for one sandbox.

    Args:
        asker: The link that the frames go through; handles of others are refused.
        own: Numbers for what goes by reference.
        twins: Modules that go as twins.
        given: The name under which given cells bound a value, or None.
    """

    def __init__(
        self, asker: Asker, own: OwnObjects, twins: Twins, given: Callable[[object], str | None]
    ) -> None:
        self.asker = asker
        self.own = own
        self.twins = twins
        self.given = given

    def by_reference(self, fn: object) -> bool:
        """Whether a function or method exists only in the judge."""
        return self.given(fn) is None and not _is_shared(fn)

    def frame(self, message: object) -> bytes:
        """Pickle a message.

        Raises:
            TypeError: Something in it cannot go; the message says what to do.
        """
        file = io.BytesIO()
        sent = False
        try:
            _Pickler(file, self).dump(message)
            sent = True
        finally:
            self.twins.shipped(sent)
        return file.getvalue()


class _Pickler(pickle.Pickler):
    """Pickle with this course's rule for each kind of object."""

    def __init__(self, file: io.BytesIO, arguments: Arguments) -> None:
        super().__init__(file, protocol=5)
        self._arguments = arguments

    def reducer_override(self, obj: Any) -> Any:
        """How an object goes that is no builtin container, number or string."""
        kind = type(obj)
        if kind is np.ndarray or (kind is FunctionType and obj in _WORDS):
            return NotImplemented
        if kind is Handle:
            return self._handle(obj)
        if isinstance(obj, Tensor):
            return self._arguments.twins.reduced_tensor(obj) or _reduced_tensor(obj)
        if isinstance(obj, nn.Module):
            self._check_class(obj)
            return self._arguments.twins.reduced_module(obj)
        if kind is ModuleType:
            return self._module(obj)
        if isinstance(obj, Iterator) or hasattr(kind, "exposed"):
            return self._reference(obj)
        if isinstance(obj, np.ufunc) or hasattr(obj, "__qualname__"):  # functions and classes
            return self._callable(obj)
        return NotImplemented if self._goes_by_value(kind) else self._reference(obj)

    def _handle(self, handle: Handle) -> Any:
        if asker_of(handle) is not self._arguments.asker:
            raise TypeError(
                "a student's object from before its process ended was used again; each test cell "
                "must make the objects it needs"
            )
        return student_object, (number_of(handle),)

    def _callable(self, obj: Any) -> Any:
        name = self._arguments.given(obj)
        if name is not None:
            return given_name, (name,)
        if isinstance(obj, (MethodType, BuiltinFunctionType)) and not isinstance(
            owner := getattr(obj, "__self__", None), (ModuleType, type(None))
        ):
            whole = isinstance(owner, (nn.Module, type)) and self._goes_by_value(_class_of(owner))
            return NotImplemented if whole else self._reference(obj)
        return NotImplemented if _is_shared(obj) else self._reference(obj)

    def _module(self, module: ModuleType) -> Any:
        if not _is_shared_module(module.__name__):
            raise TypeError(f"the module {module.__name__} does not exist in a student's process")
        return imported, (module.__name__,)

    def _reference(self, obj: object) -> Any:
        number = self._arguments.own.number(obj)
        return judge_object, (number, shown_name(obj), callable(obj), exposed(obj))

    def _goes_by_value(self, kind: type) -> bool:
        return self._arguments.given(kind) is not None or (
            _is_shared(kind) and kind.__module__.split(".")[0] != "tito"
        )

    def _check_class(self, module: nn.Module) -> None:
        for each in module.modules():
            if not self._goes_by_value(type(each)):
                raise TypeError(
                    f"a {type(each).__name__} cannot go to the student's code: define the classes "
                    "of modules in a read-only cell, not in a test cell"
                )


def _class_of(owner: Any) -> type:
    return owner if isinstance(owner, type) else type(owner)


def _reduced_tensor(tensor: Tensor) -> Any:
    """A tensor by value; its graph stays here."""
    kind = type(tensor)
    return plain_tensor, (kind, tensor.data, tensor.requires_grad, tensor._grad)


@lru_cache(maxsize=4096)
def _is_shared(obj: Any) -> bool:
    """Whether the sandbox finds the same function or class under the same name."""
    module, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if isinstance(obj, np.ufunc):
        module, name = "numpy", obj.__name__
    if not isinstance(module, str) or not isinstance(name, str) or not _is_shared_module(module):
        return False
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def _is_shared_module(name: str) -> bool:
    if name == "__main__":
        return False
    return name.split(".")[0] in _SHARED_PACKAGES or name.startswith(_SHARED_PARTS)
