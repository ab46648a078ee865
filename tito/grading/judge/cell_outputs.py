"""From verdicts to what a cell shows, in the form by which nbgrader gives points.

nbgrader gives a test no points for an error or any text on stderr, some number of points for a
value, and all of them otherwise, also when it never ran.
"""

from __future__ import annotations

import json
from typing import Any

from tito.grading.judge.error_text import clean
from tito.grading.outputs import CELL_BYTES, BoundedOutputs, error_output
from tito.grading.verdicts import DIED, ENDLESS, NOT_RUN, CellVerdict
from tito.lessons import notebook as nb

_STOPPED = {
    ENDLESS: ("CellTimeout", "this cell was {}"),
    DIED: ("KernelDied", "this cell {}"),
    NOT_RUN: ("NotRun", "this cell did not run: {}"),
}


class CellOutputs:
    """A cell's outputs while it runs.

    Args:
        room: How many bytes the notebook has left for outputs.
    """

    def __init__(self, room: int) -> None:
        self._bounded = BoundedOutputs(min(CELL_BYTES, room))

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return self._bounded.size

    @property
    def has_error(self) -> bool:
        """Whether an error is among them."""
        return any(output["output_type"] == "error" for output in self._bounded.outputs)

    def show(self, message: dict[str, Any]) -> None:
        """Take a message of the student's process, if it can be written to a file at all."""
        kind, content = message.get("msg_type"), message.get("content")
        if type(kind) is str and type(content) is dict:
            plain = _plain(content)
            if plain is not None:
                self._bounded.add(kind, plain)

    def add(self, kind: str, content: dict[str, Any]) -> None:
        """Add an output of the judge's own."""
        self._bounded.add(kind, content)

    def text(self, text: str) -> None:
        """Add text on stdout."""
        if text:
            self.add("stream", {"name": "stdout", "text": text})

    def finished(self) -> list[dict[str, Any]]:
        """The outputs, with a note where some were left out."""
        return self._bounded.finished()


def _plain(content: dict[str, Any]) -> dict[str, Any] | None:
    """A message's content as JSON has it; None when it is not JSON."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False)
        plain: dict[str, Any] = json.loads(clean(text))
    except (TypeError, ValueError, RecursionError):
        return None
    return plain


def finish(cell: nb.Cell, verdict: CellVerdict) -> None:
    """Make a cell's outputs say what its verdict is.

    Args:
        cell: A code cell; its outputs are replaced.
        verdict: What became of it.
    """
    outputs: list[dict[str, Any]] = cell["outputs"]
    if verdict.status in (ENDLESS, DIED, NOT_RUN):
        name, sentence = _STOPPED[verdict.status]
        outputs = [output for output in outputs if output["output_type"] != "error"]
        outputs.append(error_output(name, sentence.format(verdict.message)))
    if nb.is_test(cell):
        outputs = [_on_stdout(output) for output in outputs if _counts(output)]
        if verdict.points and verdict.status not in ("passed", ENDLESS, DIED, NOT_RUN):
            outputs.append(_points(verdict.points))
    cell["outputs"] = outputs


def _counts(output: dict[str, Any]) -> bool:
    """A value at the end of a test is no number of points."""
    return bool(output["output_type"] != "execute_result")


def _on_stdout(output: dict[str, Any]) -> dict[str, Any]:
    """A warning is no wrong answer."""
    return {**output, "name": "stdout"} if output.get("name") == "stderr" else output


def _points(points: float) -> dict[str, Any]:
    return {
        "output_type": "execute_result",
        "execution_count": None,
        "data": {"text/plain": f"{points:.6g}"},
        "metadata": {},
    }


def label(cell: nb.Cell, index: int) -> str:
    """How messages name a cell: its grade_id, or its number from one."""
    return nb.grade_id(cell) or f"number {index + 1}"
