"""Who wants to know how far training is."""

import sys
import time
from collections.abc import Callable
from typing import NamedTuple, TextIO, TypeAlias


class Progress(NamedTuple):
    """What a callback is told after each step.

    Attributes:
        step: steps done, from 1.
        total_steps: steps to do, or None when that is not known before the end.
        loss: of this step's batch.
        seconds: since the start.
    """

    step: int
    total_steps: int | None
    loss: float
    seconds: float


Callback: TypeAlias = Callable[[Progress], None]


class ProgressBar:
    """A callback that draws one line and overwrites it; silent where nobody looks.

    Args:
        stream: where to draw; None: standard error, if it is a terminal.
        width: characters of the bar.
        pause_seconds: shortest time between two drawings.
        clock: returns seconds.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        width: int = 24,
        pause_seconds: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if stream is None and sys.stderr.isatty():
            stream = sys.stderr
        self.stream = stream
        self.width = width
        self.pause_seconds = pause_seconds
        self.clock = clock
        self._next_drawing = -float("inf")
        self._drawn = ""

    def __call__(self, progress: Progress) -> None:
        """Draw, unless it was drawn just now; the last step always is."""
        if self.stream is None:
            return
        is_last = progress.step == progress.total_steps
        if self.clock() < self._next_drawing and not is_last:
            return
        self._next_drawing = self.clock() + self.pause_seconds
        line = self.line(progress)
        self.stream.write("\r" + line.ljust(len(self._drawn)))
        self.stream.flush()
        self._drawn = line

    def line(self, progress: Progress) -> str:
        """The text of the line: bar, steps, loss, time."""
        step, total, loss, seconds = progress
        if total is None:
            return f"step {step}  loss {loss:.4f}  {_clock_time(seconds)}"
        filled = self.width * step // max(total, 1)
        bar = "#" * filled + "." * (self.width - filled)
        left = _clock_time(seconds / step * (total - step))
        return f"[{bar}] {step}/{total}  loss {loss:.4f}  {_clock_time(seconds)}, {left} left"

    def close(self) -> None:
        """End the line."""
        if self.stream is not None and self._drawn:
            self.stream.write("\n")
            self.stream.flush()
            self._drawn = ""


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
