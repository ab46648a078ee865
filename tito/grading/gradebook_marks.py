"""A student's marks in the gradebook: read for the table, and given by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select, update

from tito.course import CourseError, Lesson
from tito.grading import gradebook_schema as schema
from tito.grading.gradebook_file import Book
from tito.grading.gradebook_submission import score_of
from tito.lessons.roles import Role, task_of


@dataclass
class TaskMarks:
    """A task's points, out of those its tests give."""

    points: float = 0.0
    most: float = 0.0


@dataclass
class Marks:
    """One student's marks for one lesson.

    `manual` is None while a written answer waits for a person. `penalty` is what being late costs;
    `total` is without it.
    """

    auto: float = 0.0
    auto_most: float = 0.0
    manual: float | None = 0.0
    manual_most: float = 0.0
    total: float = 0.0
    penalty: float = 0.0
    tasks: dict[str, TaskMarks] = field(default_factory=dict)


def give_mark(
    book: Book, lesson: Lesson, student: str, question: str, points: float, comment: str
) -> None:
    """Mark a written answer by hand, as the formgrader does.

    Raises:
        CourseError: There is no such answer, or the points exceed the most it can earn.
    """
    cells, worth = schema.base_cell, schema.grade_cells
    with book.writing() as connection:
        handed_in = submitted_row(connection, lesson, student)
        cell = connection.execute(
            select(cells.c.id, worth.c.max_score)
            .join(worth, worth.c.id == cells.c.id)
            .join(schema.grade, schema.grade.c.cell_id == cells.c.id)
            .where(schema.grade.c.notebook_id == handed_in, cells.c.name == question)
        ).first()
        if cell is None:
            raise CourseError(
                f"The gradebook has no answer {question!r} of {student!r} to mark.",
                "Grade the submission first, and check the question's grade_id.",
            )
        if not 0 <= points <= cell.max_score:
            raise CourseError(
                f"{points:g} points for {question!r} of {student!r}, but it earns at most "
                f"{cell.max_score:g} and at least 0.",
                "Give a number in this range.",
            )
        grade = schema.grade
        connection.execute(
            update(grade)
            .where(grade.c.notebook_id == handed_in, grade.c.cell_id == cell.id)
            .values(manual_score=points, needs_manual_grade=False)
        )
        _remark(connection, handed_in, question, comment)


def read_marks(book: Book, lesson: Lesson, student: str) -> Marks | None:
    """A student's marks; None when the gradebook has none."""
    with book.reading() as connection:
        handed_in = submitted_row(connection, lesson, student)
        if handed_in is None:
            return None
        rows = graded_cells(connection, handed_in)
        table = schema.submitted_notebook
        penalty = connection.scalar(
            select(table.c.late_submission_penalty).where(table.c.id == handed_in)
        )
    marks = Marks(penalty=penalty or 0.0)
    for row in rows:
        score = score_of(row)
        if row["cell_type"] == "code":
            marks.auto += score
            marks.auto_most += row["max_score"]
            task = marks.tasks.setdefault(task_of(row["name"], Role.TEST), TaskMarks())
            task.points += score
            task.most += row["max_score"]
        else:
            marks.manual_most += row["max_score"]
            waits = row["needs_manual_grade"] or marks.manual is None
            marks.manual = None if waits else (marks.manual or 0.0) + score
        marks.total += score
    return marks


def submitted_row(connection: Connection, lesson: Lesson, student: str) -> str | None:
    """The identity of a student's row in `submitted_notebook`."""
    mine, owner = schema.submitted_notebook, schema.submitted_assignment
    assignment, notebook = schema.assignment, schema.notebook
    found = connection.scalar(
        select(mine.c.id)
        .join(owner, owner.c.id == mine.c.assignment_id)
        .join(assignment, assignment.c.id == owner.c.assignment_id)
        .join(notebook, notebook.c.id == mine.c.notebook_id)
        .where(
            owner.c.student_id == student,
            assignment.c.name == lesson.folder,
            notebook.c.name == lesson.name,
        )
    )
    return None if found is None else str(found)


def graded_cells(connection: Connection, handed_in: str) -> list[dict[str, Any]]:
    """Name, kind, worth and marks of each graded cell of a submission."""
    grade, cells = schema.grade, schema.base_cell
    tests, tasks = schema.grade_cells, schema.task_cells
    rows = connection.execute(
        select(
            cells.c.name,
            func.coalesce(tests.c.cell_type, tasks.c.cell_type).label("cell_type"),
            func.coalesce(tests.c.max_score, tasks.c.max_score).label("max_score"),
            grade.c.auto_score,
            grade.c.manual_score,
            grade.c.extra_credit,
            grade.c.needs_manual_grade,
        )
        .join(cells, cells.c.id == grade.c.cell_id)
        .outerjoin(tests, tests.c.id == cells.c.id)
        .outerjoin(tasks, tasks.c.id == cells.c.id)
        .where(grade.c.notebook_id == handed_in)
    )
    return [dict(row) for row in rows.mappings()]


def _remark(connection: Connection, handed_in: str | None, question: str, comment: str) -> None:
    table, cells = schema.comment, schema.base_cell
    remarked = select(cells.c.id).where(cells.c.name == question)
    connection.execute(
        update(table)
        .where(table.c.notebook_id == handed_in, table.c.cell_id.in_(remarked))
        .values(manual_comment=comment)
    )


@dataclass
class PageMarks:
    """What a feedback page says of a submission's marks.

    Attributes:
        scores: By grade_id, the points and the most there can be.
        comments: By grade_id, what was said of the work, if anything.
        penalty: What being late costs.
    """

    scores: dict[str, tuple[float, float]] = field(default_factory=dict)
    comments: dict[str, str | None] = field(default_factory=dict)
    penalty: float = 0.0

    @property
    def total(self) -> float:
        """All points, without the penalty."""
        return sum(points for points, _ in self.scores.values())

    @property
    def most(self) -> float:
        """All there can be."""
        return sum(most for _, most in self.scores.values())


def read_page_marks(book: Book, lesson: Lesson, student: str) -> PageMarks | None:
    """A submission's marks and comments; None when the gradebook has none."""
    remark, cells, mine = schema.comment, schema.base_cell, schema.submitted_notebook
    with book.reading() as connection:
        handed_in = submitted_row(connection, lesson, student)
        if handed_in is None:
            return None
        rows = graded_cells(connection, handed_in)
        comments = connection.execute(
            select(cells.c.name, func.coalesce(remark.c.manual_comment, remark.c.auto_comment))
            .join(cells, cells.c.id == remark.c.cell_id)
            .where(remark.c.notebook_id == handed_in)
        ).all()
        penalty = connection.scalar(
            select(mine.c.late_submission_penalty).where(mine.c.id == handed_in)
        )
    scores = {row["name"]: (score_of(row), float(row["max_score"])) for row in rows}
    return PageMarks(scores, {row[0]: row[1] for row in comments}, penalty or 0.0)
