"""The judge's objects as a student's code sees them: something to call, and what it exposes.

A proxy holds a number and nothing else of the judge. Using it sends a question; only the judge
decides what it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

Use = Callable[[int, str, tuple[Any, ...], dict[str, Any]], Any]


class JudgeObject:
    """The base of all proxies.

    Args:
        use: Asks the judge: number, attribute (empty: call it), arguments.
        number: What the judge knows the object by.
        name: Its `__name__`, for functions and classes.
        exposed: Attributes that may be read.
    """

    __slots__ = ("__name__", "__weakref__", "_exposed", "_number", "_use")

    def __init__(self, use: Use, number: int, name: str, exposed: tuple[str, ...]) -> None:
        keep = super().__setattr__
        keep("_use", use)
        keep("_number", number)
        keep("_exposed", exposed)
        if name:
            keep("__name__", name)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).__slots__ or name not in self._exposed:
            raise AttributeError(f"{name!r} of an object that a test made cannot be read here")
        return self._use(self._number, name, (), {})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name!r} of an object that a test made cannot be set here")

    def __repr__(self) -> str:
        return f"<an object that a test made, number {self._number}>"


def _call(self: JudgeObject, *args: Any, **kwargs: Any) -> Any:
    return self._use(self._number, "", args, kwargs)


def _iter(self: JudgeObject) -> JudgeObject:
    return self


def _next(self: JudgeObject) -> Any:
    return self._use(self._number, "__next__", (), {})


@lru_cache(maxsize=64)
def proxy_type(callable_: bool, exposed: tuple[str, ...]) -> type[JudgeObject]:
    """The class of proxies that can do these things."""
    methods: dict[str, Any] = {"__slots__": ()}
    if callable_:
        methods["__call__"] = _call
    if "__next__" in exposed:
        methods |= {"__iter__": _iter, "__next__": _next}
    return type("JudgeObject", (JudgeObject,), methods)


def number_of(proxy: JudgeObject) -> int:
    """What the judge knows a proxy's object by."""
    number: int = proxy._number
    return number
