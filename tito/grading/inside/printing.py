"""What a cell prints: gathered into few messages, and only so much of it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

Show = Callable[[dict[str, Any]], None]

_BATCH_CHARACTERS = 4096
_BATCH_S = 0.05


class Printer:
    """Sends text on in batches, until a cell has printed its share.

    Args:
        most: How many characters a cell may print.
        show: Takes messages in Jupyter's form.
    """

    def __init__(self, most: int, show: Show) -> None:
        self.most = most
        self._show = show
        self._written = 0
        self._name = "stdout"
        self._held: list[str] = []
        self._held_characters = 0
        self._since = 0.0

    def start(self) -> None:
        """Begin a cell: its share is whole again."""
        self._written = 0

    def write(self, name: str, text: str) -> None:
        """Take text for `stdout` or `stderr`."""
        if self._written > self.most:
            return
        room = self.most - self._written
        self._written += len(text)
        if len(text) > room:
            self._written = self.most + 1
            text = f"{text[:room]}\n[output truncated: a cell may print {self.most} characters]\n"
        if name != self._name:
            self.flush()
            self._name = name
        if not self._held:
            self._since = time.monotonic()
        self._held.append(text)
        self._held_characters += len(text)
        late = time.monotonic() - self._since > _BATCH_S
        if late or self._held_characters > _BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        """Send what is held back."""
        text = "".join(self._held)
        self._held.clear()
        self._held_characters = 0
        if text:
            self._show({"msg_type": "stream", "content": {"name": self._name, "text": text}})


class PrintedStream(io.TextIOBase):
    """Stands for `sys.stdout` or `sys.stderr`.

    Args:
        printer: Where text goes.
        stream: `stdout` or `stderr`.
    """

    def __init__(self, printer: Printer, stream: str) -> None:
        super().__init__()
        self.name = f"<{stream}>"
        self._printer = printer
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What bytes would be encoded as."""
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What an encoder would do with what it cannot encode."""
        return "backslashreplace"

    def writable(self) -> bool:
        """Whether text can be written: yes."""
        return True

    def write(self, text: str) -> int:
        """Print `text`."""
        if not isinstance(text, str):
            raise TypeError(f"write() takes a str, not {type(text).__name__}")
        self._printer.write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Send what is held back."""
        self._printer.flush()

    def fileno(self) -> int:
        """The descriptor that other programs write to; their text is shown after the cell."""
        return 1 if self._stream == "stdout" else 2
