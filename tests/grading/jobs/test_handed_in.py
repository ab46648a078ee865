"""Whatever lies in submitted/ is read within bounds, or said why not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tito.grading.jobs.handed_in import HandedIn, read_handed_in


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """Where a notebook should lie; its folders are there."""
    path = tmp_path / "submitted" / "ada" / "14_profiling" / "profiling.ipynb"
    path.parent.mkdir(parents=True)
    return path


def test_a_file_and_its_time(notebook: Path) -> None:
    notebook.write_bytes(b"{}")
    assert read_handed_in(notebook) == HandedIn(b"{}")
    (notebook.parent / "timestamp.txt").write_text("2026-03-01 12:00:00 UTC\n", encoding="utf-8")
    assert read_handed_in(notebook).timestamp == "2026-03-01 12:00:00 UTC"


def test_what_is_not_there(notebook: Path) -> None:
    assert read_handed_in(notebook).unreadable == "profiling.ipynb was not handed in"


def test_a_folder_in_its_place(notebook: Path) -> None:
    notebook.mkdir()
    assert read_handed_in(notebook).unreadable == "profiling.ipynb is a folder"


def test_a_pipe_is_not_waited_for(notebook: Path) -> None:
    os.mkfifo(notebook)
    assert read_handed_in(notebook).unreadable == "profiling.ipynb is no ordinary file"


@pytest.mark.parametrize("level", [0, 1, 2])
def test_links_are_not_followed(notebook: Path, tmp_path: Path, level: int) -> None:
    """The notebook, the lesson's folder, the student's folder."""
    notebook.write_bytes(b"{}")
    place = [notebook, *notebook.parents][level]
    elsewhere = tmp_path / "elsewhere"
    place.rename(elsewhere)
    place.symlink_to(elsewhere)
    found = read_handed_in(notebook)
    assert found.content is None
    assert found.unreadable == f"{place.name} is a link, and links are not followed"


def test_a_file_in_place_of_the_folder(notebook: Path) -> None:
    notebook.parent.rmdir()
    notebook.parent.write_bytes(b"")
    assert read_handed_in(notebook).unreadable == "14_profiling is no folder"


def test_an_immense_file_is_refused_by_its_size(
    notebook: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with notebook.open("wb") as file:
        file.truncate(500_000_000)

    def never(*about: object) -> bytes:
        raise AssertionError("it was read")

    monkeypatch.setattr(os, "read", never)
    found = read_handed_in(notebook)
    assert "has 500 MB; at most 21 are read" in found.unreadable
    assert "Clear Outputs" in found.unreadable or "clear the outputs" in found.unreadable


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(notebook: Path) -> None:
    notebook.write_bytes(b"{}")
    notebook.chmod(0)
    assert "Permission denied" in read_handed_in(notebook).unreadable


def test_other_files_are_named_and_left_out(notebook: Path) -> None:
    notebook.write_bytes(b"{}")
    for name in ("answers.csv", "given.txt", ".DS_Store", "__pycache__", "odd\nname"):
        (notebook.parent / name).write_bytes(b"")
    found = read_handed_in(notebook, frozenset({"given.txt"}))
    assert found.notes == ("files beside the notebook were left out: `answers.csv`, `odd?name`",)
    for number in range(9):
        (notebook.parent / f"x{number}").write_bytes(b"")
    assert read_handed_in(notebook).notes[0].endswith("and 7 more")


def test_an_odd_timestamp_is_no_obstacle(notebook: Path) -> None:
    notebook.write_bytes(b"{}")
    stamp = notebook.parent / "timestamp.txt"
    stamp.write_bytes(b"\xff" * 2_000)
    assert read_handed_in(notebook).timestamp is None
    stamp.unlink()
    stamp.symlink_to("/etc/passwd")
    assert read_handed_in(notebook).timestamp is None
