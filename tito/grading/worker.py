"""The process that grades submissions: `python -m tito.grading.worker --scope SCOPE`.

It claims jobs from the table that the environment variable TINYTORCH_JOBS_URL names, until none is
left. With `--attached` it ends when its standard input is closed, so with whoever started it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tito.course import CourseError
from tito.grading.class_folders import JOBS_VARIABLE
from tito.grading.jobs.crew import Crew, load_while
from tito.grading.jobs.warm_ground import WarmGround

_SLOW_TO_LOAD = (
    "sqlalchemy.dialects.sqlite",
    "tinytorch",
    "tito.grading.jobs.leases",
    "tito.grading.jobs.loop",
    "tito.grading.jobs.workbench",
    "tito.testing",
)


@dataclass(frozen=True)
class Station:
    """What a worker is told.

    Attributes:
        url: The database of jobs.
        scope: Which jobs to take.
        folder: Where given trees lie.
        stay: Whether to wait for more jobs when none is left.
        lease_s: How long a claim lasts unless it is renewed.
    """

    url: str
    scope: str
    folder: Path
    stay: bool
    lease_s: float


def main(arguments: list[str]) -> int:
    """Work as the command line says; returns the exit code."""
    options = _parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="tito-") as own:
        folder = options.folder or Path(own)
        url = os.environ[JOBS_VARIABLE]
        station = Station(url, options.scope, folder, options.stay, options.lease)
        grounds: list[WarmGround] = []
        if options.given:
            about = (folder, options.given, options.isolation, options.preload)
            load_while(lambda: grounds.append(WarmGround(*about)), _load)
        else:
            _load()
        warm = grounds[0] if grounds else None
        attached = sys.stdin.fileno() if options.attached else None
        try:
            return Crew(lambda: work(station, warm), options.workers, attached).run()
        finally:
            if warm is not None:
                warm.zygote.close()


def work(station: Station, warm: WarmGround | None) -> int:
    """One worker's life; gives the exit code."""
    from tito.grading.jobs.database import Database
    from tito.grading.jobs.ending import Ending
    from tito.grading.jobs.leases import Leases
    from tito.grading.jobs.loop import Worker
    from tito.grading.jobs.processes import worker_name
    from tito.grading.jobs.workbench import Workbench

    ending = Ending()
    ending.heed()
    database = Database(station.url)
    leases = Leases(database, station.scope, worker_name(), station.lease_s)
    bench = Workbench(leases, station.folder, warm)
    try:
        Worker(leases, bench, ending).run(station.stay)
    finally:
        bench.clear()
        database.close()
    return 0


def _load() -> None:
    """Import what every worker and every judge needs."""
    for name in _SLOW_TO_LOAD:
        import_module(name)


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tito.grading.worker", description=__doc__)
    parser.add_argument("--scope", required=True, help="which jobs to take")
    parser.add_argument("--workers", type=int, default=1, help="how many at once")
    parser.add_argument("--stay", action="store_true", help="wait for more when none is left")
    parser.add_argument("--attached", action="store_true", help="end with standard input")
    parser.add_argument("--folder", type=Path, help="where given trees lie")
    parser.add_argument("--given", help="the hash of the tree to warm up at once")
    parser.add_argument("--isolation", help="the level to warm it up for")
    parser.add_argument("--preload", type=_names, default=[], help="packages to import at once")
    parser.add_argument("--lease", type=float, default=30.0, help="seconds, unless renewed")
    return parser.parse_args(arguments)


def _names(words: str) -> list[str]:
    return words.split(",") if words else []


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CourseError as problem:
        sys.exit(f"{problem.message} {problem.fix}")
