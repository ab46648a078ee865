"""Ctrl-C in the middle of a batch: what is stored is whole, and the rest can be done later."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.grading.small_course import LESSON, changed, class_of, hand_in, student_notebook
from tito.course import Course
from tito.grading.class_folders import ClassFolders
from tito.grading.record import read_record
from tito.grading.table import read_rows

SLOW = "import signal\nsignal.pause()"
COMMAND = [sys.executable, "-P", "-m", "tito.cli", "grade", "14", "--isolation", "process"]


def whole(folders: ClassFolders, student: str) -> bool:
    return read_record(folders.autograded(student, LESSON)) is not None


def processes_using(folder: Path) -> set[str]:
    """Processes that name a folder in their command line or environment."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            about = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if str(folder).encode() in about:
            found.add(process.name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_interrupted_batch_keeps_what_it_has_and_goes_on_later(
    course: Course,
) -> None:
    folders = class_of(course)
    hand_in(folders, "ada", student_notebook())
    for student in ("bob", "cleo", "dan"):
        hand_in(folders, student, changed("middle", SLOW))
    scratch = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))  # short: sockets may lie in it
    command = [*COMMAND, "--cell-seconds", "100"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(
        command, cwd=course.root, stdout=subprocess.PIPE, text=True, env=environment
    ) as grader:
        limit = time.monotonic() + 120
        while not whole(folders, "ada"):
            if grader.poll() is not None or time.monotonic() > limit:
                break
            select.select([], [], [], 0.1)
        running = processes_using(scratch)
        grader.send_signal(signal.SIGINT)
        said, _ = grader.communicate(timeout=60)
    assert whole(folders, "ada")
    assert len(running) >= 3  # the coordinator, its workers, a judge
    assert grader.returncode == 130
    assert "Interrupted." in said
    assert "run the same command again" in " ".join(said.split())
    assert processes_using(scratch) == set()
    scratch.rmdir()  # it is empty: the grader left nothing in it

    rows = {row.student: row for row in read_rows(folders, LESSON, {})}
    assert rows["ada"].marks is not None
    assert rows["ada"].marks.auto == 90
    for student in ("bob", "cleo", "dan"):
        assert rows[student].notes == ["not graded yet"]
        assert not folders.autograded(student, LESSON).exists()
        assert not folders.feedback(student, LESSON).exists()

    hand_in(folders, "bob", student_notebook())
    later = [*command, "--students", "ada,bob"]
    done = subprocess.run(later, cwd=course.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    said = " ".join(done.stdout.split())
    assert "Graded now: 1. Up to date, not run again (--again runs them): 1." in said, said
    for student in ("ada", "bob"):
        assert folders.feedback(student, LESSON).is_file()
