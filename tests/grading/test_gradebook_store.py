"""Storing marks: a resubmission, an end halfway, late work, and what nbgrader then finds."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbgrader.api import Gradebook
from nbgrader.utils import parse_utc

from tests.grading.graded_by_hand import graded
from tests.grading.small_course import LESSON, changed, class_of
from tito.course import Course, CourseError
from tito.grading import autograded_folder, gradebook
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.grading.gradebook import Marks
from tito.grading.late_penalties import late_penalty
from tito.grading.record import pending, read_record
from tito.grading.submission_time import parsed_timestamp
from tito.grading.table import read_rows
from tito.lessons import notebook as nb

ANSWER = "One wild sample moves the mean."


@pytest.fixture
def folders(course: Course) -> ClassFolders:
    return class_of(course)


@pytest.fixture
def book(folders: ClassFolders) -> Iterator[gradebook.Book]:
    with gradebook.opened(folders) as opened:
        yield opened


def answered(**changes: str) -> nb.Notebook:
    notebook = changed("question_why", ANSWER)
    for cell in notebook["cells"]:
        cell["source"] = changes.get(str(nb.grade_id(cell)), cell["source"])
    return notebook


def marks_of(book: gradebook.Book, student: str = "ada") -> Marks:
    marks = gradebook.read_marks(book, LESSON, student)
    assert marks is not None
    return marks


def test_marks_and_folder_of_a_submission(folders: ClassFolders, book: gradebook.Book) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), "2026-03-01 12:00:00 UTC")
    marks = marks_of(book)
    assert (marks.auto, marks.auto_most, marks.manual, marks.total) == (90, 90, None, 90)
    folder = folders.autograded("ada", LESSON).parent
    assert sorted(each.name for each in folder.iterdir()) == ["profiling.ipynb", "timestamp.txt"]
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]
    record = read_record(folders.autograded("ada", LESSON))
    assert record is not None
    assert record.complete
    assert record.scores["test_pairs"] == 25
    assert gradebook.read_marks(book, LESSON, "grace") is None


def test_a_resubmission_leaves_no_mark_of_the_one_before(
    folders: ClassFolders, book: gradebook.Book
) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), "2026-03-01 12:00:00 UTC")
    gradebook.give_mark(book, LESSON, "ada", "question_why", 7, "Good.")
    gradebook.give_mark(book, LESSON, "ada", "test_pairs", 24, "")
    assert marks_of(book).total == 96
    broken = graded(answered(middle="middle = None", pairs="pairs = None"), "two")
    gradebook.store(folders, LESSON, "ada", broken, None)
    marks = marks_of(book)
    assert (marks.auto, marks.total) == (0, 7)  # the answer is word for word the same
    assert marks.manual is None  # and waits for a second look, as with nbgrader
    new_answer = graded(answered(question_why="It is slower."), "three")
    gradebook.store(folders, LESSON, "ada", new_answer, None)
    assert (marks_of(book).total, marks_of(book).manual) == (90, None)
    names = [each.name for each in folders.autograded("ada", LESSON).parent.iterdir()]
    assert names == ["profiling.ipynb"]


def test_the_same_submission_graded_again_keeps_every_manual_mark(
    folders: ClassFolders, book: gradebook.Book
) -> None:
    for _ in range(2):
        gradebook.store(folders, LESSON, "ada", graded(answered()), None)
        gradebook.give_mark(book, LESSON, "ada", "test_pairs", 24, "")
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    assert marks_of(book).total == 89


@pytest.mark.parametrize(
    "score", [math.nan, math.inf, -1.0, 20.5], ids=["nan", "infinite", "negative", "too_much"]
)
def test_a_score_that_a_test_cannot_give_is_refused(
    folders: ClassFolders, book: gradebook.Book, score: float
) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    forged = graded(answered(), "two", scores={"test_middle": score})
    with pytest.raises(CourseError, match="'test_middle' came to"):
        gradebook.store(folders, LESSON, "ada", forged, None)
    assert marks_of(book).total == 90
    assert read_record(folders.autograded("ada", LESSON)) is not None


def test_partial_points_are_stored(folders: ClassFolders, book: gradebook.Book) -> None:
    partial = graded(answered(), scores={"test_middle": 12.5})
    gradebook.store(folders, LESSON, "ada", partial, None)
    assert marks_of(book).tasks["middle"].points == 12.5 + 15


@pytest.mark.parametrize("step", ["rename", "rmtree"])
def test_a_grader_that_dies_before_the_folder_is_there_is_mended(
    folders: ClassFolders, book: gradebook.Book, step: str
) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    child = os.fork()
    if child == 0:  # the marks are stored, the folder is not in its place
        target = Path if step == "rename" else autograded_folder.shutil
        setattr(target, step, lambda *_: os._exit(9))
        gradebook.store(folders, LESSON, "ada", graded(answered(pairs="pairs = None"), "2"), None)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    if step == "rename":
        assert marks_of(book).total == 35
        assert read_rows(folders, LESSON, {}) == []  # nothing is in submitted/
        assert read_record(folders.autograded("ada", LESSON)) is None
        assert pending(folders.autograded("ada", LESSON).parent).is_dir()
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    record = read_record(folders.autograded("ada", LESSON))
    assert record is not None
    assert (record.content, marks_of(book).total) == ("one", 90)
    assert [each.name for each in folders.autograded("ada", LESSON).parent.parent.iterdir()] == [
        LESSON.folder
    ]


def test_a_gradebook_that_refuses_leaves_marks_and_folder_as_they_were(
    folders: ClassFolders, book: gradebook.Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)

    def refuse(*_: object) -> None:
        raise CourseError("No room.")

    monkeypatch.setattr(gradebook, "save_penalty", refuse)
    with pytest.raises(CourseError, match="No room"):
        gradebook.store(folders, LESSON, "ada", graded(answered(pairs="pairs = None"), "2"), None)
    assert marks_of(book).total == 90
    record = read_record(folders.autograded("ada", LESSON))
    assert record is not None
    assert record.content == "one"


def test_nbgrader_finds_what_was_stored(folders: ClassFolders, book: gradebook.Book) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), "2026-03-01 12:00:00 UTC")
    gradebook.give_mark(book, LESSON, "ada", "question_why", 7, "Good.")
    with Gradebook(folders.gradebook_url, COURSE_ID) as theirs:
        found = theirs.find_submission_notebook(LESSON.name, LESSON.folder, "ada")
        assert (found.score, found.max_score, found.needs_manual_grade) == (97, 100, False)
        remark = theirs.find_comment("question_why", LESSON.name, LESSON.folder, "ada")
        assert remark.comment == "Good."
        assert found.assignment.timestamp.isoformat() == "2026-03-01T12:00:00"


@pytest.mark.parametrize(("question", "points"), [("question_why", 11), ("question_x", 1)])
def test_a_mark_for_no_answer_or_of_too_much_is_refused(
    folders: ClassFolders, book: gradebook.Book, question: str, points: float
) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    with pytest.raises(CourseError, match=r"at most|no answer"):
        gradebook.give_mark(book, LESSON, "ada", question, points, "")


def test_cells_may_change_until_somebody_is_graded(
    folders: ClassFolders, book: gradebook.Book
) -> None:
    path = folders.course.source(LESSON)
    lesson = nb.read_notebook(path)
    shorter = {**lesson, "cells": [c for c in lesson["cells"] if nb.grade_id(c) != "test_middle"]}
    for notebook in (shorter, lesson):
        path.write_bytes(nb.to_bytes(notebook))
        gradebook.register(folders, LESSON)
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    gradebook.register(folders, LESSON)
    path.write_bytes(nb.to_bytes(shorter))
    with pytest.raises(CourseError, match="The cells test_middle of lesson"):
        gradebook.register(folders, LESSON)


PLUGIN = """
from nbgrader.plugins import BasePlugin

class HalfADay(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return None if student_id == "grace" else score * total_seconds_late / 86_400
"""


def late_class(folders: ClassFolders, plugin: str = PLUGIN, module: str = "late_half") -> None:
    root = folders.course.root
    (root / f"{module}.py").write_text(plugin, encoding="utf-8")
    config = root / "nbgrader_config.py"
    before = config.read_text(encoding="utf-8") if config.is_file() else "c = get_config()\n"
    chosen = f'c.AssignLatePenalties.plugin_class = "{module}.HalfADay"\n'
    config.write_text(f"{before}\n{chosen}", encoding="utf-8")
    with Gradebook(folders.gradebook_url, COURSE_ID) as theirs:
        theirs.update_or_create_assignment(LESSON.folder, duedate="2026-03-01 00:00:00 UTC")


def test_a_plugin_of_nbgraders_decides_what_being_late_costs(
    folders: ClassFolders, book: gradebook.Book
) -> None:
    late_class(folders)
    for student, moment in (("ada", "12:00:00"), ("grace", "12:00:00"), ("bob", "00:00:00")):
        gradebook.store(folders, LESSON, student, graded(answered()), f"2026-03-01 {moment} UTC")
    penalties = [marks_of(book, student).penalty for student in ("ada", "grace", "bob")]
    assert penalties == [45, 0, 0]
    with Gradebook(folders.gradebook_url, COURSE_ID) as theirs:
        theirs.grant_extension(LESSON.folder, "ada", hours=6)
    gradebook.store(folders, LESSON, "ada", graded(answered()), "2026-03-01 12:00:00 UTC")
    assert marks_of(book).penalty == 22.5
    gradebook.store(folders, LESSON, "ada", graded(answered()), "2026-03-09 12:00:00 UTC")
    assert marks_of(book).penalty == 90  # never more than was earned


def test_a_plugin_that_fails_is_named_and_stores_nothing(
    folders: ClassFolders, book: gradebook.Book
) -> None:
    late_class(folders, PLUGIN.replace("86_400", "0"), "late_failing")
    with pytest.raises(CourseError, match="ZeroDivisionError") as caught:
        gradebook.store(folders, LESSON, "ada", graded(answered()), "2026-03-01 12:00:00 UTC")
    assert "AssignLatePenalties.plugin_class" in caught.value.fix
    assert gradebook.read_marks(book, LESSON, "ada") is None


def test_without_a_plugin_nothing_is_taken_off(tmp_path: Path) -> None:
    assert late_penalty(tmp_path, "ada", 50, 3600) is None


def test_a_timestamp_that_is_no_date_is_noted(folders: ClassFolders) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), "yesterday, I swear")
    record = read_record(folders.autograded("ada", LESSON))
    assert record is not None
    assert "timestamp.txt holds no date" in record.notes[-1]
    beside = folders.autograded("ada", LESSON).parent
    assert [each.name for each in beside.iterdir()] == ["profiling.ipynb"]
    page = nb.read_notebook(folders.autograded("ada", LESSON))["cells"][0]["source"]
    assert "timestamp.txt holds no date" in page


def test_a_graded_notebook_is_for_reading(folders: ClassFolders) -> None:
    gradebook.store(folders, LESSON, "ada", graded(answered()), None)
    mode = folders.autograded("ada", LESSON).stat().st_mode
    assert stat.S_IMODE(mode) == 0o444


MOMENTS = st.one_of(
    st.datetimes().map(str),
    st.builds(
        "{:%Y-%m-%d %H:%M:%S} {}".format,
        st.datetimes(),
        st.sampled_from(["UTC", "+0130", "-2", "EST", "Europe/Berlin", "Nowhere"]),
    ),
    st.text(max_size=30),
)


@pytest.mark.parametrize("zone", ["../../etc", "/etc/passwd", "/dev/zero", "~/x"])
def test_a_zone_is_a_name_and_no_path(zone: str) -> None:
    assert str(parsed_timestamp(f"2026-03-01 12:00:00 {zone}")) == "2026-03-01 12:00:00"


@given(text=MOMENTS)
def test_moments_are_read_as_nbgrader_reads_them(text: str) -> None:
    try:
        expected = parse_utc(text.strip()) if text.strip() else None
    except (ValueError, OverflowError, TypeError):
        with pytest.raises(ValueError):  # noqa: PT011 (dateutil says many things)
            parsed_timestamp(text)
    else:
        assert parsed_timestamp(text) == expected
