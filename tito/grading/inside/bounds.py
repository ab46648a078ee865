"""What a process may use, by the limits that every Unix keeps for each process."""

from __future__ import annotations

import os
import resource
from typing import Any

_OPEN_FILES = 1024


def take(limits: dict[str, Any], counted_apart: bool) -> None:
    """Lower this process's limits, for good.

    Args:
        limits: `memory_bytes`, `processes`, `file_bytes` and `cpu_s`, as
            `tito.grading.sandbox.limits.Limits` has them.
        counted_apart: Whether the system counts this sandbox' processes by themselves. Else it
            counts all of the user's, and the limit is for more of them.
    """
    others = 0 if counted_apart else _processes_of_this_user()
    wanted = {
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_NPROC: limits["processes"] + others,
        resource.RLIMIT_FSIZE: limits["file_bytes"],
        resource.RLIMIT_CPU: limits["cpu_s"],
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for which, value in wanted.items():
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))


def _processes_of_this_user() -> int:
    """How many processes and threads this user has."""
    count = 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == os.geteuid():
                count += len(os.listdir(f"{entry.path}/task"))
        except OSError:
            continue  # it ended meanwhile
    return count
