"""The judge's objects that a sandbox may use by reference: call, and read what they expose."""

from __future__ import annotations

from collections.abc import Iterator
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from tito.grading.sandbox.errors import ProtocolError

ITERATION = ("__iter__", "__next__")


class OwnObjects:
    """Numbers for objects; each is kept for as long as its sandbox lives."""

    def __init__(self) -> None:
        self._by_number: list[object] = []
        self._number_of: dict[Any, int] = {}

    def number(self, value: object) -> int:
        """The number of an object; a bound method counts as one object each time it is read."""
        key: Any = id(value)
        if isinstance(value, (MethodType, BuiltinMethodType)):
            key = (id(value.__self__), value.__name__)
        number = self._number_of.setdefault(key, len(self._by_number))
        if number == len(self._by_number):
            self._by_number.append(value)
        return number

    def object(self, number: int) -> Any:
        """The object of a number.

        Raises:
            ProtocolError: No object has it.
        """
        if not 0 <= number < len(self._by_number):
            raise ProtocolError(f"no object was given to the sandbox as number {number}")
        return self._by_number[number]

    def use(self, number: int, what: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what the sandbox asks of an object: call it (`what` is empty), or read `what`.

        Raises:
            AttributeError: Its class does not expose `what`.
        """
        value = self.object(number)
        if what == "":
            return value(*args, **kwargs)
        if what not in exposed(value):
            name = type(value).__name__
            raise AttributeError(f"{what!r} of a {name} that a test made cannot be read or called")
        if what == "__iter__":
            iter(value)
            return None
        return next(value) if what == "__next__" else getattr(value, what)


def exposed(value: object) -> tuple[str, ...]:
    """The names a sandbox may use of an object."""
    if isinstance(value, Iterator):
        return ITERATION
    names = getattr(type(value), "exposed", ())
    return tuple(names) if isinstance(names, tuple) else ()


def shown_name(value: object) -> str:
    """The `__name__` that a function or class keeps on the other side; empty for objects."""
    if isinstance(value, (FunctionType, MethodType, BuiltinMethodType, type)):
        return str(getattr(value, "__name__", ""))
    return ""
