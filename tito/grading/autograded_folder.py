"""A student's folder in autograded/: it changes as a whole, and tells when it did not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tito.course import CourseError
from tito.grading.record import pending

_READ_ONLY = 0o444  # as nbgrader leaves it: a graded notebook is not edited


@contextmanager
def replaced(folder: Path, files: dict[str, bytes]) -> Iterator[None]:
    """Write a folder's files beside it, and put them in its place when the `with` block succeeds.

    Ended at any point, it leaves the old folder, the new one, or the mark `pending` of one in
    between; a next call clears that away.

    Args:
        folder: The folder.
        files: All it is to hold, by name.

    Raises:
        CourseError: The system refused.
    """
    waiting, old = pending(folder), folder.with_name(f".{folder.name}.old")
    try:
        _clear(waiting, old)
        _write(waiting, files)
    except OSError as error:
        raise _refused(folder, error) from error
    try:
        yield
    except BaseException:
        shutil.rmtree(waiting)
        raise
    try:
        if folder.exists():
            folder.rename(old)
        waiting.rename(folder)
        _clear(old)
    except OSError as error:
        raise _refused(folder, error) from error


def _write(waiting: Path, files: dict[str, bytes]) -> None:
    waiting.mkdir(parents=True)
    for name, content in files.items():
        path = waiting / name
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        path.chmod(_READ_ONLY)


def _clear(*folders: Path) -> None:
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)


def _refused(folder: Path, error: OSError) -> CourseError:
    return CourseError(
        f"Could not write {folder}: {error.strerror or error}.",
        "Free some space or correct the folder's permissions, then run the command again.",
    )
