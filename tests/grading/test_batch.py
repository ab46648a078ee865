"""A class with every kind of submission: each gets its verdict, and none stops the batch."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.grading.small_course import (
    LESSON,
    cell_of,
    changed,
    class_of,
    hand_in,
    student_notebook,
)
from tito.course import Course, CourseError, Layout
from tito.grading import gradebook
from tito.grading.batch import Batch, GradeOptions, Tally, grade_batch
from tito.grading.class_folders import ClassFolders
from tito.grading.record import read_record
from tito.grading.sandbox.levels import Level
from tito.grading.table import Row, read_rows
from tito.lessons import notebook as nb

pytestmark = pytest.mark.sandbox

OPTIONS = GradeOptions(Level.NAMESPACES, cell_s=4.0)
QUICK = GradeOptions(Level.PROCESS, cell_s=20.0)
UNREADABLE = {
    "not_json": "not JSON",
    "not_text": "not UTF-8 text",
    "absent": "was not handed in",
    "linked": "is a link",
    "folder": "is a folder",
    "file": "is no folder",
    "huge": "has 500 MB",
}


@dataclass
class Graded:
    folders: ClassFolders
    batch: Batch
    rows: dict[str, Row]

    def total(self, student: str) -> float:
        marks = self.rows[student].marks
        assert marks is not None
        return marks.total

    def notes(self, student: str) -> str:
        return "\n".join(self.rows[student].notes)


def submissions() -> dict[str, nb.Notebook | bytes]:
    mangled = student_notebook()
    mangled["cells"].remove(cell_of(mangled, "test_pairs"))
    mangled["cells"].remove(cell_of(mangled, "middle"))
    mangled["cells"].append(dict(cell_of(mangled, "test_middle")))
    cell_of(mangled, "test_pairs__ordered")["metadata"]["nbgrader"]["schema_version"] = 1
    skipping = student_notebook(solved=False)
    for cell in skipping["cells"]:
        cell["metadata"]["tags"] = ["skip-execution"]
    return {
        "right": student_notebook(),
        "not_json": b"{",
        "not_text": b"\xff\xfe{}",
        "mangled": mangled,
        "skipping": skipping,
        "printing": changed("pairs__ordered", "print('x' * 100_000_000)"),
        "endless": changed("pairs__ordered", "while True:\n    pass"),
        "killer": changed("pairs__ordered", "import os\nos._exit(0)"),
    }


@pytest.fixture(scope="module")
def graded(built: Course, tmp_path_factory: pytest.TempPathFactory) -> Graded:
    root = tmp_path_factory.mktemp("class") / "course"
    shutil.copytree(built.root, root)
    folders = class_of(Course(root, Layout.CHECKOUT))
    for student, notebook in submissions().items():
        hand_in(folders, student, notebook)
    (folders.submitted("absent", LESSON).parent).mkdir(parents=True)
    hand_in(folders, "odd*name", student_notebook())
    link = folders.submitted("linked", LESSON)
    link.parent.mkdir(parents=True)
    link.symlink_to(folders.submitted("right", LESSON))
    folders.submitted("folder", LESSON).mkdir(parents=True)
    (folders.root / "submitted" / "file").mkdir()
    (folders.root / "submitted" / "file" / LESSON.folder).write_bytes(b"")
    huge = hand_in(folders, "huge", b"")
    with huge.open("wb") as file:
        file.truncate(500_000_000)
    batch = grade_batch(folders, LESSON, None, OPTIONS)
    rows = read_rows(folders, LESSON, batch.problems)
    return Graded(folders, batch, {row.student: row for row in rows})


def test_one_bad_submission_never_stops_the_batch(graded: Graded) -> None:
    assert sorted(graded.batch.graded) == sorted({*submissions(), *UNREADABLE})
    assert list(graded.batch.problems) == ["odd*name"]
    assert "nbgrader cannot handle" in graded.notes("odd*name")


def test_honest_work_gets_its_points(graded: Graded) -> None:
    marks = graded.rows["right"].marks
    assert marks is not None
    assert (marks.auto, marks.auto_most, marks.manual, marks.manual_most) == (90, 90, None, 10)
    assert {name: (task.points, task.most) for name, task in marks.tasks.items()} == {
        "middle": (35, 35),
        "pairs": (55, 55),
    }
    assert graded.rows["right"].notes == []


@pytest.mark.parametrize("student", UNREADABLE)
def test_what_cannot_be_read_earns_nothing_and_says_why(graded: Graded, student: str) -> None:
    assert graded.total(student) == 0
    assert UNREADABLE[student] in graded.notes(student)
    page = graded.folders.feedback(student, LESSON).read_text(encoding="utf-8")
    assert UNREADABLE[student] in page


def test_lost_and_copied_cells_are_reported_and_cost_what_they_held(graded: Graded) -> None:
    assert graded.total("mangled") == 55
    assert sorted(graded.rows["mangled"].notes) == [
        "a copy of the cell `test_middle` was left out",
        "the cell `middle` was missing",
        "the cell `test_pairs` was missing",
    ]


def test_metadata_of_the_students_decide_nothing(graded: Graded) -> None:
    assert graded.total("skipping") == 0


def test_what_a_cell_does_costs_only_its_own_tests(graded: Graded) -> None:
    for student in ("printing", "endless", "killer"):
        assert graded.total(student) == 60
    assert graded.notes("endless") == "cell `pairs__ordered` stopped after 4 s"
    assert graded.notes("killer") == "cell `pairs__ordered` ended the student's process"
    assert graded.folders.autograded("printing", LESSON).stat().st_size < 300_000


def test_feedback_says_what_hidden_tests_found_and_does_not_show_them(graded: Graded) -> None:
    for student in graded.batch.graded:
        page = graded.folders.feedback(student, LESSON).read_text(encoding="utf-8")
        assert "(hidden tests ran here)" in page
        assert "integers" not in page  # of `fresh("pairs").integers(...)`, which is hidden
    page = graded.folders.feedback("skipping", LESSON).read_text(encoding="utf-8")
    assert "NotImplementedError" in page


def test_every_mark_shows_its_isolation(graded: Graded) -> None:
    for student in graded.batch.graded:
        assert graded.rows[student].isolation == "namespaces"
        page = graded.folders.feedback(student, LESSON).read_text(encoding="utf-8")
        assert "isolation: namespaces" in page
        record = read_record(graded.folders.autograded(student, LESSON))
        assert record is not None
        assert record.complete


def test_what_is_up_to_date_is_not_run_again(graded: Graded) -> None:
    again = grade_batch(graded.folders, LESSON, ["right", "endless", "nobody"], OPTIONS)
    assert again.graded == []
    assert again.skipped == ["right", "endless"]
    assert "nothing was handed in" in again.problems["nobody"]


def total(folders: ClassFolders, student: str) -> float:
    with gradebook.opened(folders) as book:
        marks = gradebook.read_marks(book, LESSON, student)
    assert marks is not None
    return marks.total


def mark(folders: ClassFolders, student: str, cell: str, points: float) -> None:
    with gradebook.opened(folders) as book:
        gradebook.give_mark(book, LESSON, student, cell, points, "by hand")


def test_a_persons_marks_last_as_long_as_the_work_they_are_for(course: Course) -> None:
    folders = class_of(course)
    hand_in(folders, "ada", student_notebook())
    assert grade_batch(folders, LESSON, None, QUICK).graded == ["ada"]
    assert total(folders, "ada") == 90
    mark(folders, "ada", "question_why", 7)
    mark(folders, "ada", "test_pairs", 24)
    assert total(folders, "ada") == 96
    again = replace(QUICK, again=True)
    assert grade_batch(folders, LESSON, None, again).graded == ["ada"]
    assert total(folders, "ada") == 96
    # only code changed: the answer is word for word the same, so its mark stays for a second look
    hand_in(folders, "ada", changed("pairs", "import os\nos._exit(0)"))
    assert grade_batch(folders, LESSON, None, QUICK).graded == ["ada"]
    assert total(folders, "ada") == 35 + 7
    hand_in(folders, "ada", b"{")
    assert grade_batch(folders, LESSON, None, QUICK).graded == ["ada"]
    assert total(folders, "ada") == 0


def test_a_lesson_that_is_not_built_is_refused(course: Course) -> None:
    course.source(LESSON).unlink()
    with pytest.raises(CourseError, match="is missing") as caught:
        grade_batch(class_of(course), LESSON, None, QUICK)
    assert "tito build 14" in caught.value.fix


def test_marks_that_cannot_be_written_are_a_problem_of_that_student(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, told by the system while one student's notebook is written."""
    folders = class_of(course)
    for student in ("ada", "grace"):
        hand_in(folders, student, student_notebook())
    store = gradebook.store

    def full(where: ClassFolders, lesson: object, student: str, *about: Any) -> None:
        if student == "ada":
            raise CourseError("could not write: No space left on device", "")
        store(where, LESSON, student, *about)

    monkeypatch.setattr(gradebook, "store", full)
    batch = grade_batch(folders, LESSON, None, QUICK)
    assert batch.graded == ["grace"]
    assert "No space left" in batch.problems["ada"]
    assert read_record(folders.autograded("ada", LESSON)) is None
    monkeypatch.undo()
    assert grade_batch(folders, LESSON, None, QUICK).graded == ["ada"]


def test_a_half_written_grading_is_done_again(course: Course) -> None:
    """The notebook is there and its marks are not: the grader was killed between the two.

    The first grading also shows that a second one at the same time is refused.
    """
    folders = class_of(course)
    hand_in(folders, "ada", student_notebook())
    refused: list[str] = []

    def second(tally: Tally) -> None:
        with pytest.raises(CourseError, match="being graded already"):
            grade_batch(folders, LESSON, None, QUICK)
        refused.append("refused")

    grade_batch(folders, LESSON, None, QUICK, second)
    assert refused
    path = folders.autograded("ada", LESSON)
    os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["tito_grading"]["complete"] = False
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert read_rows(folders, LESSON, {})[0].notes == ["not graded yet"]
    assert grade_batch(folders, LESSON, None, QUICK).graded == ["ada"]
