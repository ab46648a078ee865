"""A write that is interrupted leaves the old file, whole, and nothing beside it."""

import errno
import os
from pathlib import Path

import pytest

from tito.course import CourseError
from tito.lessons.atomic import write_atomically


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_makes_folders_and_reports_changes(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    assert write_atomically(path, "é\n") is True
    assert path.read_bytes() == "é\n".encode()
    assert write_atomically(path, "é\n") is False
    assert write_atomically(path, b"other") is True
    assert listing(path.parent) == ["c.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), CourseError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    path = tmp_path / "c.txt"
    path.write_text("old")

    def full(_: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(raised):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["c.txt"]


def test_a_full_disk_is_told_with_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CourseError, match=r"c\.txt: No space left on device") as told:
        write_atomically(tmp_path / "c.txt", "new")
    assert "Free some space" in told.value.fix


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="Could not write"):
        write_atomically(tmp_path, "new")
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match="Could not write"):
        write_atomically(tmp_path / "file" / "inside", "new")
