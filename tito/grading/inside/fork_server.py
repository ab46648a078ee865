"""A warm process that forks a child for each program it is given: `python -P fork_server.py`.

It reads jobs as JSON lines from standard input and writes results as JSON lines to standard
output. A job is `{"name", "cells": [{"id", "source"}], "cell_s", "job_s"}`; its cells run one after
the other in one namespace. A result is `{"name", "seconds", "cells": {id: {"status", "message",
"seconds"}}}`, where the status is `passed`, `failed`, `endless` or `not run`. Only what the course
wrote itself is run here: nothing confines it.
"""

from __future__ import annotations

import gc
import importlib
import json
import linecache
import os
import select
import signal
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

_PRELOADED = ("numpy", "IPython.display", "tinytorch", "tito.testing")
_MESSAGE_CHARACTERS = 400
_GRACE_S = 2.0


class CellDeadlineError(BaseException):
    """The cell ran too long. Not an Exception, so that the cell's own handlers pass it on."""


def _on_alarm(number: int, frame: types.FrameType | None) -> None:
    raise CellDeadlineError


def run_cells(job: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a job's cells in a fresh `__main__`; yields each cell's id and result."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    vars(module)["display"] = importlib.import_module("IPython.display").display
    signal.signal(signal.SIGALRM, _on_alarm)
    for cell in job["cells"]:
        started = time.perf_counter()
        status, message = _run_cell(cell, vars(module), job["cell_s"])
        seconds = time.perf_counter() - started
        yield cell["id"], {"status": status, "message": message, "seconds": seconds}


def _run_cell(cell: dict[str, str], names: dict[str, Any], cell_s: float) -> tuple[str, str]:
    file = f"<{cell['id']}>"
    lines = cell["source"].splitlines(keepends=True)
    linecache.cache[file] = (len(cell["source"]), None, lines, file)  # for inspect.getsource
    try:
        # The second figure repeats the alarm, in case the cell swallows the first one.
        signal.setitimer(signal.ITIMER_REAL, cell_s, 1.0)
        try:
            exec(compile(cell["source"], file, "exec"), names)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except CellDeadlineError:
        return "endless", f"stopped after {cell_s:g} s"
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return "failed", f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS]
    return "passed", ""


def _child(job: dict[str, Any], pipe: int) -> None:
    """Run a job in a forked child; what its cells print goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    with os.fdopen(pipe, "w", encoding="utf-8") as results:
        for identity, result in run_cells(job):
            results.write(json.dumps([identity, result]) + "\n")
            results.flush()


class _Forked:
    """A child at work on a job, as its parent sees it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.started = time.perf_counter()
        self.pipe, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            try:
                _child(job, writer)
            finally:
                os._exit(0)
        os.close(writer)
        self._said = b""

    def listen(self) -> bool:
        """Read what came through the pipe; whether the child has ended."""
        chunk = os.read(self.pipe, 1 << 16)
        self._said += chunk
        return not chunk

    def late(self) -> bool:
        """Whether its time is over."""
        return time.perf_counter() - self.started > float(self.job["job_s"]) + _GRACE_S

    def result(self) -> dict[str, Any]:
        """End the child and say what its cells came to."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.pipe)
        whole = self._said.split(b"\n")[:-1]
        cells = dict(json.loads(line) for line in whole)
        for cell in self.job["cells"]:
            message = "the process ended, or the time was over"
            missing = {"status": "not run", "message": message, "seconds": 0.0}
            cells.setdefault(cell["id"], missing)
        seconds = time.perf_counter() - self.started
        return {"name": self.job["name"], "seconds": seconds, "cells": cells}


def serve(at_once: int) -> None:
    """Run all jobs of standard input, some at a time, until it is closed."""
    waiting = [json.loads(line) for line in sys.stdin]
    running: list[_Forked] = []
    while waiting or running:
        while waiting and len(running) < at_once:
            running.append(_Forked(waiting.pop(0)))
        ready, _, _ = select.select([each.pipe for each in running], [], [], 0.5)
        for child in list(running):
            if (child.pipe in ready and child.listen()) or child.late():
                running.remove(child)
                sys.stdout.write(json.dumps(child.result()) + "\n")
                sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """Import what every job imports, then fork."""
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the children share these pages
    serve(int(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
