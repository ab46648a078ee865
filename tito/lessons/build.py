"""`tito build`: from a lesson's percent text to the instructor's notebook, one way."""

from __future__ import annotations

from typing import Any

from tito.course import Course, CourseError, Lesson
from tito.lessons import nbgrader_settings as settings
from tito.lessons import notebook as nb
from tito.lessons.atomic import write_atomically
from tito.lessons.roles import LessonCell, Role
from tito.lessons.rules import read_lesson


def build(course: Course, lesson: Lesson) -> bool:
    """Write `source/NN_name/name.ipynb`.

    Returns:
        Whether the file changed.

    Raises:
        CourseError: The text breaks a rule, or a file in source/ would leak answers.
    """
    refuse_stray_files(course, lesson)
    return write_atomically(course.source(lesson), built(course, lesson))


def built(course: Course, lesson: Lesson) -> bytes:
    """The notebook's bytes, made from the text without touching any file."""
    text = course.text(lesson)
    return nb.to_bytes(lesson_notebook(read_lesson(text, course.relative(text))))


def current_source(course: Course, lesson: Lesson) -> bytes:
    """The notebook file's bytes, once it is sure that it is what the text gives today.

    Raises:
        CourseError: It is missing or out of date.
    """
    path = course.source(lesson)
    fix = f"Run `tito build {lesson.number}` first."
    if not path.is_file():
        raise CourseError(f"{course.relative(path)} is missing.", fix)
    content = path.read_bytes()
    if content != built(course, lesson):
        text = course.relative(course.text(lesson))
        raise CourseError(f"{course.relative(path)} is older than {text}.", fix)
    return content


def refuse_stray_files(course: Course, lesson: Lesson) -> None:
    """Refuse Python files beside the notebook: nbgrader copies them to students.

    Raises:
        CourseError: There is one.
    """
    folder = course.source(lesson).parent
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else []:
        raise CourseError(
            f"{course.relative(path)} lies beside a notebook in source/: nbgrader would copy it "
            "into release/ with all its answers.",
            f"Move it to modules/{lesson.folder}/ or delete it.",
        )


def lesson_notebook(cells: list[LessonCell]) -> nb.Notebook:
    """Turn checked cells into a notebook; the same cells always give the same notebook."""
    wanted = [
        cell.grade_id or nb.content_id(cell.written.kind, cell.written.text) for cell in cells
    ]
    identities = nb.deduplicated(wanted)
    return nb.new_notebook(
        [
            nb.new_cell(cell.written.kind, cell.written.text, identity, _metadata(cell))
            for cell, identity in zip(cells, identities, strict=True)
        ]
    )


def _metadata(cell: LessonCell) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if cell.tags:
        metadata["tags"] = cell.tags
    if cell.grade_id is not None:
        metadata["nbgrader"] = nbgrader_metadata(cell)
    return metadata


def nbgrader_metadata(cell: LessonCell) -> dict[str, Any]:
    """All keys nbgrader wants for a cell, from its role."""
    metadata: dict[str, Any] = {
        "schema_version": settings.SCHEMA_VERSION,
        "grade_id": cell.grade_id,
        "grade": cell.role in (Role.TEST, Role.QUESTION),
        "solution": cell.role in (Role.SOLUTION, Role.QUESTION),
        "locked": cell.role in (Role.TEST, Role.READ_ONLY),
        "task": False,
        "cell_type": cell.written.kind,
    }
    if cell.points is not None:
        metadata["points"] = cell.points
    return metadata
