"""Reading what a student handed in: a bounded file, or the reason why there is none."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tito.grading.rebuild import LARGEST_BYTES

TIMESTAMP = "timestamp.txt"  # nbgrader's: when it was handed in
_MOST_NAMED = 5
_FIX_SIZE = "clear the outputs (Edit, Clear Outputs of All Cells), save, and hand in again"


@dataclass(frozen=True)
class HandedIn:
    """A submission as it lies on disk.

    Attributes:
        content: The notebook's bytes; None when it cannot be read.
        unreadable: Why it cannot; empty when it can.
        notes: What the teacher should know, one sentence each.
        timestamp: What nbgrader noted as the time of handing in; None when it did not.
    """

    content: bytes | None
    unreadable: str = ""
    notes: tuple[str, ...] = ()
    timestamp: str | None = None


def read_handed_in(notebook: Path, given: frozenset[str] = frozenset()) -> HandedIn:
    """Read a submission; never raises for what is in its folder.

    Args:
        notebook: Where the notebook should lie: submitted/NAME/NN_lesson/lesson.ipynb.
        given: Names of files that students receive with the lesson, so that need no remark.
    """
    for folder in (notebook.parent.parent, notebook.parent):
        if folder.is_symlink():
            return HandedIn(None, f"{folder.name} is a link, and links are not followed")
        if not folder.is_dir():
            return HandedIn(None, f"{folder.name} is no folder")
    try:
        notes = _extra_files(notebook, given)
    except OSError as error:
        return HandedIn(None, f"{notebook.parent.name} cannot be read: {error.strerror}")
    content, why = _bounded(notebook, LARGEST_BYTES)
    if content is None:
        return HandedIn(None, why, notes)
    return HandedIn(content, "", notes, _timestamp(notebook.parent / TIMESTAMP))


def _bounded(path: Path, most: int) -> tuple[bytes | None, str]:
    """A regular file's bytes, or why not; a pipe is not waited for, a link not followed."""
    if path.is_symlink():
        return None, f"{path.name} is a link, and links are not followed"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None, f"{path.name} was not handed in"
    except OSError as error:
        return None, f"{path.name} cannot be read: {error.strerror}"
    try:
        return _of_file(handle, path.name, most)
    except OSError as error:
        return None, f"{path.name} cannot be read: {error.strerror}"
    finally:
        os.close(handle)


def _of_file(handle: int, name: str, most: int) -> tuple[bytes | None, str]:
    """The bytes of an open file, or why not; never more than it had when it was opened."""
    about = os.fstat(handle)
    if stat.S_ISDIR(about.st_mode):
        return None, f"{name} is a folder"
    if not stat.S_ISREG(about.st_mode):
        return None, f"{name} is no ordinary file"
    if about.st_nlink > 1:  # the other name may be a model solution's, or another student's
        return None, f"{name} is one of {about.st_nlink} names of the same file: hand in a copy"
    if about.st_size > most:
        size = f"{about.st_size / 1e6:.0f} MB; at most {most / 1e6:.0f} are read"
        return None, f"{name} has {size}: {_FIX_SIZE}"
    parts: list[bytes] = []
    left = about.st_size
    while left > 0 and (part := os.read(handle, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts), ""


def _timestamp(path: Path) -> str | None:
    content, _ = _bounded(path, 1_000)
    return None if content is None else content.decode("utf-8", "replace").strip()


def _extra_files(notebook: Path, given: frozenset[str]) -> tuple[str, ...]:
    """A note on files beside the notebook: they are not there when its cells run."""
    known = {notebook.name, TIMESTAMP} | given
    with os.scandir(notebook.parent) as entries:
        extra = sorted(
            entry.name
            for entry in entries
            if entry.name not in known and not entry.name.startswith((".", "__"))
        )
    if not extra:
        return ()
    named = ", ".join(f"`{_shown(name)}`" for name in extra[:_MOST_NAMED])
    more = f" and {len(extra) - _MOST_NAMED} more" if len(extra) > _MOST_NAMED else ""
    return (f"files beside the notebook were left out: {named}{more}",)


def _shown(name: str) -> str:
    """A file name of a student's, as harmless text."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])
