"""Marks in nbgrader's own gradebook, written and read without importing nbgrader.

The tables are in `gradebook_schema`; the folder with the graded notebook changes together with the
marks (`autograded_folder`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from tito.course import CourseError, Lesson
from tito.grading.autograded_folder import replaced
from tito.grading.class_folders import ClassFolders
from tito.grading.gradebook_file import Book, opened
from tito.grading.gradebook_lesson import save_lesson
from tito.grading.gradebook_marks import Marks, TaskMarks, give_mark, read_marks, submitted_row
from tito.grading.gradebook_submission import (
    AutomaticMarks,
    Submission,
    automatic_marks,
    checksums,
    find_notebook,
    save_marks,
    save_penalty,
    save_submission,
)
from tito.grading.hidden_tests import Shown
from tito.grading.late_penalties import late_penalty
from tito.grading.record import add_note, record_in, seal
from tito.grading.submission_time import parsed_timestamp
from tito.lessons import notebook as nb

__all__ = [
    "Book",
    "Marks",
    "TaskMarks",
    "forget_automatic_marks",
    "give_mark",
    "make_feedback",
    "opened",
    "read_marks",
    "register",
    "store",
]

_TIMESTAMP = "timestamp.txt"


def register(folders: ClassFolders, lesson: Lesson) -> None:
    """Tell the gradebook of a lesson's cells and points.

    Raises:
        CourseError: Cells were added or removed after the first submission was graded.
    """
    notebook = nb.read_notebook(folders.course.source(lesson))
    with opened(folders) as book, book.writing() as connection:
        save_lesson(connection, lesson, notebook)


def store(
    folders: ClassFolders,
    lesson: Lesson,
    student: str,
    graded: nb.Notebook,
    timestamp: str | None,
) -> None:
    """Put the marks of a run into the gradebook and its notebook into autograded/.

    All marks change in one transaction, and the folder after it. Ended in between, the submission
    counts as not graded (`read_record`), and storing it again mends that.

    Args:
        folders: The class.
        lesson: The lesson.
        student: The student.
        graded: The notebook that ran, with its record.
        timestamp: The content of timestamp.txt; None when there is none.

    Raises:
        CourseError: The gradebook or the disk refused; the earlier marks are whole.
    """
    handed_in = _moment(graded, timestamp)
    seal(graded)
    record = record_in(graded)
    place = folders.autograded(student, lesson)
    with opened(folders) as book:
        with book.reading() as connection:
            _, notebook = find_notebook(connection, lesson)
            _enter_checksums(graded, checksums(connection, notebook))
        marks = automatic_marks(graded, record.scores if record else {})
        marks.kept = _answers_kept(folders, lesson, student, graded)
        files = {place.name: nb.to_bytes(graded)}
        if handed_in is not None and timestamp is not None:  # nbgrader stops at one that is no date
            files[_TIMESTAMP] = timestamp.encode()
        with replaced(place.parent, files), book.writing() as connection:
            submission = save_submission(connection, lesson, student, handed_in)
            score = save_marks(connection, submission, marks)
            penalty = late_penalty(folders.course.root, student, score, submission.seconds_late)
            save_penalty(connection, submission, penalty)


def forget_automatic_marks(folders: ClassFolders, lesson: Lesson, student: str) -> None:
    """Take back all that grading found out by itself, until it has done so anew."""
    with opened(folders) as book, book.writing() as connection:
        handed_in = submitted_row(connection, lesson, student)
        if handed_in is not None:
            kept_by_hand = AutomaticMarks(kept=None)
            save_marks(connection, Submission(handed_in, 0.0), kept_by_hand)


def make_feedback(
    folders: ClassFolders, lesson: Lesson, students: Iterable[str], shown: Shown | None = None
) -> None:
    """Write the pages with marks and comments into feedback/.

    Args:
        folders: The class.
        lesson: The lesson.
        students: Whose.
        shown: What they show of hidden tests; what nbgrader_config.py says when None.

    Raises:
        CourseError: A submission is not graded, or a page could not be written.
    """
    from tito.grading.feedback import FeedbackPages  # imports nbconvert, which takes two seconds

    with opened(folders) as book:
        pages = FeedbackPages(folders, lesson, book, shown)
        for student in students:
            pages.write(student)


def _moment(graded: nb.Notebook, timestamp: str | None) -> datetime | None:
    """When it was handed in; a text that is no date is noted and counts as none."""
    try:
        return parsed_timestamp(timestamp or "")
    except ValueError as error:
        add_note(graded, f"timestamp.txt holds no date ({error}), so it cannot be called late")
        return None


def _enter_checksums(graded: nb.Notebook, known: dict[str, str | None]) -> None:
    """Give cells the checksum of the text that was given out, as nbgrader does."""
    for cell in graded["cells"]:
        identity = nb.grade_id(cell)
        if identity in known and identity is not None:
            cell["metadata"]["nbgrader"]["checksum"] = known[identity]


def _answers_kept(
    folders: ClassFolders, lesson: Lesson, student: str, graded: nb.Notebook
) -> set[str] | None:
    """The written answers that a resubmission left word for word as they were.

    None when nothing changed at all: then every manual mark stays.
    """
    try:
        before = nb.read_notebook(folders.autograded(student, lesson))
    except CourseError:
        return set()
    earlier, now = record_in(before), record_in(graded)
    if earlier and now and now.content and earlier.content == now.content:
        return None
    old = {nb.grade_id(cell): cell["source"] for cell in before["cells"]}
    return {
        identity
        for cell in graded["cells"]
        if (identity := nb.grade_id(cell)) is not None
        and cell["cell_type"] == "markdown"
        and old.get(identity) == cell["source"]
    }
