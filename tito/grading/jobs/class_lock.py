"""One coordinator a class: the lock that the system lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tito.course import CourseError
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs.processes import is_dead, worker_name

_FILE = ".grading"
_PREFIX = "tito-"
_LONGEST_PLACE = 40  # sockets' paths are limited


@contextmanager
def only_coordinator(folders: ClassFolders) -> Iterator[Path]:
    """Hold a class's lock; gives a private folder for the batch, removed at the end.

    What an earlier holder left behind when it was killed is removed.

    Raises:
        CourseError: Another process holds the lock.
    """
    path = folders.root / "gradebook" / _FILE
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _said(path).get("holder", "")
            who = f"process {holder.split(':')[1]} of {holder.split(':')[0]}" if holder else "one"
            raise CourseError(
                f"This class is being graded already, by another process ({who}).",
                "Wait for its end, or stop it, and run the command again.",
            ) from error
        _remove_leftover(_said(path))
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_place()) as name:
            os.chmod(name, 0o711)  # a sandbox may run as another user, and must reach its files
            path.write_text(json.dumps({"holder": worker_name(), "folder": name}), "utf-8")
            yield Path(name)


def _said(path: Path) -> dict[str, Any]:
    """What the last holder wrote; nothing when it was killed while writing."""
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return words if isinstance(words, dict) else {}


def _remove_leftover(said: dict[str, Any]) -> None:
    folder, holder = Path(str(said.get("folder", ""))), str(said.get("holder", ""))
    named = folder.name.startswith(_PREFIX) and holder.count(":") == 2
    there = named and folder.is_dir() and not folder.is_symlink()
    if there and folder.stat().st_uid == os.getuid() and is_dead(holder):
        shutil.rmtree(folder, ignore_errors=True)


def _place() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) < _LONGEST_PLACE else "/tmp"
