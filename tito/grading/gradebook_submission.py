"""One submission's rows in the gradebook, as `nbgrader autograde` enters them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from tito.course import CourseError, Lesson
from tito.grading import gradebook_schema as schema
from tito.grading.nbgrader_points import NO_RESPONSE, automatic_points, is_untouched, worth
from tito.lessons import notebook as nb

Row = dict[str, Any]


@dataclass
class AutomaticMarks:
    """What grading found out by itself.

    Attributes:
        scores: By grade_id, the points; None where a person has to decide.
        comments: By grade_id of a solution or task, the remark, if any.
        kept: The graded cells whose manual marks stay, or None when all stay.
    """

    scores: dict[str, float | None] = field(default_factory=dict)
    comments: dict[str, str | None] = field(default_factory=dict)
    kept: set[str] | None = None


def automatic_marks(graded: nb.Notebook, scores: dict[str, float]) -> AutomaticMarks:
    """Read the marks out of a notebook that ran.

    Args:
        graded: The notebook; its cells carry the checksums of the text that was given out.
        scores: The points of tests by the judge's verdicts; the outputs decide on other tests.

    Raises:
        CourseError: A score is no number that the cell can earn.
    """
    marks = AutomaticMarks()
    for cell in graded["cells"]:
        identity, given = nb.grade_id(cell), cell["metadata"].get("nbgrader", {})
        if identity is None:
            continue
        if given.get("grade") is True:
            points = scores.get(identity, automatic_points(cell))
            marks.scores[identity] = _checked(identity, points, worth(cell))
        if nb.is_solution(cell) or given.get("task") is True:
            untouched = nb.is_solution(cell) and is_untouched(cell)
            marks.comments[identity] = NO_RESPONSE if untouched else None
    return marks


def find_notebook(connection: Connection, lesson: Lesson) -> tuple[str, str]:
    """The identities of a lesson's assignment and of its notebook.

    Raises:
        CourseError: The gradebook does not know the lesson.
    """
    owner, table = schema.assignment, schema.notebook
    found = connection.execute(
        select(owner.c.id, table.c.id)
        .join(table, table.c.assignment_id == owner.c.id)
        .where(owner.c.name == lesson.folder, table.c.name == lesson.name)
    ).first()
    if found is None:
        raise CourseError(
            f"The gradebook does not know lesson {lesson}.",
            f"Run `tito grade {lesson.number}`, which enters it.",
        )
    return str(found[0]), str(found[1])


def checksums(connection: Connection, notebook: str) -> dict[str, str | None]:
    """By grade_id, the checksum of the text that was given out."""
    table = schema.source_cell
    rows = connection.execute(
        select(table.c.name, table.c.checksum).where(table.c.notebook_id == notebook)
    )
    return {row.name: row.checksum for row in rows}


@dataclass(frozen=True)
class Submission:
    """A submission's identity in the gradebook, and how late it is.

    Attributes:
        notebook: The identity of its row in `submitted_notebook`.
        seconds_late: Against the due date and the student's extension; 0 without a due date.
    """

    notebook: str
    seconds_late: float


def save_submission(
    connection: Connection, lesson: Lesson, student: str, timestamp: datetime | None
) -> Submission:
    """Enter a student and a submission, with a row for each mark and comment it can have."""
    assignment, notebook = find_notebook(connection, lesson)
    if connection.scalar(select(schema.student.c.id).where(schema.student.c.id == student)) is None:
        connection.execute(insert(schema.student).values(id=student))
    keys = {"assignment_id": assignment, "student_id": student}
    submission = _row(connection, schema.submitted_assignment, keys, {})
    table = schema.submitted_assignment
    connection.execute(update(table).where(table.c.id == submission).values(timestamp=timestamp))
    keys = {"notebook_id": notebook, "assignment_id": submission}
    handed_in = _row(connection, schema.submitted_notebook, keys, {"flagged": False})
    _add_missing(connection, notebook, handed_in)
    return Submission(handed_in, _seconds_late(connection, submission))


def save_marks(connection: Connection, submission: Submission, marks: AutomaticMarks) -> float:
    """Replace all automatic marks and remarks; drop manual marks of work that is gone.

    Returns:
        The sum of the submission's marks, without a penalty.
    """
    grades = _by_name(connection, schema.grade, submission)
    changes = []
    for name, row in grades.items():
        stays = marks.kept is None or name in marks.kept
        manual = row["manual_score"] if stays else None
        score = marks.scores.get(name)
        changes.append(
            {
                "row": row["id"],
                "auto_score": score,
                "manual_score": manual,
                "extra_credit": row["extra_credit"] if stays else None,
                "needs_manual_grade": manual is not None or score is None,
            }
        )
    _update_all(connection, schema.grade, changes)
    comments = _by_name(connection, schema.comment, submission)
    remarks = [
        {"row": row["id"], "auto_comment": marks.comments.get(name)}
        for name, row in comments.items()
    ]
    _update_all(connection, schema.comment, remarks)
    return sum(score_of(change) for change in changes)


def save_penalty(connection: Connection, submission: Submission, penalty: float | None) -> None:
    """Store what being late costs."""
    table = schema.submitted_notebook
    connection.execute(
        update(table)
        .where(table.c.id == submission.notebook)
        .values(late_submission_penalty=penalty)
    )


def score_of(row: Row) -> float:
    """A grade's score: a person's mark before the automatic one, and extra credit."""
    own = row["manual_score"] if row["manual_score"] is not None else row["auto_score"]
    return 0.0 if own is None else float(own) + float(row["extra_credit"] or 0.0)


def _checked(identity: str, points: float | None, most: float) -> float | None:
    if points is not None and not 0 <= points <= most:  # also refuses what is no number
        raise CourseError(
            f"The test {identity!r} came to {points} points; it gives 0 to {most:g}.",
            "Nothing was stored. Correct the test in the lesson's text.",
        )
    return points


def _row(connection: Connection, table: Table, keys: Row, values: Row) -> str:
    """The identity of the row with these keys; made when there is none."""
    query = select(table.c.id).where(*(table.c[name] == value for name, value in keys.items()))
    found = connection.scalar(query)
    if found is None:
        found = schema.new_id()
        connection.execute(insert(table).values({"id": found, **keys, **values}))
    return str(found)


def _add_missing(connection: Connection, notebook: str, handed_in: str) -> None:
    """A grade for each cell with points, a comment for each solution and task."""
    cells = schema.base_cell
    typed = connection.execute(
        select(cells.c.id, cells.c.type).where(cells.c.notebook_id == notebook)
    ).all()
    wanted: tuple[tuple[Table, tuple[str, ...], Row], ...] = (
        (schema.grade, (schema.GRADE_CELL, schema.TASK_CELL), {"needs_manual_grade": True}),
        (schema.comment, (schema.SOLUTION_CELL, schema.TASK_CELL), {}),
    )
    for table, types, values in wanted:
        known = set(
            connection.scalars(select(table.c.cell_id).where(table.c.notebook_id == handed_in))
        )
        rows = [
            {"id": schema.new_id(), "notebook_id": handed_in, "cell_id": identity, **values}
            for identity, kind in typed
            if kind in types and identity not in known
        ]
        if rows:
            connection.execute(insert(table), rows)


def _seconds_late(connection: Connection, submission: str) -> float:
    handed_in, assignment = schema.submitted_assignment, schema.assignment
    timestamp, extension, due = connection.execute(
        select(handed_in.c.timestamp, handed_in.c.extension, assignment.c.duedate)
        .join(assignment, assignment.c.id == handed_in.c.assignment_id)
        .where(handed_in.c.id == submission)
    ).one()
    if timestamp is None or due is None:
        return 0.0
    late = timestamp - (due + extension if extension is not None else due)
    return max(0.0, float(late.total_seconds()))


def _by_name(connection: Connection, table: Table, submission: Submission) -> dict[str, Row]:
    """A submission's grades or comments, by the grade_id of their cells."""
    cells = schema.base_cell
    rows = connection.execute(
        select(cells.c.name, table)
        .join(cells, cells.c.id == table.c.cell_id)
        .where(table.c.notebook_id == submission.notebook)
    )
    return {row["name"]: dict(row) for row in rows.mappings()}


def _update_all(connection: Connection, table: Table, changes: list[Row]) -> None:
    if changes:
        connection.execute(update(table).where(table.c.id == bindparam("row")), changes)
