"""Namespaces: a process that sees a few read-only folders, its own files, and nothing else.

The zygote enters a view once (`enter_view`). Every child of it then takes private folders, a
process list and a network of its own (`private_namespaces`), which costs little.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
from typing import Any

from . import linux

HOME = "/home/student"
USER = 1000  # inside a user namespace; the grader's own user outside
_PRIVATE = ("/tmp", HOME, "/dev/shm")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_NEW_ROOT = "/tmp"  # exists everywhere; only this process' own view of it is covered
_NOTHING_RUNS = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC


def enter_view(view: dict[str, Any]) -> None:
    """Put this process behind walls, as the first process of its own process list.

    Returns in a child; the caller's process waits for it and ends with it.

    Args:
        view: `folders`, `links` and `hidden`, as `tito.grading.sandbox.view.View` has them.

    Raises:
        OSError: Linux does not let this user do it.
    """
    _new_namespaces()
    _continue_in_child()
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in view["folders"]}
    devices = {name: os.open(f"/dev/{name}", os.O_PATH | os.O_CLOEXEC) for name in _DEVICES}
    linux.mount("root", _NEW_ROOT, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
    for path, descriptor in sources.items():
        _show(descriptor, path)
        os.close(descriptor)
    for path, target in view["links"]:
        os.symlink(target, _NEW_ROOT + path)
    for path in view["hidden"]:
        flags = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
        linux.mount("hidden", _NEW_ROOT + path, "tmpfs", flags, "mode=755,size=4k")
    _devices(devices)
    for path in (*_PRIVATE, "/proc"):
        _folder(_NEW_ROOT + path)
    linux.mount("proc", _NEW_ROOT + "/proc", "proc", _NOTHING_RUNS)
    _make_it_the_root()


def private_namespaces(scratch_bytes: int, shown: list[str]) -> None:
    """Give this process a network, process list and writable folders that nobody else has.

    It must be the first process of a new process list already.

    Args:
        scratch_bytes: What fits into its folders together.
        shown: The view's folders.
    """
    linux.unshare(
        linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWCGROUP
    )
    linux.mount("proc", "/proc", "proc", _NOTHING_RUNS)
    private_folders(scratch_bytes, shown)


def private_folders(scratch_bytes: int, shown: list[str]) -> None:
    """Cover the writable folders with empty ones in memory, which end with this process.

    Args:
        scratch_bytes: What fits into them together.
        shown: The view's folders: those inside a writable one stay in view.
    """
    again = [path for path in shown if path.startswith(tuple(f"{p}/" for p in _PRIVATE))]
    sources = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in again}
    bounds = f"mode=755,size={scratch_bytes},nr_inodes={max(1024, scratch_bytes >> 14)}"
    whole = _PRIVATE[0]
    linux.mount("private", whole, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, bounds)
    for number, path in reversed(list(enumerate(_PRIVATE))):  # the first covers `whole`: last
        part = f"{whole}/{number}"
        os.mkdir(part)
        os.chmod(part, 0o1777)
        linux.mount(part, path, None, linux.MS_BIND)
    for path, source in sources.items():
        _place_for(source, path)
        linux.mount(f"/proc/self/fd/{source}", path, None, linux.MS_BIND | linux.MS_REC)
        os.close(source)


def _new_namespaces() -> None:
    """Enter new namespaces; without root, as a user that exists in them alone."""
    kinds = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET
    kinds |= linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWCGROUP
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        linux.unshare(kinds)
    else:
        linux.unshare(kinds | linux.CLONE_NEWUSER)
        for file, words in (
            ("setgroups", "deny"),
            ("uid_map", f"{USER} {user} 1"),
            ("gid_map", f"{USER} {group} 1"),
        ):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as stream:
                stream.write(words)
    linux.sethostname("sandbox")


def _continue_in_child() -> None:
    """Go on as process 1 of the new process list; nothing in it outlives that process."""
    child = os.fork()
    if child == 0:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
        return
    os.closerange(3, 4096)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _show(source: int, path: str) -> None:
    """Show a file or folder of the old view, read-only, under its own name."""
    target = _NEW_ROOT + path
    _place_for(source, target)
    linux.mount(f"/proc/self/fd/{source}", target, None, linux.MS_BIND | linux.MS_REC)
    try:
        linux.lock_tree(target)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        _lock(target)


def _place_for(source: int, target: str) -> None:
    """Make an empty file or folder that a file or folder can be mounted on."""
    if stat.S_ISDIR(os.fstat(source).st_mode):
        _folder(target)
    else:
        _folder(os.path.dirname(target))
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _lock(target: str) -> None:
    """As `linux.lock_tree` for Linux before 5.12: one mount, its other properties kept."""
    kept = os.statvfs(target).f_flag & (linux.MS_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME)
    flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
    linux.mount(None, target, None, flags | kept)


def _devices(sources: dict[str, int]) -> None:
    folder = _NEW_ROOT + "/dev"
    _folder(folder)
    for name, descriptor in sources.items():
        os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        linux.mount(f"/proc/self/fd/{descriptor}", f"{folder}/{name}", None, linux.MS_BIND)
        os.close(descriptor)
    for name, part in _LINKS.items():
        os.symlink(f"/proc/self/fd{part}", f"{folder}/{name}")


def _folder(path: str) -> None:
    """Make a folder that every user may pass through, and those above it."""
    os.makedirs(path, mode=0o755, exist_ok=True)


def _make_it_the_root() -> None:
    linux.pivot_root(_NEW_ROOT, _NEW_ROOT)  # the old root now lies on top of the new one
    os.chdir("/")
    linux.detach("/")
    flags = linux.MS_REMOUNT | linux.MS_BIND | linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV
    linux.mount(None, "/", None, flags)
    os.chdir("/")
