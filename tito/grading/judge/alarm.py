"""A deadline for code that runs in the judge itself."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tito.grading.judge.remote_errors import CellDeadlineError

_AGAIN_S = 1.0  # should the code swallow the first one
_LATER_S = 3.0  # what waits for a sandbox is stopped by its link, which leaves the sandbox alive


@contextmanager
def alarm(deadline: float) -> Iterator[None]:
    """Stop the block some time after a deadline, by an exception in the middle of it.

    Only the main thread can be stopped so; in any other the block runs without.

    Args:
        deadline: A time of `time.monotonic`.

    Raises:
        CellDeadlineError: The time was over.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise CellDeadlineError("its time was over")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0.0) + _LATER_S, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
