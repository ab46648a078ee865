"""`tito status`: which lessons are here, and how far each has come."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tito.course import LESSONS, Course, CourseError, Layout, Lesson
from tito.lessons import nbgrader_settings as settings
from tito.lessons import notebook as nb
from tito.lessons.roles import visible_text
from tito.lessons.stub import unfinished

MISSING, HERE, CURRENT, STALE = "-", "here", "up to date", "out of date"
_STYLES = {CURRENT: "green", STALE: "yellow", MISSING: "dim"}


@dataclass(frozen=True)
class Progress:
    """One lesson's row: a state for each column."""

    lesson: Lesson
    columns: dict[str, str]
    problem: str = ""


def progress(course: Course) -> list[Progress]:
    """How far each lesson of the course has come."""
    of = _checkout_progress if course.layout is Layout.CHECKOUT else _student_progress
    rows = []
    for lesson in LESSONS:
        try:
            rows.append(Progress(lesson, of(course, lesson)))
        except CourseError as error:
            rows.append(Progress(lesson, {}, error.message))
    return rows


def _checkout_progress(course: Course, lesson: Lesson) -> dict[str, str]:
    if not course.text(lesson).is_file():
        return {"text": MISSING}
    from tito.lessons.build import built

    source = built(course, lesson)
    shown = course.relative(course.source(lesson))
    notebook = nb.parse_notebook(source.decode(), shown)
    return {
        "text": HERE,
        "built": _built(course, lesson, source),
        "released": _released(course, lesson, notebook),
        "exported": _exported(course, lesson, notebook, shown),
    }


def _student_progress(course: Course, lesson: Lesson) -> dict[str, str]:
    path = course.assignment(lesson)
    if not path.is_file():
        return {"notebook": MISSING}
    shown = course.relative(path)
    notebook = nb.read_notebook(path, shown)
    cells = [cell for cell in notebook["cells"] if nb.is_solution(cell)]
    written = [cell for cell in cells if not _is_unwritten(cell)]
    return {
        "notebook": HERE,
        "written": f"{len(written)} of {len(cells)} cells",
        "exported": _exported(course, lesson, notebook, shown),
    }


def _is_unwritten(cell: nb.Cell) -> bool:
    if cell["cell_type"] == "markdown":
        return settings.TEXT_STUB in cell["source"]
    return bool(unfinished(cell["source"]))


def _built(course: Course, lesson: Lesson, source: bytes) -> str:
    path = course.source(lesson)
    if not path.is_file():
        return MISSING
    return CURRENT if path.read_bytes() == source else STALE


def _released(course: Course, lesson: Lesson, source: nb.Notebook) -> str:
    path = course.release(lesson)
    if not path.is_file():
        return MISSING
    return CURRENT if is_release_of(nb.read_notebook(path), source) else STALE


def is_release_of(release: nb.Notebook, source: nb.Notebook) -> bool:
    """Whether a release shows what its source lets students see, cell by cell.

    Takes milliseconds, where making the release again with nbgrader takes seconds.
    """

    def told(cell: nb.Cell, text: str) -> tuple[str, str, object]:
        given = cell["metadata"].get("nbgrader", {})
        return str(cell.get("id")), text, (given.get("grade_id"), given.get("points"))

    wanted = [
        told(
            cell,
            visible_text(
                cell["source"],
                settings.CODE_STUB if cell["cell_type"] == "code" else settings.TEXT_STUB,
            ),
        )
        for cell in source["cells"]
    ]
    return [told(cell, cell["source"]) for cell in release["cells"]] == wanted


def _exported(course: Course, lesson: Lesson, notebook: nb.Notebook, shown: str) -> str:
    from tito.lessons.export import exported

    path = course.exported(lesson)
    if not path.is_file():
        return MISSING
    code = exported(notebook, lesson, shown).code
    return CURRENT if path.read_text(encoding="utf-8") == code else STALE


def show(course: Course, console: Console | None = None) -> None:
    """Print one row a lesson, and the next command to run."""
    rows = progress(course)
    if course.layout is Layout.CHECKOUT:
        columns = ["text", "built", "released", "exported"]
        advice = "To bring all up to date: tito build, tito export, tito release, tito audit."
    else:
        columns = ["notebook", "written", "exported"]
        advice = "Try a lesson's tests: tito check 14. Put it into the package: tito export 14."
    table = Table(title=f"Lessons in {course.root}", title_justify="left")
    for name in ("lesson", "difficulty", *columns):
        table.add_column(name, no_wrap=name in ("lesson", "difficulty"))
    for row in rows:
        difficulty = "open" if row.lesson.difficulty is None else f"{row.lesson.difficulty} of 5"
        states = [row.columns.get(name, MISSING) for name in columns]
        if row.problem:
            states = [row.problem.split("\n")[0], *[MISSING] * (len(columns) - 1)]
        cells = [Text(state, style=_STYLES.get(state, "")) for state in states]
        table.add_row(f"{row.lesson.number} {row.lesson.title}", difficulty, *cells)
    screen = console or Console()
    screen.print(table)
    screen.print(advice, highlight=False)
