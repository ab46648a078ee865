"""Which paths Landlock lets a sandbox read: the view's folders without what is hidden in them."""

from __future__ import annotations

import os
from typing import Any

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class ReadablePaths:
    """Open descriptors of everything a sandbox may read, list or write to.

    Args:
        view: `folders` and `hidden`, as `tito.grading.sandbox.view.View` has them.
    """

    def __init__(self, view: dict[str, Any]) -> None:
        self.readable: list[int] = []
        self.listable: list[int] = []
        for folder in view["folders"]:
            self._add(os.path.realpath(folder), [os.path.realpath(h) for h in view["hidden"]])
        self.devices = [_opened(path) for path in _DEVICES]

    def _add(self, path: str, hidden: list[str]) -> None:
        """A folder; or, where something in it is hidden, all that lies beside that."""
        if path in hidden:
            return
        if not any(each.startswith(path + "/") for each in hidden):
            self.readable.append(_opened(path))
            return
        self.listable.append(_opened(path))
        for name in os.listdir(path):
            self._add(f"{path}/{name}", hidden)


def _opened(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)
