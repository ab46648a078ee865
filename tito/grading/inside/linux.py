"""Calls to Linux for which Python has no function."""

from __future__ import annotations

import ctypes
import os
import platform

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47

_MNT_DETACH = 2
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR = 442
_CAPABILITIES_V3 = 0x2008_0522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace that a descriptor stands for."""
    _checked(_libc.setns(descriptor, ctypes.c_int(kind)), "setns")


def mount(
    source: str | None, target: str, kind: str | None = None, flags: int = 0, data: str = ""
) -> None:
    """Attach a file system, or change how one is attached."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    done = _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data))
    _checked(done, f"mount {target}")


def sethostname(name: str) -> None:
    """Name this machine, as this process' namespace sees it."""
    _checked(_libc.sethostname(os.fsencode(name), len(name)), "sethostname")


def detach(target: str) -> None:
    """Take a file system out of view; it ends when nothing uses it any more."""
    _checked(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"umount {target}")


def lock_tree(target: str) -> None:
    """Make a mount and all below it read-only.

    Raises:
        OSError: Linux is older than 5.12, or refuses.
    """
    attributes = (ctypes.c_uint64 * 4)(_ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, 0, 0, 0)
    done = _libc.syscall(
        _MOUNT_SETATTR,
        _AT_FDCWD,
        os.fsencode(target),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _checked(done, f"mount_setattr {target}")


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root; what was the root is then found at `old`."""
    number = _PIVOT_ROOT[platform.machine()]
    _checked(_libc.syscall(number, os.fsencode(new), os.fsencode(old)), "pivot_root")


def prctl(option: int, second: int = 0, third: int = 0) -> int:
    """Change a property of this process."""
    words = [ctypes.c_ulong(word) for word in (second, third, 0, 0)]
    return _checked(_libc.prctl(option, *words), f"prctl {option}")


def set_filter(program: bytes) -> None:
    """Let a BPF program decide on every later system call, for good.

    Args:
        program: Instructions of 8 bytes each.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    held = Program(len(program) // 8, program)
    done = _libc.prctl(
        PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(held), ctypes.c_ulong(0), ctypes.c_ulong(0)
    )
    _checked(done, "seccomp")


def syscall(number: int, *words: int | bytes) -> int:
    """Any other system call; numbers are passed as 64 bits, bytes by address."""
    passed = [ctypes.c_char_p(w) if isinstance(w, bytes) else ctypes.c_long(w) for w in words]
    return _checked(_libc.syscall(ctypes.c_long(number), *passed), f"system call {number}")


def give_up_future_capabilities() -> None:
    """Let no program that is started later hold a capability, whoever starts it."""
    for capability in range(64):
        if _libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0:
            break  # the kernel knows no more of them, or this user may not change the set


def give_up_capabilities() -> None:
    """Hold no capability any more."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    _checked(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
