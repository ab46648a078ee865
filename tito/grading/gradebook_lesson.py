"""A lesson's cells and points in the gradebook, as `nbgrader generate_assignment` enters them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from tito.course import CourseError, Lesson
from tito.grading import gradebook_schema as schema
from tito.grading.class_folders import COURSE_ID
from tito.grading.nbgrader_points import worth
from tito.lessons import notebook as nb
from tito.lessons.nbgrader_settings import CODE_STUB, TEXT_STUB
from tito.lessons.roles import visible_text

Row = dict[str, Any]

_OF_TYPE: dict[str, Table] = {
    schema.GRADE_CELL: schema.grade_cells,
    schema.SOLUTION_CELL: schema.solution_cells,
    schema.TASK_CELL: schema.task_cells,
}


@dataclass
class LessonCells:
    """What the gradebook knows of a lesson.

    Attributes:
        typed: By type and grade_id, the row of its type without the identity.
        sources: By grade_id, the row of `source_cell` without the identity.
    """

    typed: dict[tuple[str, str], Row] = field(default_factory=dict)
    sources: dict[str, Row] = field(default_factory=dict)


def lesson_cells(lesson: nb.Notebook) -> LessonCells:
    """Read an instructor's notebook as nbgrader does."""
    found = LessonCells()
    for cell in lesson["cells"]:
        identity, given = nb.grade_id(cell), cell["metadata"].get("nbgrader", {})
        if identity is None:
            continue
        graded, solution, task = (given.get(key) is True for key in ("grade", "solution", "task"))
        if graded:
            found.typed[schema.GRADE_CELL, identity] = _graded(cell)
        if solution:
            found.typed[schema.SOLUTION_CELL, identity] = {}
        if task:
            found.typed[schema.TASK_CELL, identity] = _graded(cell)
        locked = not solution and (graded or given.get("locked") is True)
        if graded or solution or locked or task:
            found.sources[identity] = _source(cell, solution, locked, task)
    return found


def save_lesson(connection: Connection, lesson: Lesson, notebook: nb.Notebook) -> None:
    """Enter a lesson's cells, or bring them up to date.

    Raises:
        CourseError: Cells were added or removed after the first submission was graded.
    """
    cells = lesson_cells(notebook)
    row = _notebook_row(connection, lesson, notebook)
    known = _known_typed(connection, row)
    sources = _known_sources(connection, row)
    gone = [key for key in known if key not in cells.typed]
    added = [key for key in cells.typed if key not in known]
    lost = [name for name in sources if name not in cells.sources]
    if (gone or added or lost or cells.sources.keys() - sources) and _is_graded(connection, row):
        names = sorted({name for _, name in gone + added} | cells.sources.keys() ^ sources.keys())
        raise CourseError(
            f"The cells {', '.join(names)} of lesson {lesson} were added or removed, and there are "
            "graded submissions already; their marks name the cells.",
            "Give the cells their earlier grade_ids, or start a new gradebook.",
        )
    for kind, name in gone:
        _forget_cell(connection, kind, known[kind, name])
    for name in lost:
        connection.execute(
            delete(schema.source_cell).where(schema.source_cell.c.id == sources[name])
        )
    _save_typed(connection, row, cells, known)
    _save_sources(connection, row, cells, sources)


def _graded(cell: nb.Cell) -> Row:
    return {"max_score": worth(cell), "cell_type": cell["cell_type"]}


def _source(cell: nb.Cell, solution: bool, locked: bool, task: bool) -> Row:
    """The row of `source_cell`: the text as given out, but with hidden tests."""
    given = dict(cell)
    if solution:
        stub = CODE_STUB if cell["cell_type"] == "code" else TEXT_STUB
        given["source"] = visible_text(cell["source"], stub)
    summed = not task or locked
    return {
        "cell_type": cell["cell_type"],
        "locked": locked,
        "source": given["source"],
        "checksum": nb.checksum(given) if summed else None,
    }


def _notebook_row(connection: Connection, lesson: Lesson, notebook: nb.Notebook) -> str:
    """The lesson's notebook in the gradebook; made when it is new."""
    assignment, known = schema.assignment, schema.notebook
    owner = connection.scalar(select(assignment.c.id).where(assignment.c.name == lesson.folder))
    if owner is None:
        owner = schema.new_id()
        values = {"id": owner, "name": lesson.folder, "course_id": COURSE_ID}
        connection.execute(insert(assignment).values(values))
    kernel = json.dumps(notebook["metadata"].get("kernelspec", {}))
    row = connection.scalar(
        select(known.c.id).where(known.c.name == lesson.name, known.c.assignment_id == owner)
    )
    if row is not None:
        connection.execute(update(known).where(known.c.id == row).values(kernelspec=kernel))
        return str(row)
    row = schema.new_id()
    values = {"id": row, "name": lesson.name, "assignment_id": owner, "kernelspec": kernel}
    connection.execute(insert(known).values(values))
    return row


def _is_graded(connection: Connection, notebook: str) -> bool:
    table = schema.submitted_notebook
    return connection.scalar(select(table.c.id).where(table.c.notebook_id == notebook)) is not None


def _known_typed(connection: Connection, notebook: str) -> dict[tuple[str, str], str]:
    table = schema.base_cell
    rows = connection.execute(
        select(table.c.type, table.c.name, table.c.id).where(table.c.notebook_id == notebook)
    )
    return {(kind, name): identity for kind, name, identity in rows}


def _known_sources(connection: Connection, notebook: str) -> dict[str, str]:
    table = schema.source_cell
    rows = connection.execute(
        select(table.c.name, table.c.id).where(table.c.notebook_id == notebook)
    )
    return {row.name: row.id for row in rows}


def _forget_cell(connection: Connection, kind: str, identity: str) -> None:
    for table in (_OF_TYPE[kind], schema.base_cell):
        connection.execute(delete(table).where(table.c.id == identity))


def _save_typed(
    connection: Connection, notebook: str, cells: LessonCells, known: dict[tuple[str, str], str]
) -> None:
    for (kind, name), values in cells.typed.items():
        table = _OF_TYPE[kind]
        identity = known.get((kind, name))
        if identity is not None and values:
            connection.execute(update(table).where(table.c.id == identity).values(values))
        elif identity is None:
            identity = schema.new_id()
            base = {"id": identity, "name": name, "notebook_id": notebook, "type": kind}
            connection.execute(insert(schema.base_cell).values(base))
            connection.execute(insert(table).values({"id": identity, **values}))


def _save_sources(
    connection: Connection, notebook: str, cells: LessonCells, known: dict[str, str]
) -> None:
    table = schema.source_cell
    for name, values in cells.sources.items():
        identity = known.get(name)
        if identity is not None:
            connection.execute(update(table).where(table.c.id == identity).values(values))
        else:
            base = {"id": schema.new_id(), "name": name, "notebook_id": notebook}
            connection.execute(insert(table).values({**base, **values}))
