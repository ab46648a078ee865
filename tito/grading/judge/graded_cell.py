"""Running one of the instructor's cells in the judge."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from types import CodeType
from typing import Any

from tito.grading.judge.alarm import alarm
from tito.grading.judge.error_text import clean
from tito.grading.judge.names import Names
from tito.grading.judge.remote_errors import CellEndedError


@dataclass
class Ran:
    """What became of a cell: what it raised, if anything, and what it printed."""

    error: BaseException | None
    printed: str


class Printed(io.TextIOBase):
    """What a cell prints, up to a bound.

    Args:
        most: How many characters are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[str] = []
        self._size = 0
        self._cut = False

    def write(self, text: str) -> int:
        """Keep what there is room for."""
        room = self._most - self._size
        if len(text) > room:
            self._cut = True
        if room > 0:
            self._parts.append(text[:room])
            self._size += len(self._parts[-1])
        return len(text)

    def taken(self) -> str:
        """All of it, with a note when some was cut off; the next cell starts anew."""
        text = clean("".join(self._parts))
        if self._cut:
            text += f"\n[output truncated: a cell may print {self._most} characters]\n"
        self._parts, self._size, self._cut = [], 0, False
        return text


def run_code(code: CodeType, names: Names, printed: Printed, deadline: float) -> Ran:
    """Run a compiled cell of the instructor's.

    Args:
        code: The cell.
        names: Where it reads and binds names.
        printed: Collects what it prints, on stdout and stderr.
        deadline: When it must be done, on the clock of `time.monotonic`.
    """
    error: BaseException | None = None
    with _as_main(names), redirect_stdout(printed), redirect_stderr(printed):
        try:
            with alarm(deadline), warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.showwarning = _show_warning
                exec(code, names)
        except (Exception, CellEndedError) as raised:
            error = raised
    return Ran(error, printed.taken())


def _show_warning(
    message: Warning | str, category: type[Warning], *place: object, **others: object
) -> None:
    """Print a warning in one line; where in the judge it arose tells nobody anything."""
    sys.stderr.write(f"{category.__name__}: {message}\n")


class _Main:
    """Stands for the module `__main__`, whose dictionary the judge's names are."""


@contextmanager
def _as_main(names: Names) -> Iterator[None]:
    """Let `sys.modules` find the cell's names as `__main__`, where dataclasses look."""
    main: Any = _Main()
    main.__dict__ = names
    before = sys.modules["__main__"]
    sys.modules["__main__"] = main
    try:
        yield
    finally:
        sys.modules["__main__"] = before
