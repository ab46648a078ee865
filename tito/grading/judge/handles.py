"""Handles: the student's objects as graded cells see them.

Whatever is done to a handle is asked of the sandbox, one request each. What comes back is data, or
another handle. A handle is never compared, iterated or taken as true or false here: those answers
would be the student's own.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

_FORWARDED_DUNDERS = frozenset({"__name__", "__qualname__", "__wrapped__"})


class Asker(Protocol):
    """What a handle needs of the link to its sandbox."""

    def ask(self, verb: str, *operands: object) -> Any:
        """Have something done in the sandbox."""

    def dropped(self, number: int, received: int) -> None:
        """Be told that nobody here holds a handle any more."""


class Handle:
    """An object of the student's, in the sandbox.

    Args:
        asker: The link to its sandbox.
        number: What the sandbox knows it by.
        type_name: The name of its type, as the sandbox says.
    """

    __array_ufunc__ = None  # so that `array + handle` asks the handle

    __slots__ = ("__asker", "__number", "__received", "__type_name", "__weakref__")

    def __init__(self, asker: Asker, number: int, type_name: str) -> None:
        _set(self, "_Handle__asker", asker)
        _set(self, "_Handle__number", number)
        _set(self, "_Handle__type_name", type_name)
        _set(self, "_Handle__received", 0)

    @staticmethod
    def remote_type(handle: Handle) -> str:
        """The name of the object's type, for messages."""
        name: str = handle.__type_name
        return name

    def __del__(self) -> None:
        self.__asker.dropped(self.__number, self.__received)

    # ---- what is asked of the sandbox -----------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object in the sandbox."""
        return self.__asker.ask("call", self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _FORWARDED_DUNDERS:
            raise AttributeError(f"{name} of a student's object cannot be read by a graded cell")
        return self.__asker.ask("getattr", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self.__asker.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self.__asker.ask("delattr", self, name)

    def __getitem__(self, key: object) -> Any:
        return self.__asker.ask("getitem", self, key)

    def __setitem__(self, key: object, value: object) -> None:
        self.__asker.ask("setitem", self, key, value)

    def __delitem__(self, key: object) -> None:
        self.__asker.ask("delitem", self, key)

    def __len__(self) -> int:
        return self.__number_from("len")

    def __index__(self) -> int:
        return self.__number_from("index")

    def __number_from(self, verb: str) -> int:
        found = self.__asker.ask(verb, self)
        if type(found) is not int:
            raise TypeError(f"{verb}() of a {self.__type_name} gave no int")
        return found

    def __float__(self) -> float:
        found = self.__asker.ask("float", self)
        if type(found) is not float:
            raise TypeError(f"float() of a {self.__type_name} gave no float")
        return found

    def __str__(self) -> str:
        return self.__text_from("str")

    def __repr__(self) -> str:
        return self.__text_from("repr")

    def __format__(self, form: str) -> str:
        return format(str(self), form)

    def __text_from(self, verb: str) -> str:
        found = self.__asker.ask(verb, self)
        return found if type(found) is str else f"<{self.__type_name}>"

    def __instancecheck__(self, instance: object) -> bool:
        return self.__asker.ask("isinstance", instance, self) is True

    def __enter__(self) -> Any:
        return self.__asker.ask("enter", self)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        swallowed = self.__asker.ask("exit", self, described(error) if error else None)
        if error is not None and swallowed is True:
            raise AssertionError(
                f"the `with` block of a {self.__type_name} swallowed the {type(error).__name__} "
                f"that was raised in it ({error}); __exit__ must return None or False"
            ) from error

    # ---- what is refused ------------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        raise TypeError(_refusal("taken as true or false", self.__type_name))

    def __iter__(self) -> NoReturn:
        raise TypeError(
            _refusal("iterated", self.__type_name) + " `inside(list, it)` gives its items."
        )

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(_refusal("made an array", self.__type_name))

    def __contains__(self, item: object) -> NoReturn:
        raise TypeError(_refusal("searched with `in`", self.__type_name))

    def __hash__(self) -> NoReturn:
        raise TypeError(_refusal("hashed", self.__type_name))


def described(error: BaseException) -> tuple[str, str]:
    """An error as its nearest builtin's name and its message, which is all a sandbox is told."""
    base = next(each for each in type(error).__mro__ if each.__module__ == "builtins")
    first = error.args[0] if error.args else ""
    return base.__name__, first if type(first) is str else str(error)


def _set(handle: Handle, name: str, value: object) -> None:
    object.__setattr__(handle, name, value)


def number_of(handle: Handle) -> int:
    """The number the sandbox knows a handle's object by."""
    number: int = object.__getattribute__(handle, "_Handle__number")
    return number


def asker_of(handle: Handle) -> Asker:
    """The link a handle belongs to."""
    asker: Asker = object.__getattribute__(handle, "_Handle__asker")
    return asker


def received(handle: Handle) -> None:
    """Count that the sandbox sent this object once more."""
    before: int = object.__getattribute__(handle, "_Handle__received")
    _set(handle, "_Handle__received", before + 1)


def _refusal(what: str, type_name: str) -> str:
    return (
        f"a student's object (a {type_name}) cannot be {what} in a graded cell: the answer would "
        "be the student's. Compare data: numbers, strings, lists, arrays, attributes that hold "
        "them. (`is` and `is None` work.)"
    )


def _comparison(symbol: str) -> Any:
    def refuse(self: Handle, other: object) -> NoReturn:
        raise TypeError(_refusal(f"compared with `{symbol}`", Handle.remote_type(self)))

    return refuse


def _operation(name: str, mirrored: bool) -> Any:
    def operate(self: Handle, other: object) -> Any:
        pair = (other, self) if mirrored else (self, other)
        return asker_of(self).ask("operate", name, *pair)

    return operate


def _unary(name: str) -> Any:
    def operate(self: Handle) -> Any:
        return asker_of(self).ask("operate", name, self)

    return operate


for _name, _symbol in {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}.items():
    setattr(Handle, f"__{_name}__", _comparison(_symbol))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    setattr(Handle, f"__{_name}__", _operation(_name, mirrored=False))
    setattr(Handle, f"__r{_name}__", _operation(_name, mirrored=True))
for _name in ("neg", "pos", "abs"):
    setattr(Handle, f"__{_name}__", _unary(_name))
