"""What a batch left behind: processes, files, changes of what is not its own."""

from __future__ import annotations

import ctypes
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

_SET_SUBREAPER = 36
_PATIENCE_S = 3.0


def adopt_orphans(wanted: bool) -> None:
    """Become the parent of every orphan below this process: none can get away unseen."""
    ctypes.CDLL(None).prctl(_SET_SUBREAPER, int(wanted), 0, 0, 0)


def children() -> set[int]:
    """The processes directly below this one that have not ended."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return {pid for pid in found if not _is_zombie(pid)}


def left_running(before: set[int], run: str) -> list[str]:
    """Processes that outlived a batch: orphans it left to us, and any that carries its mark."""
    limit = time.monotonic() + _PATIENCE_S
    while True:
        orphans = [f"an orphan, {_command(pid)}" for pid in children() - before]
        found = [*orphans, *_marked(run)]
        if not found or time.monotonic() > limit:
            return found
        time.sleep(0.1)


def _marked(run: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        for name in ("comm", "cmdline"):
            try:
                words = (process / name).read_bytes()
            except OSError:
                break
            if run.encode() in words:
                yield f"{process.name}: {words[:80]!r}"
                break


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _command(pid: int) -> str:
    try:
        return repr(Path(f"/proc/{pid}/cmdline").read_bytes()[:120])
    except OSError:
        return "ended meanwhile"


def digests(folder: Path) -> dict[str, str]:
    """The content of every file below a folder; links and odd files by their kind."""
    found: dict[str, str] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root) / name
            relative = str(path.relative_to(folder))
            if path.is_symlink():
                found[relative] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[relative] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif not path.is_dir():
                found[relative] = "neither file nor folder"
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names of files that came, went or changed."""
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))


def marked_files(folders: list[Path], run: str, deep: bool = True) -> list[str]:
    """Files and folders whose name carries the batch's mark."""
    found: list[str] = []
    for folder in folders:
        for root, below, files in os.walk(folder):
            found += [f"{root}/{name}" for name in (*below, *files) if run in name]
            if not deep:
                below.clear()
            below[:] = [name for name in below if name not in ("node_modules", "proc")]
    return found
