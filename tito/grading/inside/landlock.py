"""Landlock: which files a process may use, without namespaces and without being root."""

from __future__ import annotations

import os
import stat
import struct

from . import linux

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_REFER, _TRUNCATE, _DEVICE = 1 << 13, 1 << 14, 1 << 15
_FIRST_ABI = (1 << 13) - 1
_TCP, _SCOPES = 3, 3  # bind and connect; abstract sockets and signals
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE
_SCOPED_ABI = 6


def abi() -> int:
    """The version of Landlock that Linux offers; 0 for none."""
    try:
        return linux.syscall(_CREATE, 0, 0, 1)
    except OSError:
        return 0


def holds_signals() -> bool:
    """Whether it keeps signals inside the sandbox, too."""
    return abi() >= _SCOPED_ABI


class Ruleset:
    """What a process may do with files; everything else is refused once it is in force.

    Args:
        version: As `abi` tells it; rights that it does not know stay free.
    """

    def __init__(self, version: int) -> None:
        rights = _FIRST_ABI
        for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _DEVICE)):
            rights |= right if version >= since else 0
        self._rights = rights
        attributes = struct.pack("=Q", rights)
        if version >= 4:
            attributes += struct.pack("=Q", _TCP)
        if version >= _SCOPED_ABI:
            attributes += struct.pack("=Q", _SCOPES)
        self._descriptor = linux.syscall(_CREATE, attributes, len(attributes), 0)

    def allow_reading(self, descriptor: int) -> None:
        """Let all files below a folder, or one file, be read and run."""
        self._allow(descriptor, _READ | _EXECUTE | _LIST)

    def allow_listing(self, descriptor: int) -> None:
        """Let a folder and those below it be listed, and nothing there be read."""
        self._allow(descriptor, _LIST)

    def allow_everything(self, descriptor: int) -> None:
        """Let files be made, changed and removed below a folder; or one file be written."""
        self._allow(descriptor, self._rights & ~_DEVICE)

    def enforce(self) -> None:
        """Hold this process, and all that it starts, to the rules, for good."""
        linux.syscall(_RESTRICT, self._descriptor, 0)
        os.close(self._descriptor)

    def _allow(self, descriptor: int, rights: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        attributes = struct.pack("=Qi", rights & self._rights, descriptor)
        linux.syscall(_ADD, self._descriptor, 1, attributes, 0)
