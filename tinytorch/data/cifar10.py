"""CIFAR-10 in its binary format, from a folder on your disk. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.split import Split

CIFAR10_LABELS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
ARCHIVE = "cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"

IMAGE_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
LARGEST_FILE_BYTES = 10_000 * RECORD_BYTES


def cifar10(root: str | Path) -> Split:
    """Read CIFAR-10: 50 000 colour images to learn from and 10 000 to test on.

    Args:
        root: the folder that holds `cifar-10-batches-bin/`, or the archive
            `cifar-10-binary.tar.gz`, which is then checked and unpacked beside itself.

    Returns:
        Images (N, 3, 32, 32) of red, green and blue planes; labels 0 to 9 as in `CIFAR10_LABELS`.

    Raises:
        FileNotFoundError: neither is there; the message says where to get the archive.
        ValueError: the archive is not the published one, or a file is damaged.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", University of
        Toronto, 2009.
    """
    root = Path(root)
    folder = root / FOLDER
    if not folder.is_dir():
        archive = root / ARCHIVE
        if not archive.is_file():
            raise FileNotFoundError(_how_to_get(root))
        check_archive(archive)
        unpack(archive, folder)
    train = [read_batch(folder / name) for name in TRAIN_FILES]
    test_images, test_labels = read_batch(folder / TEST_FILE)
    return Split(
        _as_floats([images for images, _ in train]),
        np.concatenate([labels for _, labels in train]),
        _as_floats([test_images]),
        test_labels,
    )


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one file of records: a label byte, then 1024 bytes each of red, green and blue.

    Returns:
        Images (N, 3, 32, 32) uint8 and labels (N,).
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; delete the folder {path.parent} and unpack {ARCHIVE} again"
        )
    content = np.fromfile(path, dtype=np.uint8)
    if content.size == 0 or content.size % RECORD_BYTES:
        raise ValueError(
            f"{path} has {content.size} bytes; CIFAR-10 files hold whole records of {RECORD_BYTES} "
            f"bytes. The file is damaged: delete {path.parent} and unpack {ARCHIVE} again"
        )
    records = content.reshape(-1, RECORD_BYTES)  # (N, 3073)
    labels = records[:, 0].astype(np.int64)  # (N,)
    if labels.max() >= len(CIFAR10_LABELS):
        raise ValueError(
            f"{path} has the label {labels.max()}; CIFAR-10's labels are 0 to 9. "
            "Is this file of another data set?"
        )
    return records[:, 1:].reshape(-1, *IMAGE_SHAPE), labels


def check_archive(archive: Path, md5: str = ARCHIVE_MD5, sha256: str = ARCHIVE_SHA256) -> None:
    """Make sure that an archive is the published one, byte for byte.

    Raises:
        ValueError: one of the two sums differs.
    """
    for name, expected in (("md5", md5), ("sha256", sha256)):
        with archive.open("rb") as file:
            given = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False))
        if given.hexdigest() != expected:
            raise ValueError(
                f"{archive} has the {name} {given.hexdigest()}; the published file has {expected}. "
                f"The download broke off or is another file: delete it and get it again from {PAGE}"
            )


def unpack(archive: Path, folder: Path) -> None:
    """Write the six data files of the archive into `folder`, and nothing else anywhere.

    Members are found by their exact names, so no name in the archive can lead out of the folder.
    The folder appears only when it is complete.
    """
    wanted = {f"{FOLDER}/{name}": name for name in (*TRAIN_FILES, TEST_FILE)}
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{FOLDER}-") as unfinished:
        found = set()
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                name = wanted.get(member.name.removeprefix("./"))
                if name is not None:
                    _write_member(members, member, Path(unfinished) / name)
                    found.add(name)
        missing = sorted(set(wanted.values()) - found)
        if missing:
            raise ValueError(f"{archive} lacks {', '.join(missing)}; get it again from {PAGE}")
        complete = Path(unfinished) / FOLDER
        complete.mkdir()
        for name in found:
            (Path(unfinished) / name).rename(complete / name)
        complete.rename(folder)


def _write_member(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = members.extractfile(member) if member.isfile() else None
    if content is None or member.size > LARGEST_FILE_BYTES:
        raise ValueError(
            f"{member.name} in the archive is no file of at most {LARGEST_FILE_BYTES} bytes; "
            f"get the archive again from {PAGE}"
        )
    with content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


def _as_floats(batches: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The batches one after the other, as float32 in [0, 1]."""
    images = np.empty((sum(map(len, batches)), *IMAGE_SHAPE), np.float32)  # (N, 3, 32, 32)
    start = 0
    for batch in batches:
        np.divide(batch, 255, out=images[start : start + len(batch)], casting="same_kind")
        start += len(batch)
    return images


def _how_to_get(root: Path) -> str:
    return (
        f"CIFAR-10 is not in {root.resolve()}. It is 162 MB and not part of the course. Get the "
        f"'binary version' ({ARCHIVE}) from {PAGE} (University of Toronto; A. Krizhevsky, 2009), "
        f"put it into that folder as it is, and call cifar10() again: it checks and unpacks it."
    )
