"""Which graded cells a student's notebook must still have: those it was given with."""

from __future__ import annotations

import json

from tito.course import Course, CourseError, Layout, Lesson
from tito.lessons import notebook as nb

CELLS_FILE = "assignments/cells.json"


def expected_ids(course: Course, lesson: Lesson) -> list[str]:
    """The grade_ids the lesson was given out with; empty when no record of it is here.

    Raises:
        CourseError: The record is damaged.
    """
    if course.layout is Layout.CHECKOUT:
        source = course.source(lesson)
        if not source.is_file():
            return []
        return graded_ids(nb.read_notebook(source, course.relative(source)))
    record = course.root / CELLS_FILE
    try:
        given = json.loads(record.read_text(encoding="utf-8"))
        return [str(identity) for identity in given.get(lesson.folder, [])]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise CourseError(
            f"{CELLS_FILE} cannot be read: {error}.", "Copy it from the folder you were given."
        ) from error


def graded_ids(notebook: nb.Notebook) -> list[str]:
    """The ids of the cells that earn points or hold a solution, in order."""
    found = []
    for cell in notebook["cells"]:
        identity = nb.grade_id(cell)
        if identity is not None and (nb.is_solution(cell) or nb.is_test(cell)):
            found.append(identity)
    return found
