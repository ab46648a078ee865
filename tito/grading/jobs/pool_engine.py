"""The usual engine: a few workers on this machine, in one process tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import IO

from tito.course import CourseError
from tito.grading.class_folders import JOBS_VARIABLE
from tito.grading.jobs.engine import Site

COMMAND = (sys.executable, "-P", "-m", "tito.grading.worker")
_STOP_S = 8.0
_STILLBORN_S = 5.0
_MOST_STILLBORN = 3


class PoolEngine:
    """Workers of this machine, forked by one process that is started again when it dies.

    Args:
        site: Where they find their work.
        command: What starts them; this project's workers when None.
        stop_s: How long they may take to end before they are killed.
    """

    def __init__(
        self, site: Site, command: tuple[str, ...] | None = None, stop_s: float = _STOP_S
    ) -> None:
        self._site = site
        self._command = command or COMMAND
        self._stop_s = stop_s
        self._errors = site.folder / "workers.errors"
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._stillborn = 0

    def start(self) -> None:
        """Start the workers; they warm up while the coordinator fills the table."""
        self._started = time.monotonic()
        with self._errors.open("ab") as sink:
            self._process = self._begin(sink)

    def tend(self, seconds: float) -> None:
        """Wait a moment, and start anew when all workers are gone.

        Raises:
            CourseError: They are gone as soon as they start.
        """
        assert self._process is not None
        time.sleep(seconds)
        if self._process.poll() is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        lived_s = time.monotonic() - self._started
        failed = self._process.returncode > 0 and lived_s < _STILLBORN_S
        self._stillborn = self._stillborn + 1 if failed else 0
        if self._stillborn >= _MOST_STILLBORN:
            said = self._errors.read_text(encoding="utf-8", errors="replace").strip()
            raise CourseError(
                f"The workers cannot start: {said[-600:] or 'they say nothing'}",
                "Correct this and run the command again; `--engine inline` shows more.",
            )
        self.start()

    def close(self) -> None:
        """End the workers; those that do not listen are killed."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(self._stop_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _begin(self, sink: IO[bytes]) -> subprocess.Popen[bytes]:
        site = self._site
        workers = site.at_once or os.cpu_count() or 1
        words = ["--stay", "--attached", "--workers", str(workers), "--scope", site.scope]
        words += ["--folder", str(site.folder), "--given", site.given]
        words += ["--preload", ",".join(site.preload)]
        return subprocess.Popen(
            [*self._command, *words, "--isolation", site.isolation],
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends
            stdout=subprocess.DEVNULL,
            stderr=sink,
            env=_environment(site),
            start_new_session=True,  # Ctrl-C is for the coordinator, which ends its workers
        )


def _environment(site: Site) -> dict[str, str]:
    """The workers' environment: where the jobs are, and one thread for their arithmetic."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    return {**os.environ, **threads, JOBS_VARIABLE: site.url, "TMPDIR": str(site.folder)}
