"""`tito doctor`: what this machine has and lacks, what each lack means, and how to mend it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from itertools import pairwise

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tito.course import Course, Layout, find_course

_LEAST_DISK = 1 << 30
_GRADING_FACTS = "tito.grading.sandbox.facts"
_PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[.*?\])?==(?P<version>[^\s;\\]+)(?P<rest>.*)"
)


class Level(Enum):
    """How bad a finding is."""

    GOOD = "good"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    level: Level
    found: str
    meaning: str = ""
    fix: str = ""


Probe = Callable[[Course], Iterator[Finding]]


def examine(course: Course | None = None) -> list[Finding]:
    """Look at everything the course depends on.

    Args:
        course: The course to look at; the one around the working folder when None.
    """
    place = course or find_course()
    return [finding for probe in _PROBES for finding in probe(place)]


def show(findings: list[Finding], console: Console | None = None) -> bool:
    """Print findings; return whether nothing needed is missing."""
    table = Table(title="tito doctor", title_justify="left")
    table.add_column("subject", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found, what it means, what to do", overflow="fold")
    styles = {Level.GOOD: "green", Level.NOTE: "yellow", Level.PROBLEM: "red"}
    for each in findings:
        words = Text(each.found)
        if each.meaning:
            words.append(f"\n{each.meaning}")
        if each.fix:
            words.append(f"\n→ {each.fix}", style="bold")
        table.add_row(each.subject, Text(each.level.value, style=styles[each.level]), words)
    screen = console or Console()
    screen.print(table)
    problems = sum(each.level is Level.PROBLEM for each in findings)
    if problems:
        screen.print(f"[red]{problems} to mend[/red] before the course works here.")
    else:
        screen.print("[green]Everything needed is here.[/green]")
    return problems == 0


def _python(course: Course) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", Level.GOOD, f"{version} ({sys.executable})")


def _packages(course: Course) -> Iterator[Finding]:
    lock = course.root / "requirements.lock"
    if not lock.is_file():
        yield Finding(
            "packages",
            Level.NOTE,
            "requirements.lock is missing",
            "Versions cannot be compared with those the course was tested with.",
            "Bring the file back from the course.",
        )
        return
    wanted = pinned(lock.read_text(encoding="utf-8"))
    missing, other = compare_packages(wanted)
    if missing:
        yield Finding(
            "packages",
            Level.PROBLEM,
            f"missing: {', '.join(missing)}",
            "Commands and notebooks that import them fail.",
            "Run `make install`.",
        )
    if other:
        yield Finding(
            "packages",
            Level.NOTE,
            f"other versions than tested: {', '.join(other)}",
            "They may work; formatting and timings can differ.",
            "Delete .venv and run `make install`.",
        )
    if not missing and not other:
        yield Finding("packages", Level.GOOD, f"{len(wanted)} as in requirements.lock")


@dataclass(frozen=True)
class Pin:
    """A line of a lock file; a conditional one is for some systems only."""

    name: str
    version: str
    conditional: bool


def pinned(lock: str) -> list[Pin]:
    """The packages and versions in a lock file."""
    matches = [match for line in lock.splitlines() if (match := _PINNED.match(line))]
    return [Pin(match["name"], match["version"], ";" in match["rest"]) for match in matches]


def compare_packages(wanted: list[Pin]) -> tuple[list[str], list[str]]:
    """Which packages are missing, and which are here in another version."""
    missing, other = [], []
    for pin in wanted:
        try:
            found = metadata.version(pin.name)
        except metadata.PackageNotFoundError:
            if not pin.conditional:
                missing.append(pin.name)
            continue
        if found != pin.version:
            other.append(f"{pin.name} {found} (tested: {pin.version})")
    return missing, other


def _blas(course: Course) -> Iterator[Finding]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))  # the library is loaded at the first product
    libraries = [pool for pool in threadpool_info() if pool.get("user_api") == "blas"]
    if not libraries:
        yield Finding(
            "BLAS",
            Level.NOTE,
            "NumPy's library for matrix products does not say what it is",
            "Timings cannot name it; everything else works.",
        )
    for pool in libraries:
        found = (
            f"{pool.get('internal_api')} {pool.get('version')}, kernels for "
            f"{pool.get('architecture', 'an unknown processor')}, {pool.get('num_threads')} threads"
        )
        forced = os.environ.get("OPENBLAS_CORETYPE")
        if forced:
            yield Finding(
                "BLAS",
                Level.NOTE,
                f"{found}; OPENBLAS_CORETYPE={forced}",
                "The variable chooses kernels by hand, which can halve the speed of products.",
                "Run `unset OPENBLAS_CORETYPE` before you measure.",
            )
        else:
            yield Finding("BLAS", Level.GOOD, found)


def _isolation(course: Course) -> Iterator[Finding]:
    """The walls that grading needs; students do not grade, and do not have its files."""
    if course.layout is not Layout.CHECKOUT:
        return
    if not sys.platform.startswith("linux"):
        yield Finding(
            "isolation",
            Level.NOTE,
            f"{sys.platform} is not Linux",
            "Submissions cannot be graded here; everything else works.",
            "Grade on Linux, in a virtual machine for example.",
        )
        return
    for fact in importlib.import_module(_GRADING_FACTS).facts():
        level = Level.GOOD if fact.good else Level.NOTE
        yield Finding(fact.subject, level, fact.found, fact.meaning, fact.fix)


def _chromium(course: Course) -> Iterator[Finding]:
    if course.layout is not Layout.CHECKOUT:
        return
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        yield Finding(
            "Chromium",
            Level.NOTE,
            "not found",
            "Browser tests are skipped and dashboards cannot be saved as PNG.",
            "Install it, or set BROWSER_PATH.",
        )
    else:
        yield Finding("Chromium", Level.GOOD, str(found))


def _disk(course: Course) -> Iterator[Finding]:
    free = shutil.disk_usage(course.root).free
    found = f"{free / 2**30:.1f} GiB free"
    if not os.access(course.root, os.W_OK):
        yield Finding(
            "disk",
            Level.PROBLEM,
            f"{course.root} cannot be written to",
            "Nothing can be saved, exported or installed there.",
            "Move the course to a folder of your own.",
        )
    elif free < _LEAST_DISK:
        yield Finding(
            "disk",
            Level.PROBLEM,
            found,
            "Installing takes about 1 GiB; a full disk loses unsaved work.",
            "Free some space.",
        )
    else:
        yield Finding("disk", Level.GOOD, found)


def _clock(course: Course) -> Iterator[Finding]:
    step_ns = smallest_step_ns()
    found = f"perf_counter moves in steps of {step_ns} ns"
    if step_ns > 1_000_000:
        yield Finding(
            "clock",
            Level.NOTE,
            found,
            "Short measurements need many more repetitions here.",
            "Virtual machines often have such clocks; measure on another machine if you can.",
        )
    else:
        yield Finding("clock", Level.GOOD, found)


def smallest_step_ns(readings: int = 1_000) -> int:
    """The smallest step seen between different readings of the clock, in nanoseconds."""
    seen = [time.perf_counter_ns() for _ in range(readings)]
    while seen[-1] == seen[0]:
        seen.append(time.perf_counter_ns())
    return min(after - before for before, after in pairwise(seen) if after > before)


def _load(course: Course) -> Iterator[Finding]:
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    load = os.getloadavg()[0]
    found = f"{load:.1f} on {cores} cores"
    if load > 0.7 * cores:
        yield Finding(
            "load",
            Level.NOTE,
            found,
            "The machine is busy, so times you measure now will scatter.",
            "Close other programs before you measure.",
        )
    else:
        yield Finding("load", Level.GOOD, found)


_PROBES: tuple[Probe, ...] = (
    _python,
    _packages,
    _blas,
    _isolation,
    _chromium,
    _disk,
    _clock,
    _load,
)
