"""nbgrader's own commands, run by hand in the course's folder, build the same walls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.grading.small_course import LESSON, class_of, hand_in, student_notebook
from tito.course import Course
from tito.grading.record import read_record
from tito.grading.table import read_rows

CONFIG = Path(__file__).resolve().parents[2] / "nbgrader_config.py"
PROGRAM = str(Path(sys.executable).parent / "nbgrader")


def nbgrader(course: Course, *words: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TINYTORCH_")}
    done = subprocess.run(
        [PROGRAM, *words],
        cwd=course.root,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stderr


@pytest.mark.sandbox
@pytest.mark.slow
def test_autograde_feedback_and_export_by_hand(course: Course, tmp_path: Path) -> None:
    shutil.copy(CONFIG, course.root / CONFIG.name)
    folders = class_of(course)
    skipping = student_notebook(solved=False)
    for cell in skipping["cells"]:
        cell["metadata"]["tags"] = ["skip-execution"]
    hand_in(folders, "ada", student_notebook())
    hand_in(folders, "bob", skipping)
    nbgrader(course, "autograde", LESSON.folder)
    nbgrader(course, "generate_feedback", LESSON.folder)
    rows = {row.student: row for row in read_rows(folders, LESSON, {})}
    for student, points in (("ada", 90), ("bob", 0)):
        marks = rows[student].marks
        assert marks is not None
        assert marks.total == points
        record = read_record(folders.autograded(student, LESSON))
        assert record is not None
        assert record.isolation == "bubblewrap"
        page = folders.feedback(student, LESSON).read_text(encoding="utf-8")
        assert "isolation: bubblewrap" in page
        assert "(hidden tests ran here)" in page
        assert "integers" not in page
    table = tmp_path / "marks.csv"
    nbgrader(course, "export", "--to", str(table))
    assert f"{LESSON.folder},,,ada,,,,90.0,0.0,90.0,100.0" in table.read_text(encoding="utf-8")
