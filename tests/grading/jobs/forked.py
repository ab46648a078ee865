"""Processes forked from the tests, which start at once because everything is imported."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable


def forked(work: Callable[[], object]) -> int:
    """The number of a new process that does some work, and ends with code 0 when it could."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        work()
        code = 0
    except BaseException:  # shown by pytest, as what the process wrote
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_for(pid: int) -> int:
    """A process's exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
