"""Running a notebook's cells in a child process, with a deadline for each and a verdict for each."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    seconds: float = 0.0
    seeds: dict[str, int] = field(default_factory=dict)


def run_cells(
    notebook: nb.Notebook, folder: Path, root: Path, deadline_s: float, measures: bool
) -> dict[int, Verdict]:
    """Run the code cells of a notebook in order, in a fresh process.

    A cell that resists its deadline, or ends the process, costs only itself: the others run again
    in a new process, and tests that have a verdict are not repeated.

    Args:
        notebook: What to run.
        folder: The working folder, as in JupyterLab the notebook's own.
        root: The course's root, importable by the cells.
        deadline_s: Seconds for one cell.
        measures: Whether cells tagged `measure` run as well.

    Returns:
        A verdict for each code cell, by its index.
    """
    verdicts: dict[int, Verdict] = {}
    code = [i for i, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code"]
    for index in code:
        if not measures and nb.has_tag(notebook["cells"][index], "measure"):
            verdicts[index] = Verdict(index, "skipped")
    while any(index not in verdicts for index in code):
        judged = {i for i in verdicts if nb.is_test(notebook["cells"][i])}
        fatal = {i for i, verdict in verdicts.items() if verdict.status in ("died", "skipped")}
        todo = [index for index in code if index not in judged | fatal]
        cells = [{"index": i, "source": notebook["cells"][i]["source"]} for i in todo]
        before = len(verdicts)
        for verdict in _one_process(cells, folder, root, deadline_s):
            known = verdicts.get(verdict.index)
            if known is None or verdict.status == "died":
                verdicts[verdict.index] = verdict
        if len(verdicts) == before and not _newly_fatal(verdicts, todo):
            raise RuntimeError("the checking process ended without a verdict")
    return verdicts


def _newly_fatal(verdicts: dict[int, Verdict], todo: list[int]) -> bool:
    return any(verdicts[index].status == "died" for index in todo if index in verdicts)


def _one_process(
    cells: list[dict[str, Any]], folder: Path, root: Path, deadline_s: float
) -> Iterator[Verdict]:
    """Run cells in one child until they are done or it dies or must be killed."""
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
            assert child.stdin is not None
            orders = json.dumps({"cells": cells, "deadline_s": deadline_s})
            with child.stdin as stdin:
                stdin.write(orders.encode())
            yield from _verdicts(reader, deadline_s)
        except BrokenPipeError:
            yield from _verdicts(reader, deadline_s)
        finally:
            os.close(reader)
            _end(child)


def _verdicts(reader: int, deadline_s: float) -> Iterator[Verdict]:
    """Read the child's reports; add the verdict it can no longer give when it is stuck or gone."""
    running: int | None = None
    limit = time.monotonic() + _START_S
    for line in _lines(reader, lambda: limit - time.monotonic()):
        if line is None:
            status = "endless" if running is not None else "died"
            yield Verdict(-1 if running is None else running, "died", error=status)
            return
        report = json.loads(line)
        if report.pop("event") == "start":
            running = report["index"]
            limit = time.monotonic() + deadline_s + _GRACE_S
        else:
            running = None
            limit = time.monotonic() + _START_S
            yield Verdict(**report)
    if running is not None:
        yield Verdict(running, "died", error="gone")
