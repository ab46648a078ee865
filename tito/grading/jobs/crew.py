"""A few workers forked from one warm process, which puts a new one in the place of each that dies.

What is slow to load is loaded once; so a new worker costs a millisecond.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

from tito.grading.jobs.death import end_with_parent
from tito.grading.jobs.ending import Ending

_STEP_S = 0.5
_STOP_S = 5.0
_STILLBORN_S = 2.0
_MOST_STILLBORN = 5
_FAILED = 1


class Crew:
    """Workers of one process.

    Args:
        work: What a worker does, in a process of its own; gives the exit code.
        size: How many there are.
        attached: A pipe whose end is the end of all; None to go on without.
    """

    def __init__(self, work: Callable[[], int], size: int, attached: int | None) -> None:
        self._work = work
        self._size = size
        self._attached = [] if attached is None else [attached]
        self._born: dict[int, float] = {}
        self._stillborn = 0

    def run(self) -> int:
        """Keep the workers alive until they have no more to do; the exit code."""
        ending = Ending()
        ending.heed()
        signal.signal(signal.SIGCHLD, ending.ring)
        gc.freeze()  # forks share what is here now
        for _ in range(self._size):
            self._fork()
        while self._born and not ending.due():
            if ending.wait(self._attached, _STEP_S) and not os.read(self._attached[0], 1 << 10):
                break
            self._replace_dead()
            if self._stillborn >= _MOST_STILLBORN * self._size:
                break
        failed = self._stillborn >= _MOST_STILLBORN * self._size
        self._end()
        return _FAILED if failed else 0

    def _fork(self) -> None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._born[pid] = time.monotonic()
            return
        code = _FAILED
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            end_with_parent(parent)
            code = self._work()
        except BaseException:  # the crew shows it to the coordinator, and lives on
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)

    def _replace_dead(self) -> None:
        for pid in list(self._born):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            lived_s = time.monotonic() - self._born.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            self._stillborn = self._stillborn + 1 if code > 0 and lived_s < _STILLBORN_S else 0
            if code:
                self._fork()

    def _end(self) -> None:
        for number, patience_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, _STOP_S)):
            for pid in self._born:
                os.kill(pid, number)
            limit = time.monotonic() + patience_s
            while self._born and time.monotonic() < limit:
                self._born = {
                    pid: born
                    for pid, born in self._born.items()
                    if os.waitpid(pid, os.WNOHANG)[0] == 0
                }
                time.sleep(0.005)


def load_while(slow: Callable[[], object], load: Callable[[], object]) -> None:
    """Do something that waits for another process, and import modules meanwhile."""
    loading = threading.Thread(target=load)
    loading.start()
    try:
        slow()
    finally:
        loading.join()
