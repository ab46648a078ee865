"""Marks in nbgrader's own gradebook: written through nbgrader, read for the table."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from traitlets.config import Config

from tito.course import CourseError, Lesson
from tito.grading import nbgrader_options
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.lessons.roles import Role, task_of


@dataclass
class TaskMarks:
    """A task's points, out of those its tests give."""

    points: float = 0.0
    most: float = 0.0


@dataclass
class Marks:
    """One student's marks for one lesson.

    `manual` is None while a written answer waits for a person.
    """

    auto: float = 0.0
    auto_most: float = 0.0
    manual: float | None = 0.0
    manual_most: float = 0.0
    total: float = 0.0
    tasks: dict[str, TaskMarks] = field(default_factory=dict)


@contextmanager
def opened(folders: ClassFolders) -> Iterator[Any]:
    """The class's gradebook, made when it does not exist.

    Raises:
        CourseError: The database cannot be opened, read or written.
    """
    folders.make()
    nbgrader_options.find_alembic()
    try:
        with Gradebook(folders.gradebook_url, COURSE_ID) as book:
            yield book
    except SQLAlchemyError as error:
        raise CourseError(
            f"The gradebook {folders.gradebook_url} does not work: {error}.",
            "Check that its folder can be written, the disk has room, and nobody else holds it.",
        ) from error


def register(folders: ClassFolders, lesson: Lesson) -> None:
    """Tell the gradebook of a lesson's cells and points.

    Raises:
        CourseError: nbgrader refused; it does so when cells were added or removed after the first
            submission was graded.
    """
    with opened(folders), tempfile.TemporaryDirectory(prefix="tito-register-") as unused:
        config = _config(folders, lesson)
        config.CourseDirectory.release_directory = unused
        config.GenerateAssignment.force = True
        _run(GenerateAssignment, config, f"the notebook of lesson {lesson}")


def store(folders: ClassFolders, lesson: Lesson, student: str, ran: Path) -> None:
    """Put the marks of a run into the gradebook and its notebook into autograded/.

    Args:
        folders: The class.
        lesson: The lesson.
        student: The student.
        ran: A folder laid out as submitted/, with the notebook that ran.

    Raises:
        CourseError: nbgrader could not store them.
    """
    config = _config(folders, lesson)
    config.CourseDirectory.student_id = student
    config.CourseDirectory.submitted_directory = str(ran)
    config.Autograde.force = True
    config.Autograde.sanitize_preprocessors = nbgrader_options.SANITIZE_RUN
    config.Autograde.autograde_preprocessors = nbgrader_options.AUTOGRADE_RUN
    config.Autograde.pre_convert_hook = None
    _run(Autograde, config, f"the marks of {student}")


def make_feedback(folders: ClassFolders, lesson: Lesson, student: str) -> None:
    """Write the page with marks and comments into feedback/.

    Raises:
        CourseError: nbgrader could not write it.
    """
    config = _config(folders, lesson)
    config.CourseDirectory.student_id = student
    config.GenerateFeedback.force = True
    _run(GenerateFeedback, config, f"the feedback of {student}")


def forget_manual_marks(book: Any, lesson: Lesson, student: str, answers_kept: set[str]) -> None:
    """Drop marks that a person gave to an earlier submission.

    Args:
        book: The gradebook.
        lesson: The lesson.
        student: The student.
        answers_kept: The grade_ids of written answers that are word for word the same.
    """
    try:
        submission = book.find_submission_notebook(lesson.name, lesson.folder, student)
    except MissingEntry:
        return
    for grade in submission.grades:
        if grade.name not in answers_kept:
            grade.manual_score = None
            grade.extra_credit = None
    book.db.commit()


def give_mark(
    book: Any, lesson: Lesson, student: str, question: str, points: float, comment: str
) -> None:
    """Mark a written answer by hand, as the formgrader does.

    Raises:
        CourseError: There is no such answer, or the points exceed the most it can earn.
    """
    try:
        grade = book.find_grade(question, lesson.name, lesson.folder, student)
        remark = book.find_comment(question, lesson.name, lesson.folder, student)
    except MissingEntry as error:
        raise CourseError(
            f"The gradebook has no answer {question!r} of {student!r} to mark.",
            "Grade the submission first, and check the question's grade_id.",
        ) from error
    if not 0 <= points <= grade.max_score:
        raise CourseError(
            f"{points:g} points for {question!r} of {student!r}, but it earns at most "
            f"{grade.max_score:g} and at least 0.",
            "Give a number in this range.",
        )
    grade.manual_score = points
    grade.needs_manual_grade = False
    remark.manual_comment = comment
    book.db.commit()


def read_marks(book: Any, lesson: Lesson, student: str) -> Marks | None:
    """A student's marks; None when the gradebook has none."""
    try:
        submission = book.find_submission_notebook(lesson.name, lesson.folder, student)
    except MissingEntry:
        return None
    marks = Marks()
    for grade in submission.grades:
        if grade.cell_type == "code":
            marks.auto += grade.score
            marks.auto_most += grade.max_score
            task = marks.tasks.setdefault(task_of(grade.name, Role.TEST), TaskMarks())
            task.points += grade.score
            task.most += grade.max_score
        else:
            marks.manual_most += grade.max_score
            waits = grade.needs_manual_grade or marks.manual is None
            marks.manual = None if waits else (marks.manual or 0.0) + grade.score
        marks.total += grade.score
    return marks


class _Log(logging.Handler):
    """Keeps what nbgrader says, for the message of an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


def _config(folders: ClassFolders, lesson: Lesson) -> Config:
    config = Config()
    nbgrader_options.configure(config, folders)
    config.CourseDirectory.assignment_id = lesson.folder
    return config


def _run(converter_class: Any, config: Config, what: str) -> None:
    """Run one of nbgrader's converters; its log goes into the message when it fails."""
    converter = converter_class(coursedir=CourseDirectory(config=config), config=config)
    log = _Log()
    logger = logging.Logger("tito.grading")
    logger.addHandler(log)
    converter.log = logger
    converter.coursedir.log = logger
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # nbgrader's own loose ends
            converter.start()
    except (NbGraderException, SystemExit) as error:
        said = "\n".join(log.lines[-12:]) or str(error)
        raise CourseError(
            f"nbgrader could not store {what}:\n{said}",
            "The lines above say why; nothing of an earlier grading was lost.",
        ) from error
