"""How `nbgrader autograde` reads submissions: nothing in a student's folder may stop the batch.

nbgrader reads notebooks strictly, copies every other file of a folder, following links, and stops
at a timestamp that is no date. It lets an exporter of ours in after it has found the submissions
and before it touches the first, so that is where its converter gets the careful parts below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.coursedir import CourseDirectory

from tito.course import CourseError, find_lesson
from tito.grading.class_folders import is_usable_name
from tito.grading.rebuild import read_submission
from tito.grading.submission_time import LONGEST, parsed_timestamp
from tito.lessons import notebook as nb

UNREADABLE = "tito_unreadable"
_TIMESTAMP = "timestamp.txt"


class SubmissionExporter(NotebookExporter):
    """Reads a submitted notebook; one that is none becomes an empty notebook that says why."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._converter: Any = self.parent
        if self._converter is not None:
            _take_over(self._converter)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[Any, Any]:
        """Convert a submitted notebook, or the rebuilt one in the second round."""
        if not self._converter._sanitizing:
            return super().from_filename(filename, resources, **options)
        try:
            notebook = read_submission(Path(filename))
        except CourseError as error:
            notebook = nb.new_notebook([])
            notebook["metadata"][UNREADABLE] = error.message
        node = nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
        made: tuple[Any, Any] = self.from_notebook_node(node, resources, **options)  # type: ignore[no-untyped-call]
        return made


class SubmittedDirectory(CourseDirectory):  # type: ignore[misc]
    """nbgrader's course folder, whose other files are ignored and whose timestamps are texts."""

    def get_existing_timestamp(self, dest_path: str) -> Any:
        """When a submission was handed in; None when that is not said, or not as a date."""
        text = read_timestamp(Path(dest_path))
        try:
            return parsed_timestamp(text or "")
        except ValueError as error:
            self.log.warning("%s/%s holds no date: %s", dest_path, _TIMESTAMP, error)
            return None


def read_timestamp(folder: Path) -> str | None:
    """The content of a folder's timestamp.txt; None when there is none of a reasonable size."""
    path = folder / _TIMESTAMP
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LONGEST:
        return None
    return path.read_bytes().decode("utf-8", errors="replace")


def keep_timestamp(assignment: str, student: str, notebooks: list[str]) -> None:
    """Put timestamp.txt beside a graded notebook; nbgrader copies no other file for us."""
    from tito.course import find_course
    from tito.grading.class_folders import find_class

    folders, lesson = find_class(find_course()), find_lesson(assignment)
    for notebook in notebooks:
        folder = Path(notebook).parent
        text = read_timestamp(folder)
        graded = folders.autograded(folder.parent.name, lesson).parent
        if text is not None and _is_date(text) and graded.is_dir():
            (graded / _TIMESTAMP).write_text(text, encoding="utf-8")


def _is_date(text: str) -> bool:
    try:
        return parsed_timestamp(text) is not None
    except ValueError:
        return False


def _take_over(converter: Any) -> None:
    """Give nbgrader's converter the submissions it can handle, and our way of reading them."""
    given = converter.coursedir
    careful = SubmittedDirectory(config=given.config, parent=given.parent)
    for name in given.trait_names(config=True):
        setattr(careful, name, getattr(given, name))
    careful.ignore = ["*", ".*"]
    converter.coursedir = careful
    lesson = find_lesson(careful.assignment_id)
    folders = [Path(folder) for folder in _submitted(converter)]
    converter.assignments = {str(each): [str(each / f"{lesson.name}.ipynb")] for each in folders}


def _submitted(converter: Any) -> list[str]:
    """The folders of all students who handed in and whose names nbgrader can handle."""
    course = converter.coursedir
    pattern = Path(course.format_path(course.submitted_directory, ".", "."))
    if course.student_id != "*":
        return list(converter.assignments)
    found: list[str] = []
    for place in sorted(pattern.resolve().iterdir()):
        folder = place / course.assignment_id
        if place.name.startswith(".") or not folder.is_dir():
            continue
        if is_usable_name(place.name):
            found.append(course.format_path(course.submitted_directory, place.name, folder.name))
        else:
            converter.log.error("nbgrader cannot handle the student's name %r", place.name)
    return found
