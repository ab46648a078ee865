"""The first program in a sandbox: takes limits upon itself, leaves root, becomes another program.

Started as `python -I start.py LIMITS PROGRAM ARGUMENTS...`, where LIMITS is a JSON object of
`memory_bytes`, `processes`, `file_bytes` and `uid` (null: stay who you are).
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def take_limits(limits: dict[str, Any]) -> None:
    """Lower this process's limits, for good."""
    wanted = {
        "RLIMIT_AS": limits["memory_bytes"],
        "RLIMIT_NPROC": limits["processes"],
        "RLIMIT_FSIZE": limits["file_bytes"],
        "RLIMIT_CORE": 0,
        "RLIMIT_NOFILE": 1024,
    }
    for name, value in wanted.items():
        which = getattr(resource, name, None)
        if which is None or (sys.platform == "darwin" and name in ("RLIMIT_AS", "RLIMIT_NPROC")):
            continue  # of no use there; untrusted work is graded on Linux only
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))


def leave_root(uid: int | None) -> None:
    """Become an ordinary user, which also gives up every capability."""
    if uid is None:
        return
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def main(arguments: list[str]) -> None:
    """Confine this process, then replace it by the program."""
    limits = json.loads(arguments[0])
    die_with_parent()
    leave_root(limits["uid"])
    take_limits(limits)
    os.execv(arguments[1], arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
