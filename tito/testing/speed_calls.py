"""What runs in the process whose speed is measured: many calls in one request.

It holds no clock. Whoever asks reads the time from outside.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_KEPT_BYTES = 512 << 20
_LARGEST_KEPT = 32 << 20  # the most that mallopt takes
_last: list[Any] = []


def run_all(fn: Callable[..., Any], inputs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call `fn(*arguments)` for each of the inputs and return all that it returned."""
    _keep_freed_memory()
    return called(fn, inputs)


def answer_again(inputs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return the last answer once more: what a request of this size costs without the work."""
    return _last[: len(inputs)]


def called(fn: Callable[..., Any], inputs: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Do the same as `run_all` in a process that is not for measuring alone."""
    outputs = [fn(*arguments) for arguments in inputs]
    _last[:] = outputs
    return outputs


@functools.cache
def _keep_freed_memory() -> None:
    """Use memory again that was freed, in place of getting new pages from the system.

    New pages cost as much as the arithmetic on them, and not the same each time: the first touch
    of an array would be most of the noise. Where there is no mallopt, the noise stays.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
