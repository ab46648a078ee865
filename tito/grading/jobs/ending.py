"""A process that is asked to end, by SIGTERM or SIGINT, and asks itself between two steps."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType


class Ending:
    """Whether a process was asked to end, by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._asked = False
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._rope, False)

    def heed(self) -> None:
        """Take these signals as the question, in this process."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def due(self) -> bool:
        """Whether to end now."""
        return self._asked

    def wait(self, pipes: list[int], seconds: float) -> list[int]:
        """Sleep until a pipe speaks, the question comes, or time is over; the pipes that speak."""
        ready, _, _ = select.select([*pipes, self._bell], [], [], max(0.0, seconds))
        if self._bell in ready:
            os.read(self._bell, 1 << 10)
        return [pipe for pipe in ready if pipe != self._bell]

    def ring(self, number: int, frame: FrameType | None) -> None:
        """Have `wait` return; a signal handler."""
        with contextlib.suppress(BlockingIOError):  # it rings already
            os.write(self._rope, b"!")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        self.ring(number, frame)
