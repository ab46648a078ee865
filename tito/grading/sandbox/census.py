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


def offspring(first: int) -> set[int]:
    """The living processes below one, and itself: quicker, and blind to those given away.

    Args:
        first: A process whose list is its own, so that no descendant has another parent.
    """
    found: set[int] = set()
    asked = [first]
    while asked:
        pid = asked.pop()
        if pid in found or not _lives(pid):
            continue
        found.add(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as stream:
                    asked += [int(word) for word in stream.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            if _lives(pid):  # this Linux does not list children
                return members(first)
    return found


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return stream.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return False
