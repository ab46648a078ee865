"""A filter of system calls: the small program that Linux asks before it does anything.

It names what is refused; all else is allowed. Namespaces hide files, processes and networks; this
closes what they leave open. Calls of a foreign architecture end the process.
"""

from __future__ import annotations

import errno
import platform
import socket
import struct
from collections.abc import Iterable

from . import linux
from .system_calls import EXAMINED, FORBIDDEN, OWNERSHIP, SHARED, STEERING, numbers

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24  # offsets in what the kernel passes
_ALLOW, _KILL, _REFUSE = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_AUDIT = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
_X32 = 0x4000_0000  # x86-64's second set of calls, with 32-bit addresses
_NAMESPACES = (
    linux.CLONE_NEWNS
    | linux.CLONE_NEWCGROUP
    | linux.CLONE_NEWUTS
    | linux.CLONE_NEWIPC
    | linux.CLONE_NEWUSER
    | linux.CLONE_NEWPID
    | linux.CLONE_NEWNET
)
_TERMINAL = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into the grader's terminal
_UNIX = int(socket.AF_UNIX)


def supported(machine: str = "") -> bool:
    """Whether there is a filter for a machine; this one when none is named."""
    return (machine or platform.machine()) in _AUDIT


def program(alone: bool = True, own_user: bool = True, machine: str = "") -> bytes:
    """The filter, as BPF instructions.

    Args:
        alone: Whether the process has namespaces of its own; without them it may make no socket
            but a pair, share no memory by name and not leave its process group.
        own_user: Whether its user owns nothing of the grader's, or cannot reach it.
        machine: `x86_64` or `aarch64`; this machine when empty.
    """
    machine = machine or platform.machine()
    calls = numbers(EXAMINED, machine)
    refused = set(numbers(FORBIDDEN, machine).values())
    if not alone:
        refused |= set(numbers(SHARED, machine).values()) | {calls["socket"]}
    if not own_user:
        refused |= set(numbers(OWNERSHIP, machine).values())
    lines = _native_only(machine)
    for number in sorted(refused):
        lines += _when(number, [_refuse(errno.EPERM)])
    lines += _when(calls["clone3"], [_refuse(errno.ENOSYS)])  # its flags cannot be read here
    lines += _when(calls["clone"], _examine(_FIRST, _ANY_BIT, [_NAMESPACES], errno.EPERM))
    lines += _when(calls["ioctl"], _examine(_SECOND, _EQUAL, _TERMINAL, errno.EPERM))
    for name in ("socket", "socketpair"):
        lines += _when(calls[name], _only(_UNIX, errno.EAFNOSUPPORT))
    if not own_user:
        for number in numbers(STEERING, machine).values():
            lines += _when(number, _only(0, errno.EPERM))
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _native_only(machine: str) -> list[Instruction]:
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        lines += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    return lines


def _when(number: int, then: list[Instruction]) -> list[Instruction]:
    """Do `then`, which returns, for one system call; pass over it for others."""
    return [(_EQUAL, 0, len(then), number), *then]


def _examine(offset: int, test: int, against: Iterable[int], refusal: int) -> list[Instruction]:
    """Refuse when an argument passes a test against one of some constants."""
    lines: list[Instruction] = [(_LOAD, 0, 0, offset)]
    for constant in against:
        lines += [(test, 0, 1, constant), _refuse(refusal)]
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def _only(value: int, refusal: int) -> list[Instruction]:
    """Allow when the first argument is `value`, and refuse otherwise."""
    return [
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 1, 0, value),
        _refuse(refusal),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _REFUSE | number)
