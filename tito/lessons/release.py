"""`tito release`: the student's notebook, made by nbgrader itself from the instructor's."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from tito.course import Course, CourseError, Lesson
from tito.lessons import nbgrader_settings as settings
from tito.lessons import notebook as nb
from tito.lessons.atomic import write_atomically
from tito.lessons.build import current_source, refuse_stray_files


def release(course: Course, lesson: Lesson) -> bool:
    """Write `release/NN_name/name.ipynb` from the instructor's notebook.

    Returns:
        Whether the file changed.

    Raises:
        CourseError: The instructor's notebook is missing or out of date, or nbgrader refused it.
    """
    refuse_stray_files(course, lesson)
    source = current_source(course, lesson)
    return write_atomically(course.release(lesson), released(source, lesson))


def released(source: bytes, lesson: Lesson) -> bytes:
    """Turn the instructor's notebook into the student's, without a gradebook.

    nbgrader's converter works on folders, so it gets a course of one lesson in a temporary one.

    Raises:
        CourseError: nbgrader refused the notebook; its log is in the message.
    """
    with tempfile.TemporaryDirectory(prefix="tito-release-") as name:
        root = Path(name)
        path = root / "source" / lesson.folder / f"{lesson.name}.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(source)
        _generate(root, lesson)
        made = root / "release" / lesson.folder / f"{lesson.name}.ipynb"
        return nb.to_bytes(nb.read_notebook(made, f"release/{lesson.folder}/{made.name}"))


class _Log(logging.Handler):
    """Keeps what nbgrader says, for the message of an error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


def _generate(root: Path, lesson: Lesson) -> None:
    from nbgrader.converters import GenerateAssignment
    from nbgrader.converters.base import NbGraderException
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.assignment_id = lesson.folder
    config.CourseDirectory.ignore = settings.IGNORED_FILES
    config.ClearSolutions.update(settings.clear_solutions_options())
    config.GenerateAssignment.no_database = True
    config.SaveCells.enabled = False  # the one preprocessor that writes to a gradebook
    converter = GenerateAssignment(coursedir=CourseDirectory(config=config), config=config)
    log = _Log()
    logger = logging.getLogger("tito.release")
    logger.propagate = False
    logger.handlers = [log]
    converter.log = logger
    try:
        converter.start()
    except (NbGraderException, SystemExit) as error:
        said = "\n".join(log.lines) or str(error)
        raise CourseError(
            f"nbgrader refused the notebook of lesson {lesson}:\n{said}",
            "Correct the lesson's text and run `tito build` again.",
        ) from error
