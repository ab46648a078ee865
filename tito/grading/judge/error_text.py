"""How a graded cell's failure reads: the test's own lines, then the student's."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tito.grading.judge.cells import JudgedCell
from tito.grading.judge.remote_errors import remote_traceback

_RULE = "-" * 75
_LINES_AROUND = 2
_FRAMES = 6
_MESSAGE = 4_000


def error_content(error: BaseException, cells: dict[str, JudgedCell], notes: list[str]) -> Any:
    """A Jupyter error message for what a graded cell raised.

    Args:
        error: What was raised.
        cells: The judge's cells by the file name of their code.
        notes: Sentences to add at the end.
    """
    name, message = type(error).__name__, clean(str(error))[:_MESSAGE]
    lines = [_RULE, f"{name:<42}Traceback (most recent call last)"]
    for place, number, function in _own_frames(error.__traceback__, cells):
        lines += _quoted(place, number, function)
    lines.append(f"{name}: {message}")
    students = clean(remote_traceback(error)).rstrip()
    if students:
        lines += ["", "It was raised by the code of this notebook:", *students.split("\n")]
    lines += notes
    return {"ename": name, "evalue": message, "traceback": lines}


def clean(text: str) -> str:
    """A student's text without half characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _own_frames(
    trace: TracebackType | None, cells: dict[str, JudgedCell]
) -> Iterator[tuple[JudgedCell, int, str]]:
    """The frames of the judge's cells, outermost first; the machinery's are left out."""
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_filename in cells:
            found.append((cells[code.co_filename], trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    yield from found[-_FRAMES:]


def _quoted(cell: JudgedCell, number: int, function: str) -> Iterator[str]:
    where = "" if function == "<module>" else f", in {function}"
    yield f"Cell {cell.label}, line {number}{where}"
    lines = cell.source.split("\n")
    first = max(1, number - _LINES_AROUND)
    for at in range(first, min(len(lines), number + _LINES_AROUND) + 1):
        arrow = "---->" if at == number else "     "
        yield f"{arrow} {at:>3} {lines[at - 1]}"
    yield ""
