"""Two coordinators at once are refused; one that was killed is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.grading.jobs.forked import forked, wait_for
from tests.grading.small_course import class_of
from tito.course import Course, CourseError
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs.class_lock import only_coordinator
from tito.grading.jobs.processes import is_dead, worker_name


@pytest.fixture
def folders(course: Course) -> ClassFolders:
    found = class_of(course)
    found.make()
    return found


def test_a_second_coordinator_is_told_of_the_first(folders: ClassFolders) -> None:
    with only_coordinator(folders) as scratch:
        assert scratch.is_dir()
        who = f"process {os.getpid()} of "
        with pytest.raises(CourseError, match=f"being graded already.*{who}"):
            only_coordinator(folders).__enter__()
    assert not scratch.exists()
    with only_coordinator(folders):
        pass


def test_what_a_killed_coordinator_left_behind_is_removed(folders: ClassFolders) -> None:
    def be_killed() -> None:
        with only_coordinator(folders) as scratch:
            (scratch / "something").write_text("", encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    assert wait_for(forked(be_killed)) == -signal.SIGKILL
    said = json.loads((folders.root / "gradebook" / ".grading").read_text(encoding="utf-8"))
    left = Path(said["folder"])
    assert (left / "something").is_file()
    with only_coordinator(folders):
        assert not left.exists()


@pytest.mark.parametrize("words", ["", "{", "[]", '{"folder": "/", "holder": "x:1:2"}'])
def test_a_lock_file_that_says_nothing_useful(folders: ClassFolders, words: str) -> None:
    (folders.root / "gradebook" / ".grading").write_text(words, encoding="utf-8")
    with only_coordinator(folders):
        assert Path("/").is_dir()


def test_only_processes_of_this_machine_are_called_dead() -> None:
    mine = worker_name()
    assert not is_dead(mine)
    host, number, started = mine.rsplit(":", 2)
    assert is_dead(f"{host}:{number}:{int(started) + 1}")  # the number is used again
    assert not is_dead(f"elsewhere:{number}:1")
    ended = forked(lambda: None)
    wait_for(ended)
    assert is_dead(f"{host}:{ended}:{started}")
