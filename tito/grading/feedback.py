"""Feedback pages, many in one process: what `nbgrader generate_feedback` makes, one by one."""

from __future__ import annotations

from functools import cache
from typing import Any

import nbformat
from nbformat.v4.rwbase import rejoin_lines

from tito.course import CourseError, Lesson
from tito.grading.class_folders import ClassFolders
from tito.grading.feedback_exporter import FeedbackExporter
from tito.grading.gradebook_file import Book
from tito.grading.gradebook_marks import PageMarks, read_page_marks
from tito.grading.hidden_tests import Shown, hide_tests
from tito.grading.nbgrader_options import read_config
from tito.grading.safe_outputs import make_safe
from tito.lessons import notebook as nb
from tito.lessons.atomic import write_atomically

_TIMESTAMP = "timestamp.txt"


class FeedbackPages:
    """Writes the pages of a lesson.

    Args:
        folders: The class.
        lesson: The lesson.
        book: Its gradebook.
        shown: What the pages show of hidden tests; what nbgrader_config.py says when None.
    """

    def __init__(
        self, folders: ClassFolders, lesson: Lesson, book: Book, shown: Shown | None = None
    ) -> None:
        self._folders = folders
        self._lesson = lesson
        self._book = book
        self._shown = configured(folders) if shown is None else shown
        self._exporter = _exporter()

    def write(self, student: str) -> None:
        """Write one student's page.

        Raises:
            CourseError: The submission is not graded, or the page could not be written.
        """
        marks = read_page_marks(self._book, self._lesson, student)
        graded = self._folders.autograded(student, self._lesson)
        if marks is None or not graded.is_file():
            raise CourseError(
                f"Lesson {self._lesson} of {student!r} is not graded.",
                f"Run `tito grade {self._lesson.number} --students {student}`.",
            )
        page = self._folders.feedback(student, self._lesson)
        write_atomically(page, self._page(nb.read_notebook(graded), marks, student))
        stamp = graded.with_name(_TIMESTAMP)
        if stamp.is_file():
            write_atomically(page.with_name(_TIMESTAMP), stamp.read_bytes())

    def _page(self, notebook: nb.Notebook, marks: PageMarks, student: str) -> str:
        make_safe(notebook)
        for cell in notebook["cells"]:
            _enter_marks(cell, marks)
            hide_tests(cell, self._shown)
        resources: dict[str, Any] = {
            "unique_key": self._lesson.name,
            "nbgrader": {
                "student": student,
                "assignment": self._lesson.folder,
                "notebook": self._lesson.name,
                "score": marks.total - marks.penalty,
                "max_score": marks.most,
                "late_penalty": marks.penalty,
            },
        }
        node = rejoin_lines(nbformat.from_dict(notebook))  # type: ignore[no-untyped-call]
        page, _ = self._exporter.from_notebook_node(node, resources)
        return str(page)


@cache  # compiling the template costs as much as a page
def _exporter() -> Any:
    return FeedbackExporter()


def configured(folders: ClassFolders) -> Shown:
    """What nbgrader_config.py wants pages to show of hidden tests: `c.HideTests.shown`.

    Raises:
        CourseError: It is none of the words known.
    """
    wanted = read_config(folders.course.root).get("HideTests", {}).get("shown", Shown.MESSAGES)
    try:
        return Shown(wanted)
    except ValueError as error:
        raise CourseError(
            f"c.HideTests.shown is {wanted!r} in nbgrader_config.py.",
            f"Write one of {', '.join(repr(each.value) for each in Shown)}.",
        ) from error


def _enter_marks(cell: nb.Cell, marks: PageMarks) -> None:
    """Put marks and comment into a cell's metadata, where nbgrader's template looks for them."""
    identity, given = nb.grade_id(cell), cell["metadata"].get("nbgrader", {})
    if identity is None:
        return
    if nb.is_solution(cell) or given.get("task") is True:
        given["comment"] = marks.comments.get(identity)
    if (given.get("grade") is True or given.get("task") is True) and identity in marks.scores:
        given["score"], given["points"] = marks.scores[identity]
