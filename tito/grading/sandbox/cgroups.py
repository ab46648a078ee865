"""Control groups that the grader may write to: version 1, version 2, or none."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tito.grading.sandbox.limits import Limits

_TRIAL = "tito-trial"
_STALE_S = 60.0
_JOIN = 'echo $$ > "$1/cgroup.procs"'


@dataclass(frozen=True)
class Hierarchy:
    """A folder in which leaves can be made.

    Attributes:
        folder: The folder.
        version: 1 or 2.
        controllers: Those of `memory` and `pids` that work there.
    """

    folder: str
    version: int
    controllers: tuple[str, ...]

    def values(self, limits: Limits) -> dict[str, str]:
        """What to write into a leaf's files.

        Args:
            limits: The bounds of one sandbox.
        """
        memory, processes = str(limits.memory_bytes), str(limits.processes)
        first = {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory}
        second = {"memory.max": memory, "memory.swap.max": "0", "memory.oom.group": "1"}
        chosen: dict[str, str] = {}
        if "memory" in self.controllers:
            chosen |= first if self.version == 1 else second
        if "pids" in self.controllers:
            chosen["pids.max"] = processes
        return {file: value for file, value in chosen.items() if file in self._files()}

    @property
    def peak(self) -> str:
        """The file that tells the most memory a leaf ever held; empty when there is none."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return name if name in self._files() else ""

    @functools.cache  # noqa: B019  (a frozen value, and few of them)
    def _files(self) -> frozenset[str]:
        with _leaf(self.folder) as leaf:
            return frozenset(os.listdir(leaf))


@functools.cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """Where leaves can be made and joined, as a trial shows; empty when nowhere."""
    return tuple(each for each in _candidates() if _works(each.folder))


def sweep(folder: str) -> None:
    """Remove leaves whose grader ended before it could.

    Args:
        folder: Where they were made.
    """
    for leaf in Path(folder).glob("tito-*-*"):
        with contextlib.suppress(OSError, ValueError):
            maker = int(leaf.name.split("-")[1])
            old = time.time() - leaf.stat().st_mtime > _STALE_S
            if old and not os.path.exists(f"/proc/{maker}"):
                leaf.rmdir()


def _candidates() -> list[Hierarchy]:
    """Folders of the own groups, by what the system says is mounted."""
    own = _own_groups()
    found = []
    for root, place, kind, options in _mounts():
        if kind == "cgroup":
            which = tuple(name for name in ("memory", "pids") if name in options)
            path = next((own[name] for name in which if name in own), None)
            if which and path is not None:
                found.append(Hierarchy(_below(place, root, path), 1, which))
        elif kind == "cgroup2" and "" in own:
            found += _unified(place, _below(place, root, own[""]))
    return found


def _unified(top: str, folder: str) -> list[Hierarchy]:
    """The nearest group, from one's own upwards, that hands controllers down to its leaves."""
    here = Path(folder)
    while here.is_relative_to(top):
        with contextlib.suppress(OSError):
            words = (here / "cgroup.subtree_control").read_text(encoding="ascii").split()
            which = tuple(name for name in ("memory", "pids") if name in words)
            if which and os.access(here, os.W_OK):
                return [Hierarchy(str(here), 2, which)]
        here = here.parent
    return []


def _own_groups() -> dict[str, str]:
    """This process' group in each hierarchy, by controller; version 2's has the empty name."""
    own: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, names, path = line.split(":", 2)
            own |= dict.fromkeys(names.split(","), path)
    return own


def _mounts() -> list[tuple[str, str, str, list[str]]]:
    """Root, place, kind and options of each mount."""
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            before, after = line.split(" - ", 1)
            kind, _, options = after.split(" ", 2)
            words = before.split()
            found.append((words[3], words[4], kind, options.split(",")))
    return found


def _below(place: str, root: str, path: str) -> str:
    """Where a group's folder is, when a mount shows the hierarchy from `root` on."""
    inner = os.path.relpath(path, root) if Path(path).is_relative_to(root) else "."
    return os.path.normpath(os.path.join(place, inner))


def _works(folder: str) -> bool:
    """Whether a process can be put into a new leaf."""
    try:
        with _leaf(folder) as leaf:
            trial = ["/bin/sh", "-c", _JOIN, "sh", leaf]
            return subprocess.run(trial, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def _leaf(folder: str) -> Iterator[str]:
    """A leaf for a moment."""
    leaf = f"{folder}/{_TRIAL}-{os.getpid()}-{time.monotonic_ns()}"
    os.mkdir(leaf)
    try:
        yield leaf
    finally:
        os.rmdir(leaf)
