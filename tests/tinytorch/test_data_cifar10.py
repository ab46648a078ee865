import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tinytorch.data import CIFAR10_LABELS, cifar10
from tinytorch.data.cifar10 import (
    ARCHIVE,
    FOLDER,
    RECORD_BYTES,
    TEST_FILE,
    TRAIN_FILES,
    check_archive,
    read_batch,
    unpack,
)


def records(seed: int, count: int = 4) -> bytes:
    rng = np.random.default_rng(seed)
    content = rng.integers(0, 256, (count, RECORD_BYTES), dtype=np.uint8)
    content[:, 0] = rng.integers(0, 10, count)
    return content.tobytes()


def all_files() -> dict[str, bytes]:
    return {name: records(seed) for seed, name in enumerate((*TRAIN_FILES, TEST_FILE))}


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def in_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{FOLDER}/{name}": content for name, content in files.items()}


@pytest.fixture
def extracted(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    for name, content in all_files().items():
        (tmp_path / FOLDER / name).write_bytes(content)
    return tmp_path


def test_a_record_is_a_label_and_three_planes_of_rows(tmp_path: Path) -> None:
    planes = np.zeros((3, 32, 32), np.uint8)
    planes[0, 2, 5], planes[1, 31, 0], planes[2, 0, 31] = 10, 20, 30
    path = tmp_path / "one.bin"
    path.write_bytes(bytes([7]) + planes.tobytes())
    images, labels = read_batch(path)
    assert images.shape == (1, 3, 32, 32)
    assert (images[0, 0, 2, 5], images[0, 1, 31, 0], images[0, 2, 0, 31]) == (10, 20, 30)
    assert CIFAR10_LABELS[labels[0]] == "horse"


def test_the_six_files_become_one_split_in_order(extracted: Path) -> None:
    split = cifar10(extracted)
    assert split.train_images.shape == (20, 3, 32, 32)
    assert split.test_images.shape == (4, 3, 32, 32)
    assert split.train_images.dtype == np.float32
    assert split.train_labels.dtype == np.int64
    for number, name in enumerate(TRAIN_FILES):
        pixels, labels = read_batch(extracted / FOLDER / name)
        part = slice(4 * number, 4 * number + 4)
        np.testing.assert_array_equal(split.train_labels[part], labels)
        np.testing.assert_allclose(split.train_images[part], pixels / 255, rtol=1e-6)
    assert split.test_images.min() >= 0
    assert split.test_images.max() <= 1


def test_when_absent_the_message_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"cs\.toronto\.edu") as caught:
        cifar10(tmp_path)
    assert ARCHIVE in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert "Krizhevsky" in str(caught.value)


def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / ARCHIVE, in_folder(all_files()))
    with pytest.raises(ValueError, match="c32a1d4ab5d03f1284b67883e8d87530"):
        cifar10(tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_both_sums_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    md5 = hashlib.md5(b"content", usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(b"content").hexdigest()
    check_archive(path, md5, sha256)
    with pytest.raises(ValueError, match="has the md5"):
        check_archive(path, "0" * 32, sha256)
    with pytest.raises(ValueError, match="has the sha256"):
        check_archive(path, md5, "0" * 64)


def test_unpacking_gives_a_folder_that_can_be_read(tmp_path: Path) -> None:
    archive = tmp_path / ARCHIVE
    write_archive(archive, {f"{FOLDER}/readme.html": b"x", **in_folder(all_files())})
    unpack(archive, tmp_path / FOLDER)
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == {*TRAIN_FILES, TEST_FILE}
    assert len(cifar10(tmp_path).train_images) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == [FOLDER, ARCHIVE]


def test_names_that_lead_out_of_the_folder_write_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    archive = root / ARCHIVE
    evil = {
        "../outside.bin": b"evil",
        f"{tmp_path}/absolute.bin": b"evil",
        f"{FOLDER}/../../{TEST_FILE}": b"evil",
    }
    write_archive(archive, {**evil, **in_folder(all_files())})
    unpack(archive, root / FOLDER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
    assert sorted(path.name for path in root.iterdir()) == [FOLDER, ARCHIVE]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    archive = tmp_path / ARCHIVE
    with tarfile.open(archive, "w:gz") as members:
        link = tarfile.TarInfo(f"{FOLDER}/{TEST_FILE}")
        link.type, link.linkname = kind, "/etc/hostname"
        members.addfile(link)
    with pytest.raises(ValueError, match="is no file"):
        unpack(archive, tmp_path / FOLDER)
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]


def test_an_incomplete_archive_leaves_no_folder(tmp_path: Path) -> None:
    files = all_files()
    del files[TEST_FILE]
    write_archive(tmp_path / ARCHIVE, in_folder(files))
    with pytest.raises(ValueError, match=f"lacks {TEST_FILE}"):
        unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    assert [path.name for path in tmp_path.iterdir()] == [ARCHIVE]


def test_a_huge_member_is_refused(tmp_path: Path) -> None:
    files = all_files() | {TEST_FILE: bytes(RECORD_BYTES * 10_000 + 1)}
    write_archive(tmp_path / ARCHIVE, in_folder(files))
    with pytest.raises(ValueError, match="at most 30730000 bytes"):
        unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (records(0)[:-1], "whole records of 3073"),
        (b"", "has 0 bytes"),
        (bytes([10]) + bytes(3072), "label 10"),
    ],
)
def test_damaged_files_are_refused(extracted: Path, content: bytes, message: str) -> None:
    (extracted / FOLDER / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        cifar10(extracted)


def test_a_missing_file_is_named(extracted: Path) -> None:
    (extracted / FOLDER / TEST_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=TEST_FILE):
        cifar10(extracted)
