"""Who is in a sandbox, counted from outside."""

from __future__ import annotations

import os


def members(first: int) -> set[int]:
    """The living processes of a sandbox.

    Args:
        first: Its first process.

    Returns:
        Its descendants and those of its session; without those that have ended.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    dead: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stream:
                state, parent, _, session = stream.read().rpartition(b")")[2].split()[:4]
        except OSError:
            continue  # it ended meanwhile
        pid = int(name)
        parents[pid] = int(parent)
        if state in (b"Z", b"X"):
            dead.add(pid)
        if pid == first or int(session) == first:
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - dead
