"""From a kernel's messages to a cell's outputs, never more than a bound.

Everything in a message is a claim of the student's process: kinds are checked, sizes are counted.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

Output = dict[str, Any]

CELL_BYTES = 4 << 20
NOTEBOOK_BYTES = 24 << 20
_TRACEBACK_LINES = 60
_LINE_CHARACTERS = 2_000


class BoundedOutputs:
    """The outputs of one cell, in nbformat's form.

    Args:
        room: How many bytes there is room for.
    """

    def __init__(self, room: int) -> None:
        self.outputs: list[Output] = []
        self.size = 0
        self._room = room
        self._left_out: Counter[str] = Counter()
        self._clear_later = False
        self._shown: dict[str, list[Output]] = {}

    def add(self, kind: str, content: dict[str, Any]) -> None:
        """Take one message of the kernel; kinds that show nothing are passed over."""
        if kind == "clear_output":
            self._clear_later = bool(content.get("wait"))
            if not self._clear_later:
                self.outputs.clear()
        elif kind == "stream":
            self._stream(content)
        elif kind == "error":
            self._append(_error(content), keep=True)
        elif kind in ("display_data", "execute_result"):
            self._display(kind, content)
        elif kind == "update_display_data":
            self._update(content)

    def finished(self) -> list[Output]:
        """The outputs, with a note where some were left out."""
        if self._left_out:
            listed = ", ".join(f"{n} of kind {kind}" for kind, n in self._left_out.items())
            note = f"[outputs left out, this cell's were too large: {listed}]\n"
            self.outputs.append({"output_type": "stream", "name": "stdout", "text": note})
        return self.outputs

    def _stream(self, content: dict[str, Any]) -> None:
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        text = content.get("text")
        if not isinstance(text, str):
            return
        last = self.outputs[-1] if self.outputs and not self._clear_later else None
        if last and last["output_type"] == "stream" and last["name"] == name:
            if self._fits(len(text), "stream"):
                last["text"] += text
        else:
            self._append({"output_type": "stream", "name": name, "text": text})

    def _display(self, kind: str, content: dict[str, Any]) -> None:
        output = {"output_type": kind, **_bundle(content)}
        if kind == "execute_result":
            count = content.get("execution_count")
            output["execution_count"] = count if type(count) is int and count >= 0 else None
        if self._append(output):
            identity = _display_id(content)
            if identity is not None:
                self._shown.setdefault(identity, []).append(output)

    def _update(self, content: dict[str, Any]) -> None:
        fresh = _bundle(content)
        for output in self._shown.get(_display_id(content) or "", []):
            if self._fits(_size(fresh), "update_display_data"):
                output.update(fresh)

    def _append(self, output: Output, keep: bool = False) -> bool:
        if self._clear_later:
            self.outputs.clear()
            self._clear_later = False
        if not self._fits(_size(output), output["output_type"], keep):
            return False
        self.outputs.append(output)
        return True

    def _fits(self, size: int, kind: str, keep: bool = False) -> bool:
        if not keep and self.size + size > self._room:
            self._left_out[kind] += 1
            return False
        self.size += size
        return True


def error_output(name: str, message: str) -> Output:
    """An error as a kernel would report it, for what stopped a cell from outside."""
    traceback = [f"{name}: {message}"]
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": traceback}


def _error(content: dict[str, Any]) -> Output:
    lines = content.get("traceback")
    traceback = [_cut(line) for line in lines] if isinstance(lines, list) else []
    if len(traceback) > _TRACEBACK_LINES:
        half = _TRACEBACK_LINES // 2
        traceback = [*traceback[:half], "[...]", *traceback[-half:]]
    return {
        "output_type": "error",
        "ename": _cut(content.get("ename")),
        "evalue": _cut(content.get("evalue")),
        "traceback": traceback,
    }


def _cut(text: object) -> str:
    said = text if isinstance(text, str) else ""
    return said if len(said) <= _LINE_CHARACTERS else said[:_LINE_CHARACTERS] + " [...]"


def _bundle(content: dict[str, Any]) -> dict[str, Any]:
    data, metadata = content.get("data"), content.get("metadata")
    return {
        "data": data if isinstance(data, dict) else {},
        "metadata": metadata if isinstance(metadata, dict) else {},
    }


def _display_id(content: dict[str, Any]) -> str | None:
    transient = content.get("transient")
    identity = transient.get("display_id") if isinstance(transient, dict) else None
    return identity if isinstance(identity, str) else None


def _size(value: object) -> int:
    return len(json.dumps(value))
