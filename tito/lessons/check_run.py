"""Running a notebook's cells in a child process, with a deadline and a verdict for each."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from tito.course import CourseError
from tito.lessons import notebook as nb

_GRACE_S = 3.0  # the child interrupts an endless cell itself; code that resists gets this long more
_START_S = 60.0  # a cold disk may need this for the first imports


@dataclass
class Verdict:
    """What became of one code cell.

    `status` is `passed`, `failed`, `endless`, `died` (the process ended in it) or `skipped`.
    """

    index: int
    status: str
    error: str = ""
    message: str = ""
    line: int | None = None
    failed_import: bool = False
    seconds: float = 0.0
    seeds: dict[str, int] = field(default_factory=dict)


def run_cells(
    notebook: nb.Notebook, folder: Path, root: Path, deadline_s: float, measures: bool
) -> dict[int, Verdict]:
    """Run the code cells of a notebook in order, in a fresh process.

    A cell that resists its deadline, or ends the process, costs only itself: the others run again
    in a new process, where tests that have a verdict are not repeated.

    Args:
        notebook: What to run.
        folder: The working folder, as in JupyterLab the notebook's own.
        root: The course's root, importable by the cells.
        deadline_s: Seconds for one cell.
        measures: Whether cells tagged `measure` run as well.

    Returns:
        A verdict for each code cell, by its index.

    Raises:
        CourseError: The process could not even start.
    """
    cells = notebook["cells"]
    todo = [i for i, cell in enumerate(cells) if cell["cell_type"] == "code"]
    verdicts: dict[int, Verdict] = {}
    if not measures:
        verdicts = {i: Verdict(i, "skipped") for i in todo if nb.has_tag(cells[i], "measure")}
        todo = [i for i in todo if i not in verdicts]
    while any(i not in verdicts for i in todo):
        run = _Run([{"index": i, "source": cells[i]["source"]} for i in todo], deadline_s)
        with _child(folder, root) as (child, reader):
            run.follow(child, reader)
        for verdict in run.verdicts:
            verdicts.setdefault(verdict.index, verdict)
        if run.stuck is not None:
            verdicts[run.stuck.index] = run.stuck
            todo.remove(run.stuck.index)
        todo = [i for i in todo if i not in verdicts or not nb.is_test(cells[i])]
    return verdicts


class _Run:
    """One child's work: its verdicts, and the cell it was lost in."""

    def __init__(self, cells: list[dict[str, Any]], deadline_s: float) -> None:
        self.cells = cells
        self.deadline_s = deadline_s
        self.verdicts: list[Verdict] = []
        self.stuck: Verdict | None = None

    def follow(self, child: subprocess.Popen[bytes], reader: int) -> None:
        """Give the child its orders and listen until it is done, gone, or silent for too long."""
        orders = json.dumps({"cells": self.cells, "deadline_s": self.deadline_s}).encode()
        _send(child.stdin, orders)
        running: int | None = None
        lines = _Lines(reader)
        while len(self.verdicts) < len(self.cells):
            patience = _START_S if running is None else self.deadline_s + _GRACE_S
            line = lines.next(patience)
            if not line:
                self._lost(running, silent=line is None)
                return
            report = json.loads(line)
            if report.pop("event") == "start":
                running = report["index"]
            else:
                self.verdicts.append(Verdict(**report))
                running = None

    def _lost(self, running: int | None, silent: bool) -> None:
        """Note where the child was when it ended or fell silent."""
        if running is not None:
            self.stuck = Verdict(running, "endless" if silent else "died")
        else:
            raise CourseError(
                "The process that runs the cells did not start or was ended from outside.",
                "Run `tito doctor`; if memory is short, close other notebooks and try again.",
            )


class _Lines:
    """Lines from a pipe, each awaited for a limited time."""

    def __init__(self, reader: int) -> None:
        self._reader = reader
        self._pending = b""

    def next(self, patience_s: float) -> bytes | None:
        """The next line; empty when the pipe was closed, None when nothing came in time."""
        limit = time.monotonic() + patience_s
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._reader], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(self._reader, 65536)
            if not chunk:
                return b""
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line


@contextmanager
def _child(folder: Path, root: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the worker; when the block ends, end it and everything it started."""
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="tito-check-") as scratch:
        child = subprocess.Popen(
            [sys.executable, "-m", "tito.lessons.check_worker", str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writer,),
            cwd=folder,
            env=_environment(root, scratch),
            start_new_session=True,
        )
        os.close(writer)
        try:
            yield child, reader
        finally:
            os.close(reader)
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _environment(root: Path, scratch: str) -> dict[str, str]:
    """The caller's environment, with the course importable and no windows or history."""
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(part for part in path if part),
        "IPYTHONDIR": scratch,
        "MPLBACKEND": "agg",
        "PLOTLY_RENDERER": "json",
    }


def _send(stdin: IO[bytes] | None, orders: bytes) -> None:
    if stdin is None:
        raise RuntimeError("the child was started without a pipe for its orders")
    try:
        with stdin:
            stdin.write(orders)
    except BrokenPipeError:
        pass  # the child ended at once; the closed report pipe says so
