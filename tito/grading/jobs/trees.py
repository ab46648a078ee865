"""A given tree as one blob, and as the folder that a worker makes of it."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

_DATE = (1980, 1, 1, 0, 0, 0)  # the same files give the same bytes


def pack_tree(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Files as an archive; whoever stores it compresses it."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return whole.getvalue()


def tree_folder(folder: Path, given: str) -> Path:
    """Where the given tree with a hash lies; short, because sockets' paths are limited."""
    return folder / f"given-{given[:16]}"


def unpack_tree(archive: bytes, folder: Path) -> None:
    """Make a folder of an archive, whole or not at all; one that is there is left alone.

    Args:
        archive: What `pack_tree` returned.
        folder: The folder to make.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    unfinished.chmod(0o755)  # a sandbox may run as another user
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(unfinished)
    try:
        os.rename(unfinished, folder)
    except OSError:
        if not folder.is_dir():  # otherwise another worker was faster
            raise
