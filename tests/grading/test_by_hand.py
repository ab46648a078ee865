"""nbgrader's own commands, run by hand in the course's folder, build the same walls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from tests.grading.small_course import LESSON, cell_of, class_of, hand_in, student_notebook
from tests.grading.test_gradebook_store import late_class
from tito.course import Course
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.grading.gradebook import Marks
from tito.grading.record import read_record
from tito.grading.table import Row, read_rows

CONFIG = Path(__file__).resolve().parents[2] / "nbgrader_config.py"
PROGRAM = str(Path(sys.executable).parent / "nbgrader")

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


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


@pytest.fixture
def folders(course: Course) -> ClassFolders:
    shutil.copy(CONFIG, course.root / CONFIG.name)
    # nbgrader puts the course's folder first on sys.path; there a checkout has its framework
    shutil.rmtree(course.root / "tinytorch")
    (course.root / "tinytorch").symlink_to(CONFIG.parent / "tinytorch")
    return class_of(course)


def rows(folders: ClassFolders) -> dict[str, Row]:
    return {row.student: row for row in read_rows(folders, LESSON, {})}


def marks(row: Row) -> Marks:
    assert row.marks is not None, row
    return row.marks


def test_autograde_feedback_and_export_by_hand(
    course: Course, folders: ClassFolders, tmp_path: Path
) -> None:
    skipping = student_notebook(solved=False)
    for cell in skipping["cells"]:
        cell["metadata"]["tags"] = ["skip-execution"]
    hand_in(folders, "ada", student_notebook())
    hand_in(folders, "bob", skipping)
    nbgrader(course, "autograde", LESSON.folder)
    nbgrader(course, "generate_feedback", LESSON.folder)
    found = rows(folders)
    for student, points in (("ada", 90), ("bob", 0)):
        assert marks(found[student]).total == points
        record = read_record(folders.autograded(student, LESSON))
        assert record is not None
        assert record.scores["test_pairs"] == (25 if points else 0)
        page = folders.feedback(student, LESSON).read_text(encoding="utf-8")
        assert f"isolation: {record.isolation}" in page
        assert "(hidden tests ran here)" in page
        assert "integers" not in page
    table = tmp_path / "marks.csv"
    nbgrader(course, "export", "--to", str(table))
    assert f"{LESSON.folder},,,ada,,,,90.0,0.0,90.0,100.0" in table.read_text(encoding="utf-8")


def odd_class(folders: ClassFolders, secret: Path) -> None:
    """Submissions of which plain nbgrader stops at one or the other."""
    copied = student_notebook()
    copied["cells"].append(dict(cell_of(copied, "test_middle")))
    newer = student_notebook()
    cell_of(newer, "middle")["metadata"]["nbgrader"]["schema_version"] = 99
    hand_in(folders, "a_copied", copied)
    hand_in(folders, "b_newer", newer)
    hand_in(folders, "c_not_json", b"{")
    hand_in(folders, "d_bytes", b"\xff\xfe\x00")
    folders.submitted("e_absent", LESSON).parent.mkdir(parents=True)
    link = folders.submitted("f_linked", LESSON)
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    hand_in(folders, "g_large", b" " * (21 << 20))
    beside = hand_in(folders, "h_files", student_notebook()).parent
    (beside / "timestamp.txt").write_text("no date at all", encoding="utf-8")
    (beside / "secret.txt").symlink_to(secret)
    (beside / "helpers").mkdir()
    (beside / "helpers" / "more.txt").write_text("mine", encoding="utf-8")
    os.mkfifo(beside / "pipe")
    hand_in(folders, "odd*name", student_notebook())
    hand_in(folders, "two\nlines", student_notebook())
    dated = hand_in(folders, "z_right", student_notebook()).parent
    (dated / "timestamp.txt").write_text("2026-03-01 12:00:00 UTC", encoding="utf-8")


def test_no_submission_stops_nbgraders_batch(
    course: Course, folders: ClassFolders, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the teacher's", encoding="utf-8")
    odd_class(folders, secret)
    said = nbgrader(course, "autograde", LESSON.folder, "--ConfinedExecute.isolation=process")
    assert "odd*name" in said
    assert "two\\nlines" in said
    found = rows(folders)
    totals = {name: row.marks.total for name, row in found.items() if row.marks}
    right = dict.fromkeys(["a_copied", "b_newer", "h_files", "z_right"], 90.0)
    nothing = dict.fromkeys(["c_not_json", "d_bytes", "e_absent", "f_linked", "g_large"], 0.0)
    assert totals == {**right, **nothing}
    assert "is not JSON" in found["c_not_json"].notes[0]
    assert "was not handed in" in found["e_absent"].notes[0]
    assert len(found["c_not_json"].notes) == 1
    beside = folders.autograded("h_files", LESSON).parent
    kept = sorted(str(each.relative_to(beside)) for each in beside.rglob("*"))
    assert kept == ["profiling.ipynb"]  # nbgrader would stop at a timestamp that is no date
    assert (folders.autograded("z_right", LESSON).parent / "timestamp.txt").is_file()
    assert "the teacher's" not in "".join(p.read_text() for p in beside.glob("*"))


def test_what_being_late_costs_by_hand(course: Course, folders: ClassFolders) -> None:
    late_class(folders, module="late_by_hand")
    folder = hand_in(folders, "ada", student_notebook()).parent
    (folder / "timestamp.txt").write_text("2026-03-01 12:00:00 UTC", encoding="utf-8")
    nbgrader(course, "autograde", LESSON.folder, "--ConfinedExecute.isolation=process")
    assert marks(rows(folders)["ada"]).penalty == 45


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader's own loose ends
def test_the_formgraders_button(
    course: Course, folders: ClassFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the button calls; and an earlier 90 that does not outlive the work it was for."""
    from nbgrader.apps.api import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    from tito.grading.nbgrader_options import configure

    monkeypatch.chdir(course.root)
    config = Config()
    configure(config, folders)
    config.ConfinedExecute.isolation = "process"
    button = NbGraderAPI(CourseDirectory(config=config), config=config)
    hand_in(folders, "ada", student_notebook())
    assert button.autograde(LESSON.folder, "ada")["success"]
    assert marks(rows(folders)["ada"]).total == 90
    hand_in(folders, "ada", b"{")
    assert button.autograde(LESSON.folder, "ada")["success"]
    assert marks(rows(folders)["ada"]).total == 0
    assert button.generate_feedback(LESSON.folder, "ada")["success"]
    with Gradebook(folders.gradebook_url, COURSE_ID) as theirs:
        assert theirs.find_submission(LESSON.folder, "ada").score == 0
    submissions = button.get_submissions(LESSON.folder)
    assert [each["student"] for each in submissions] == ["ada"]
