"""A sandbox as the zygote sees it: a child to be watched, ended and reported on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

from .place import Place

_ROUNDS = 200


class Offspring:
    """One child.

    Args:
        pid: Its number, as the zygote sees it.
        control: Where its fate is told.
        place: What it has to itself.

    Attributes:
        descriptor: Stands for the process, whatever becomes of its number; readable at its end.
    """

    def __init__(self, pid: int, control: socket.socket, place: Place) -> None:
        self.pid = pid
        self.control = control
        self.descriptor = os.pidfd_open(pid)
        self.place = place

    def kill(self) -> None:
        """End it, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    def bury(self, siblings: set[int] | None) -> None:
        """Clear away what it left, and tell what it used. It must have ended.

        Args:
            siblings: Other sandboxes that are alive. None: it was the first process of a process
                list, and Linux has ended all others of that.
        """
        if siblings is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        if siblings is not None:
            _end_orphans(siblings)
        peak_bytes = self.place.leaf.peak_bytes() or usage.ru_maxrss * 1024
        self.place.clear()
        seconds = usage.ru_utime + usage.ru_stime
        tell(
            self.control,
            {
                "kind": "ended",
                "code": os.waitstatus_to_exitcode(status),
                "cpu_ns": int(seconds * 1e9),
                "peak_bytes": peak_bytes,
            },
        )
        self.control.close()
        os.close(self.descriptor)


def tell(control: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Tell the grader something about a sandbox; nobody may be listening any more."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        socket.send_fds(control, [json.dumps(message).encode()], list(descriptors))


def _end_orphans(own: set[int]) -> None:
    """Kill children that the zygote did not start: their parents in a sandbox have ended.

    Args:
        own: Sandboxes that are alive.
    """
    for _ in range(_ROUNDS):
        strangers = _children() - own
        if not strangers:
            return
        for pid in strangers:
            os.kill(pid, signal.SIGKILL)
        for pid in strangers:
            os.waitpid(pid, 0)


def _children() -> set[int]:
    """The children of this process, those that were given to it among them."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stream:
                parent = stream.read().rpartition(b")")[2].split()[1]
                if int(parent) == os.getpid():
                    found.add(int(name))
    return found
