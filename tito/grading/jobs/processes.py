"""Names of worker processes that outlive them, so that a dead one is told from a living one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_START_FIELD = 19  # of /proc/PID/stat after the command's closing bracket


def worker_name(pid: int | None = None) -> str:
    """Host, number and start of a process: a number alone is used again by later processes."""
    number = os.getpid() if pid is None else pid
    return f"{socket.gethostname()}:{number}:{_started(number)}"


def is_dead(name: str) -> bool:
    """Whether a worker of this machine is gone; of other machines' workers nothing is known."""
    host, number, started = name.rsplit(":", 2)
    if host != socket.gethostname() or not Path("/proc/self/stat").exists():
        return False
    return _started(int(number)) != started


def _started(number: int) -> str:
    """When a process started, in clock ticks since the machine's start; empty without one."""
    try:
        about = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = about.rpartition(")")[2].split()
    return "" if fields[0] in ("Z", "X") else fields[_START_FIELD]
