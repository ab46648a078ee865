"""Control groups: one leaf for each sandbox, which bounds all its processes together."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

_PATIENCE = 200
_PAUSE_S = 0.005


class Leaf:
    """A group for one sandbox, in each hierarchy that the grader may write to.

    Args:
        parents: For each hierarchy, `descriptor` of the folder that leaves are made in, `values`
            to write into a leaf's files, and the file that tells `peak` memory.
        name: The leaf's name.
    """

    def __init__(self, parents: list[dict[str, Any]], name: str) -> None:
        self._parents = parents
        self._name = name
        for parent in parents:
            os.mkdir(name, dir_fd=parent["descriptor"])
        for parent in parents:
            for file, value in parent["values"].items():
                self._write(parent, file, value)

    def join(self) -> None:
        """Put this process into the group."""
        for parent in self._parents:
            self._write(parent, "cgroup.procs", "0")

    def peak_bytes(self) -> int:
        """The most memory it ever held; 0 where that is not told."""
        for parent in self._parents:
            if parent["peak"]:
                with contextlib.suppress(OSError, ValueError):
                    return int(self._read(parent, parent["peak"]))
        return 0

    def end(self) -> None:
        """Kill what is still in it, and remove it."""
        for parent in self._parents:
            for _ in range(_PATIENCE):
                members = self._members(parent)
                for pid in members:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                if self._removed(parent):
                    break
                time.sleep(_PAUSE_S)

    def _members(self, parent: dict[str, Any]) -> list[int]:
        try:
            return [int(word) for word in self._read(parent, "cgroup.procs").split() if word != "0"]
        except OSError:
            return []

    def _removed(self, parent: dict[str, Any]) -> bool:
        try:
            os.rmdir(self._name, dir_fd=parent["descriptor"])
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _write(self, parent: dict[str, Any], file: str, value: str) -> None:
        path = f"{self._name}/{file}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=parent["descriptor"])
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)

    def _read(self, parent: dict[str, Any], file: str) -> str:
        path = f"{self._name}/{file}"
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=parent["descriptor"])
        try:
            return os.read(descriptor, 1 << 16).decode()
        finally:
            os.close(descriptor)
