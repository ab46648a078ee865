"""The engine for many machines: Dask's workers run the same worker loop on the same table.

Dask only finds places to work. Jobs, leases and results are in the database, so that a machine
that vanishes costs nothing but its leases.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from typing import Any

from tito.course import CourseError
from tito.grading.class_folders import JOBS_VARIABLE
from tito.grading.jobs.engine import Site

_CONNECT_S = "15s"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_MOST_FAILURES = 20
_PAUSE_S = 1.0


class DaskEngine:
    """A task for each thread of the cluster, each of which runs a worker process.

    Args:
        site: Where the workers find their work.
        address: The scheduler's.

    Raises:
        CourseError: Dask is not installed, the scheduler does not answer, or its machines could
            not open the database.
    """

    def __init__(self, site: Site, address: str) -> None:
        self._site = site
        self._client = _client(address, site.url)
        self._tasks: list[Any] = []
        self._ended: dict[int, float] = {}
        self._failures = 0

    def start(self) -> None:
        """Find the cluster's threads; the first workers begin when the table is full.

        Raises:
            CourseError: The cluster has no workers.
        """
        try:
            self._client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            raise CourseError(
                "The Dask scheduler has no workers.",
                "Start some, as in `dask worker tcp://10.0.0.5:8786 --nworkers 4 --nthreads 1`.",
            ) from error

    def tend(self, seconds: float) -> None:
        """Begin on every thread, wait a moment, and begin again what ended."""
        if not self._tasks:
            threads: dict[str, int] = self._client.nthreads()
            places = [address for address, number in threads.items() for _ in range(number)]
            self._tasks = [self._begin([p]) for p in places[: self._site.at_once or None]]
        time.sleep(seconds)
        for number, task in enumerate(self._tasks):
            if task.done() and self._may_begin_again(number, task):
                self._tasks[number] = self._begin(None)

    def close(self) -> None:
        """Forget the tasks; workers on other machines end when they find no jobs."""
        self._client.cancel(self._tasks)
        self._client.close()

    def _begin(self, places: list[str] | None) -> Any:
        """One worker: first on a thread of its own, later wherever there is room."""
        return self._client.submit(
            work_here,
            self._site.url,
            self._site.scope,
            pure=False,
            retries=0,
            workers=places,
            allow_other_workers=places is not None,
        )

    def _may_begin_again(self, number: int, task: Any) -> bool:
        """Whether an ended task is old enough: one that found nothing to do leaves a pause."""
        now = time.monotonic()
        ended = self._ended.setdefault(number, now)
        if now - ended < _PAUSE_S:
            return False
        del self._ended[number]
        if task.status == "error":
            self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise CourseError(
                f"The workers on the Dask cluster fail: {task.exception()}",
                "Install this course on its machines, and check that they reach the database.",
            )
        return True


def work_here(url: str, scope: str) -> int:
    """Run a worker process until no job is left; Dask calls this on a machine of the cluster."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tito.grading.worker", "--scope", scope, "--attached"],
        stdin=subprocess.PIPE,  # closed when Dask's worker ends, and the worker ends with it
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, JOBS_VARIABLE: url},
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read().decode("utf-8", "replace").strip()
        code = process.wait()
    if code:
        raise RuntimeError(f"a worker ended with code {code}: {said[-600:]}")
    return code


def _client(address: str, url: str) -> Any:
    if url.startswith("sqlite") and not any(name in address for name in _LOOPBACK):
        raise CourseError(
            "The workers of a Dask cluster on other machines cannot open the SQLite file of jobs.",
            "Give a database that they reach: `--jobs-url postgresql://host/database`.",
        )
    try:
        distributed = importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise CourseError(
            f"The engine dask needs the package {error.name!r}, which is not installed.",
            "Run `pip install distributed`, or leave out --dask.",
        ) from error
    try:
        return distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CourseError(
            f"No Dask scheduler answers at {address}: {error}.",
            "Start one with `dask scheduler`, and give the address that it prints.",
        ) from error
