"""The walls around a submission: what a student's process can see, use and outlive.

`bubblewrap` gives it its own namespaces: no network, no process but its own, a read-only view of
the interpreter and the given tree, a private folder that ends with it. `process` is an ordinary
process with limits and an empty environment: it keeps mistakes in, not intent.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tito.course import CourseError

INSIDE = Path(__file__).parent / "inside"
_FIRST_UID = 61_000
_UIDS = 4_000
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_PRIVATE = ("/tmp", "/home/student", "/dev/shm")
_PROBE_S = 20


class Isolation(StrEnum):
    """How a submission is kept in."""

    BUBBLEWRAP = "bubblewrap"
    PROCESS = "process"


@dataclass(frozen=True)
class Limits:
    """What one submission may use: bytes of address space, processes and threads, bytes of files.

    `scratch_bytes` bounds each of its private folders, which live in memory.
    """

    memory_bytes: int = 4 << 30
    processes: int = 128
    file_bytes: int = 64 << 20
    scratch_bytes: int = 128 << 20


def choose(wanted: Isolation | None, own_work: bool = False) -> tuple[Isolation, str]:
    """Decide on a level of isolation.

    Args:
        wanted: The level asked for; None takes the default.
        own_work: Whether the submissions are the course's own, as the demo class's are.

    Returns:
        The level, and a line to show when it is not the default.

    Raises:
        CourseError: bubblewrap does not work here and nobody asked for less.
    """
    if wanted is Isolation.PROCESS:
        return wanted, "Isolation: process. It holds mistakes, not intent: grade only trusted work."
    why = why_not_bubblewrap()
    if why is None:
        return Isolation.BUBBLEWRAP, ""
    if own_work and wanted is None:
        return Isolation.PROCESS, f"Isolation: process ({why}); this work is the course's own."
    raise CourseError(
        f"Untrusted work is not graded without walls, and bubblewrap does not work here: {why}.",
        "Grade on Linux with bubblewrap installed (Debian, Ubuntu: apt install bubblewrap) and "
        "user namespaces allowed, or pass `--isolation process` for work that you trust.",
    )


@functools.cache
def why_not_bubblewrap() -> str | None:
    """The reason why bubblewrap cannot be used on this machine; None when it can."""
    if sys.platform != "linux":
        return f"it needs Linux, and this is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "the program bwrap is not installed"
    course = Path(__file__).resolve().parents[2]
    if any(course.is_relative_to(folder) for folder in _SYSTEM) and (course / "modules").is_dir():
        return f"the course lies in {course}, in a folder that every program may read"
    trial = command([sys.executable, "-I", "-c", ""], Isolation.BUBBLEWRAP, Limits(), None, None)
    try:
        done = subprocess.run(
            trial, env={}, capture_output=True, text=True, timeout=_PROBE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"a trial did not end within {_PROBE_S} s"
    if done.returncode == 0:
        return None
    said = done.stderr.strip().splitlines()
    return said[-1] if said else f"a trial ended with code {done.returncode}"


def command(
    program: list[str],
    isolation: Isolation,
    limits: Limits,
    given: Path | None,
    shared: Path | None,
) -> list[str]:
    """The command that runs a program inside the walls.

    Args:
        program: An absolute path and arguments.
        isolation: The level.
        limits: What it may use.
        given: A folder to import from, seen read-only.
        shared: A folder for sockets, seen under its own name and writable.
    """
    walls = isolation is Isolation.BUBBLEWRAP
    uid = sandbox_uid() if walls else None
    bounds = {**asdict(limits), "uid": uid}
    if uid is None:  # the system counts all processes of a user, so the limit is for more of them
        bounds["processes"] += _processes_of_this_user()
    start = [sys.executable, "-I", str(INSIDE / "start.py"), json.dumps(bounds), *program]
    if not walls:
        return start
    return [
        _bwrap(),
        *_namespaces(uid),
        *_visible(limits, given, shared),
        "--",
        *start,
    ]


def environment(given: Path | None, home: str) -> dict[str, str]:
    """All environment variables of a submission: none of the grader's own."""
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "NBGRADER_EXECUTION": "autograde",
    }
    for library in ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "VECLIB_MAXIMUM"):
        variables[f"{library}_NUM_THREADS"] = "1"
    if given is not None:
        variables["PYTHONPATH"] = str(given)
    return variables


def sandbox_uid() -> int | None:
    """The user a submission becomes when root grades: limits on processes do not bind root."""
    return _FIRST_UID + os.getpid() % _UIDS if os.geteuid() == 0 else None


def _processes_of_this_user() -> int:
    """How many processes and threads this user has; 0 where the system does not tell."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == os.geteuid():
                count += len(os.listdir(process / "task"))
        except OSError:
            continue  # it ended meanwhile
    return count


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


@functools.cache
def _options() -> str:
    """What this bubblewrap knows: versions before 0.7 lack some options."""
    return subprocess.run(
        [_bwrap(), "--help"], capture_output=True, text=True, timeout=_PROBE_S, check=False
    ).stdout


def _namespaces(uid: int | None) -> Iterator[str]:
    yield from ("--die-with-parent", "--new-session", "--hostname", "sandbox")
    if uid is None:
        yield "--unshare-all"
        if "--disable-userns" in _options():
            yield from ("--unshare-user", "--disable-userns")
    else:  # root needs no user namespace, and inside one it could not become another user
        for kind in ("ipc", "pid", "net", "uts", "cgroup-try"):
            yield f"--unshare-{kind}"
        yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")


def _visible(limits: Limits, given: Path | None, shared: Path | None) -> Iterator[str]:
    """Every file the sandbox sees; what is not named here is not there."""
    for path in _SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    for path in _SETTINGS:
        yield from ("--ro-bind-try", path, path)
    yield from ("--proc", "/proc", "--dev", "/dev")
    for private in _PRIVATE:
        yield from _private(private, limits.scratch_bytes)
    for folder in _interpreter():
        yield from _bound("--ro-bind", folder)
    yield from _hidden_packages()
    yield from _bound("--ro-bind", str(INSIDE))
    if given is not None:
        yield from _bound("--ro-bind", str(given))
    if shared is not None:
        yield from _bound("--bind", str(shared))
    yield from ("--remount-ro", "/", "--chdir", "/home/student")


def _bound(option: str, path: str) -> Iterator[str]:
    """Show a folder under its own name, below folders that others than root may pass through."""
    for parent in reversed(Path(path).parents[:-1]):
        if str(parent) in _PRIVATE:
            continue
        yield from ("--perms", "0755", "--dir", str(parent))
    yield from (option, path, path)


def _private(path: str, size_bytes: int) -> Iterator[str]:
    # root's sandbox becomes another user, who must be able to write here
    yield from ("--perms", "1777")
    if "--size" in _options():
        yield from ("--size", str(size_bytes))
    yield from ("--tmpfs", path)


def _interpreter() -> list[str]:
    """The folders of this Python and its packages, outer ones first, without those of /usr."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    found |= {os.path.realpath(folder) for folder in found}
    outside = sorted(folder for folder in found if not (folder + "/").startswith("/usr/"))
    return [f for f in outside if not any(f.startswith(o + "/") for o in outside if o != f)]


def _hidden_packages() -> Iterator[str]:
    """Hide installed copies of the course: a wheel holds the modules that students write."""
    packages = Path(sysconfig.get_path("purelib"))
    for name in ("tinytorch", "tito"):
        if (packages / name).is_dir():
            yield from ("--tmpfs", str(packages / name))
