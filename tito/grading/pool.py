"""Worker processes, a few at a time: started, listened to, and ended with everything they began."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tito.grading.worker import Job

_STOP_S = 5.0
_OVERTIME_S = 90.0  # for starting kernels and writing the result, beyond the notebook's deadline
_STEP_S = 0.5


@dataclass
class Finished:
    """A worker's end; `problem` is empty when it left a result."""

    student: str
    problem: str = ""


@dataclass
class _Running:
    student: str
    process: subprocess.Popen[bytes]
    limit: float
    errors: Path
    unread: bytes = field(default=b"")


class WorkerPool:
    """Runs jobs in processes of their own; use it in a `with` statement, which ends them all.

    Args:
        scratch: A folder for the workers' own files; it is removed by whoever made it.
        at_once: How many run at the same time.
        progress: Told a student, and the number of cells done out of all.
    """

    def __init__(
        self, scratch: Path, at_once: int, progress: Callable[[str, int, int], None]
    ) -> None:
        self._scratch = scratch
        self._at_once = at_once
        self._progress = progress
        self._running: list[_Running] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *about: object) -> None:
        for running in self._running:
            running.process.terminate()
        limit = time.monotonic() + _STOP_S
        for running in self._running:
            self._end(running, limit)
        self._selector.close()

    def run(self, jobs: dict[str, Job], stopped: Callable[[], bool]) -> Iterator[Finished]:
        """Run a job a student; yields each as it ends, in the order of their ends.

        No job is begun once `stopped()` is true; those that run are left to the `with` statement.
        """
        waiting = list(jobs.items())
        self._fill(waiting)
        while self._running and not stopped():
            ended = self._listen()
            if not stopped():
                self._fill(waiting)  # before the caller stores what ended, which takes a while
            if ended is not None:
                yield ended

    def _fill(self, waiting: list[tuple[str, Job]]) -> None:
        while waiting and len(self._running) < self._at_once:
            self._start(*waiting.pop(0))

    def _start(self, student: str, job: Job) -> None:
        number = len(list(self._scratch.glob("*.job")))
        orders = self._scratch / f"{number}.job"
        job.write(orders)
        errors = self._scratch / f"{number}.errors"
        with errors.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tito.grading.worker", str(orders)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                env={**os.environ, "TMPDIR": str(self._scratch)},
                start_new_session=True,  # Ctrl-C is for the coordinator, which ends its workers
            )
        limit = time.monotonic() + job.notebook_s + _OVERTIME_S
        running = _Running(student, process, limit, errors)
        self._running.append(running)
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, running)

    def _listen(self) -> Finished | None:
        """Take what the workers say, for a moment; the first worker found to have ended."""
        for key, _ in self._selector.select(_STEP_S):
            running: _Running = key.data
            said = os.read(key.fd, 1 << 16)
            if not said:
                running.process.wait()
                return self._finished(running)
            self._report(running, said)
        late = [each for each in self._running if time.monotonic() > each.limit]
        if late:
            late[0].process.terminate()
            self._end(late[0], time.monotonic() + _STOP_S)
            return self._finished(late[0], "it did not end in time")
        return None

    def _report(self, running: _Running, said: bytes) -> None:
        *lines, running.unread = (running.unread + said).split(b"\n")
        if lines:
            done = json.loads(lines[-1])
            self._progress(running.student, done["done"], done["total"])

    def _finished(self, running: _Running, problem: str = "") -> Finished:
        assert running.process.stdout is not None
        self._selector.unregister(running.process.stdout)
        running.process.stdout.close()
        self._running.remove(running)
        code = running.process.returncode
        if code != 0 and not problem:
            lines = running.errors.read_text(errors="replace").strip().splitlines()
            problem = lines[-1] if lines else f"it ended with code {code}"
        return Finished(running.student, problem)

    def _end(self, running: _Running, limit: float) -> None:
        try:
            running.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
