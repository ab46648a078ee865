"""nbgrader 0.9.6's tables, declared here because importing nbgrader costs four seconds.

A test holds them against nbgrader's own models, column by column.
"""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Interval,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = "e43177bfe90b"  # the revision that nbgrader 0.9.6 stamps a new gradebook with

GRADE_CELL, SOLUTION_CELL, TASK_CELL = "GradeCell", "SolutionCell", "TaskCell"

metadata = MetaData()


def new_id() -> str:
    """An identity for a row, in nbgrader's form."""
    return uuid4().hex


def _identity() -> Column[str]:
    return Column("id", String(32), primary_key=True)


def _reference(name: str, to: str, size: int = 32, nullable: bool = True) -> Column[str]:
    return Column(name, String(size), ForeignKey(to), nullable=nullable)


def _graded_columns() -> list[Column[object]]:
    kinds = Enum("code", "markdown", name="grade_cell_type", validate_strings=True)
    return [
        Column("max_score", Float(), nullable=False),
        Column("cell_type", kinds, nullable=False),
    ]


course = Table(
    "course",
    metadata,
    Column("id", String(128), unique=True, primary_key=True, nullable=False),
)
student = Table(
    "student",
    metadata,
    Column("id", String(128), primary_key=True, nullable=False),
    Column("first_name", String(128)),
    Column("last_name", String(128)),
    Column("email", String(128)),
    Column("lms_user_id", String(128), nullable=True),
)
assignment = Table(
    "assignment",
    metadata,
    _identity(),
    Column("name", String(128), unique=True, nullable=False),
    Column("duedate", DateTime()),
    _reference("course_id", "course.id", 128, nullable=False),
)
notebook = Table(
    "notebook",
    metadata,
    _identity(),
    Column("name", String(128), nullable=False),
    _reference("assignment_id", "assignment.id"),
    Column("kernelspec", String(1024), nullable=True),
    UniqueConstraint("name", "assignment_id"),
)
base_cell = Table(
    "base_cell",
    metadata,
    _identity(),
    Column("name", String(128), nullable=False),
    _reference("notebook_id", "notebook.id", nullable=False),
    Column("type", String(50)),
    UniqueConstraint("name", "notebook_id", "type"),
)
grade_cells = Table(
    "grade_cells",
    metadata,
    Column("id", String(32), ForeignKey("base_cell.id"), primary_key=True),
    *_graded_columns(),
)
solution_cells = Table(
    "solution_cells",
    metadata,
    Column("id", String(32), ForeignKey("base_cell.id"), primary_key=True),
)
task_cells = Table(
    "task_cells",
    metadata,
    Column("id", String(32), ForeignKey("base_cell.id"), primary_key=True),
    *_graded_columns(),
)
source_cell = Table(
    "source_cell",
    metadata,
    _identity(),
    Column("name", String(128), nullable=False),
    Column(
        "cell_type",
        Enum("code", "markdown", name="source_cell_type", validate_strings=True),
        nullable=False,
    ),
    Column("locked", Boolean, nullable=False),
    Column("source", Text()),
    Column("checksum", String(128)),
    _reference("notebook_id", "notebook.id"),
    UniqueConstraint("name", "notebook_id"),
)
submitted_assignment = Table(
    "submitted_assignment",
    metadata,
    _identity(),
    _reference("assignment_id", "assignment.id"),
    _reference("student_id", "student.id", 128),
    Column("timestamp", DateTime()),
    Column("extension", Interval()),
    UniqueConstraint("assignment_id", "student_id"),
)
submitted_notebook = Table(
    "submitted_notebook",
    metadata,
    _identity(),
    _reference("assignment_id", "submitted_assignment.id"),
    _reference("notebook_id", "notebook.id"),
    Column("flagged", Boolean),
    Column("late_submission_penalty", Float(0)),
    UniqueConstraint("notebook_id", "assignment_id"),
)
grade = Table(
    "grade",
    metadata,
    _identity(),
    _reference("notebook_id", "submitted_notebook.id"),
    _reference("cell_id", "base_cell.id"),
    Column("auto_score", Float()),
    Column("manual_score", Float()),
    Column("extra_credit", Float()),
    Column("needs_manual_grade", Boolean, nullable=False),
    UniqueConstraint("cell_id", "notebook_id"),
)
comment = Table(
    "comment",
    metadata,
    _identity(),
    _reference("notebook_id", "submitted_notebook.id"),
    _reference("cell_id", "base_cell.id"),
    Column("auto_comment", Text()),
    Column("manual_comment", Text()),
    UniqueConstraint("cell_id", "notebook_id"),
)

# alembic's own, in nbgrader's form; kept apart, for it is none of nbgrader's models
stamp = Table("alembic_version", MetaData(), Column("version_num", String(32), nullable=False))
