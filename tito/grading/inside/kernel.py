"""A Jupyter kernel whose cells may print only so much.

Started as `python -P kernel.py CONNECTION_FILE CHARACTERS`. The bound holds a careless cell; what a
hostile one sends is bounded again by the grader, outside.
"""

from __future__ import annotations

import sys
from typing import Any

from ipykernel.iostream import OutStream
from ipykernel.kernelapp import IPKernelApp

_NAME = "tito_bounded_stream"
_limit = 100_000


class BoundedOutStream(OutStream):
    """A kernel's stdout or stderr that stops after a number of characters a cell."""

    _cell: str | None = None
    _written = 0

    def write(self, string: str) -> int:
        """Publish `string`, or what of it there is still room for."""
        cell = self.parent_header.get("msg_id")
        if cell != self._cell:
            self._cell, self._written = cell, 0
        if self._written + len(string) <= _limit:
            self._written += len(string)
            super().write(string)
            return len(string)
        if self._written <= _limit:
            kept = string[: _limit - self._written]
            self._written = _limit + 1
            super().write(f"{kept}\n[output truncated: a cell may print {_limit} characters]\n")
        return len(string)


def main(arguments: list[str]) -> None:
    """Serve until the grader ends this process."""
    global _limit
    connection_file, characters = arguments
    _limit = int(characters)
    # ipykernel finds the class by a dotted name, and this file is no module of any package here.
    sys.modules[_NAME] = sys.modules[__name__]
    app: Any = IPKernelApp.instance(outstream_class=f"{_NAME}.BoundedOutStream")
    app.initialize(["-f", connection_file, "--HistoryManager.enabled=False"])
    app.start()


if __name__ == "__main__":
    main(sys.argv[1:])
