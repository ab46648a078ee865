"""Exceptions as words, for the way between the judge and a sandbox."""

from __future__ import annotations

import builtins
import os
import traceback
from typing import Any

SHOWN = 100_000
_MESSAGE = 10_000
_TRACEBACK = 20_000
_HERE = os.path.dirname(os.path.abspath(__file__))
_JUDGES = "_judges_number"


def described(error: BaseException) -> tuple[str, str, str, int | None]:
    """An exception's nearest builtin, message, traceback, and number when it is the judge's."""
    base = next(each for each in type(error).__mro__ if each.__module__ == "builtins")
    number = vars(error).get(_JUDGES)
    return base.__name__, _message(error), _traceback(error), number


def built(name: str, message: str, number: int | None) -> BaseException:
    """The builtin exception of a name, with a message; `number` is the judge's."""
    kind = getattr(builtins, name)
    try:
        error: BaseException = kind(message) if message else kind()
    except TypeError:  # a few want more than a message
        error = RuntimeError(f"{name}: {message}")
    if number is not None:
        setattr(error, _JUDGES, number)
    return error


def cut(text: str, most: int) -> str:
    """A text, shortened to about a number of characters."""
    return text if len(text) <= most else f"{text[:most]} [... {len(text) - most} more]"


def _message(error: BaseException) -> str:
    try:
        first: Any = error.args[0] if len(error.args) == 1 else None
        said = first if isinstance(error, KeyError) and type(first) is str else str(error)
        return cut(said, _MESSAGE)
    except BaseException as other:
        return f"<a message that raises {type(other).__name__}>"


def _traceback(error: BaseException) -> str:
    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
            trace = trace.tb_next
        lines = traceback.format_exception(type(error), error, trace, limit=-20)
        text = "".join(lines)
        if len(text) > _TRACEBACK:
            text = f"{text[: _TRACEBACK // 2]}\n[...]\n{text[-_TRACEBACK // 2 :]}"
        return text
    except BaseException as other:
        return f"<a traceback that raises {type(other).__name__}>"
