"""Writing files so that an interruption leaves either the old file or the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tito.course import CourseError


def write_atomically(path: Path, content: bytes | str) -> bool:
    """Write a file under a temporary name beside it, then rename it into place.

    Args:
        path: The file to write; missing folders are made.
        content: Its bytes, or text to be stored as UTF-8.

    Returns:
        Whether anything changed: a file that already has this content is left alone.

    Raises:
        CourseError: The system refused (disk full, no permission, read-only, ...).
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        if path.is_file() and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    except OSError as error:
        raise CourseError(
            f"Could not write {path}: {error.strerror or error}.",
            "Free some space or correct the folder's permissions, then run the command again; "
            "the old file is unharmed.",
        ) from error
    return True


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)  # mkstemp makes 0600, which a grader's other user cannot read
        temporary.replace(path)
    except BaseException:  # also Ctrl-C: no leftover beside the old file
        temporary.unlink(missing_ok=True)
        raise
