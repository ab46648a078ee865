"""Errors that come from a student's process, and those that end a cell from outside."""

from __future__ import annotations

import builtins

from tito.grading.sandbox.errors import ProtocolError

_REFUSED = {  # these would end a loop or the judge itself, not fail a test
    "StopIteration",
    "StopAsyncIteration",
    "GeneratorExit",
    "SystemExit",
    "KeyboardInterrupt",
}


class CellEndedError(BaseException):
    """The cell cannot go on. Not an Exception, so that a test's own handlers pass it on."""


class SandboxLostError(CellEndedError):
    """The student's process ended, was ended, or cannot be believed any more."""


class CellDeadlineError(CellEndedError):
    """The cell's time is over."""


def _builds(name: str) -> bool:
    kind = getattr(builtins, name)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or name in _REFUSED:
        return False
    try:
        kind("a message")
    except TypeError:  # UnicodeDecodeError and its like want more
        return False
    return True


_KNOWN = {name: getattr(builtins, name) for name in dir(builtins) if _builds(name)}


def remote_error(name: object, message: object, trace: object) -> Exception:
    """The exception to raise for one that a student's code raised.

    Args:
        name: Its nearest builtin class.
        message: What it says.
        trace: Its traceback as text; feedback shows it.

    Raises:
        ProtocolError: These are no strings.
    """
    if type(name) is not str or type(message) is not str or type(trace) is not str:
        raise ProtocolError("an exception that is not described by strings")
    if name in _KNOWN:
        kind = _KNOWN[name]
        error: Exception = kind(message) if message else kind()
    else:
        error = RuntimeError(f"{name[:100]}: {message}")
    error.remote_traceback = trace  # type: ignore[attr-defined]
    return error


def remote_traceback(error: BaseException) -> str:
    """The student's part of an error's traceback; empty when it did not come from there."""
    return str(getattr(error, "remote_traceback", ""))
