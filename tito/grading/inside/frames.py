"""Whole frames on a pipe: four bytes of length, then the bytes."""

from __future__ import annotations

import os
import struct

_LENGTH = struct.Struct("<I")


def receive(descriptor: int) -> bytes:
    """Wait for one frame.

    Raises:
        EOFError: The other side closed the pipe.
    """
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    return _exactly(descriptor, length)


def send(descriptor: int, frame: bytes) -> None:
    """Write one frame, all of it."""
    left = memoryview(_LENGTH.pack(len(frame)) + frame)
    while left:
        left = left[os.write(descriptor, left) :]


def _exactly(descriptor: int, length: int) -> bytes:
    gathered = bytearray()
    while len(gathered) < length:
        chunk = os.read(descriptor, min(length - len(gathered), 1 << 20))
        if not chunk:
            raise EOFError("the grader closed the pipe")
        gathered += chunk
    return bytes(gathered)
