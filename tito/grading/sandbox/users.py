"""Users for sandboxes when root grades: each zygote has a block of numbers of its own.

A block is held by an abstract socket's name, which Linux frees when its holder ends, however that
happens.
"""

from __future__ import annotations

import os
import socket

from tito.course import CourseError

_FIRST = 61_000
BLOCK = 32
_BLOCKS = 128


class UserBlock:
    """Some users that no other zygote of this machine gives to its sandboxes.

    Attributes:
        first: The first user's number; `BLOCK` of them belong to this block.

    Raises:
        CourseError: All blocks are taken.
    """

    def __init__(self) -> None:
        self._held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        start = os.getpid() % _BLOCKS
        for number in range(_BLOCKS):
            block = (start + number) % _BLOCKS
            try:
                self._held.bind(f"\0tito-sandbox-users-{block}")
            except OSError:
                continue  # another zygote has it
            self.first = _FIRST + block * BLOCK
            return
        self._held.close()
        raise CourseError(
            f"{_BLOCKS} zygotes are at work on this machine, and there are users for no more.",
            "Wait until some have ended, or grade with fewer workers.",
        )

    def release(self) -> None:
        """Let others have these users."""
        self._held.close()
