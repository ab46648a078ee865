"""What each cell of a lesson is to the judge, worked out once a lesson and used for every student.

The judge runs the instructor's text only: tests, read-only cells, and the given cells that import
and define what tests use. A student's text is never parsed here, let alone run.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from types import CodeType
from typing import Any

from tito.course import CourseError
from tito.grading.judge.bindings import names_bound_by
from tito.lessons import notebook as nb


class Place(Enum):
    """Where a cell runs."""

    STUDENT = "in the sandbox"
    GIVEN = "in the sandbox and, as the instructor wrote it, in the judge"
    TEST = "in the judge"


@dataclass(frozen=True)
class JudgedCell:
    """One code cell of the lesson.

    Attributes:
        label: How messages name it.
        place: Where it runs.
        source: The instructor's text, as the judge runs it.
        code: The same, compiled; None when nothing of it runs in the judge.
        binds: The names it binds.
        points: What a test is worth.
    """

    label: str
    place: Place
    source: str
    code: CodeType | None
    binds: tuple[str, ...]
    points: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A lesson as the judge sees it.

    Attributes:
        cells: Its code cells, by grade_id or cell id.
        remote: The names that are the student's.
        imports: The import statements of its given cells.
    """

    cells: dict[str, JudgedCell]
    remote: frozenset[str]
    imports: CodeType

    def cell(self, cell: nb.Cell) -> JudgedCell | None:
        """The lesson's cell that a cell of a rebuilt notebook is; None for a student's own."""
        return self.cells.get(key_of(cell))

    def warm(self) -> None:
        """Import what given cells import, once, in the process that forks a judge a submission.

        Raises:
            CourseError: A module cannot be imported.
        """
        try:
            exec(self.imports, {"__name__": "__main__"})
        except ImportError as error:
            raise CourseError(
                f"A given cell cannot be run by the judge: {error}.",
                "Install it where grading runs, or import it in a cell tagged `measure`.",
            ) from error


def key_of(cell: nb.Cell) -> str:
    """What a cell is known by: its grade_id, else its id."""
    return nb.grade_id(cell) or f"id {cell.get('id')}"


def plan_of(lesson: nb.Notebook) -> Plan:
    """The plan of a lesson; made once for equal lessons.

    Args:
        lesson: The instructor's notebook.

    Raises:
        CourseError: A cell that the judge runs is no Python.
    """
    described = tuple(
        (
            key_of(cell),
            nb.grade_id(cell) or f"number {number}",
            _place(cell),
            cell["source"],
            _points(cell),
        )
        for number, cell in enumerate(lesson["cells"], start=1)
        if cell["cell_type"] == "code"
    )
    return _plan(described)


@lru_cache(maxsize=16)
def _plan(described: tuple[tuple[str, str, Place, str, float], ...]) -> Plan:
    cells: dict[str, JudgedCell] = {}
    remote: set[str] = set()
    imports: list[ast.stmt] = []
    for key, label, place, source, points in described:
        tree, text, code = _parsed(source, label, place)
        cells[key] = JudgedCell(label, place, text, code, tuple(names_bound_by(tree)), points)
        if place is Place.STUDENT and not key.startswith("id "):
            remote.update(names_bound_by(tree, imports=False))
        if place is Place.GIVEN:
            imports.extend(_imports(tree))
    statements = compile(ast.Module(imports, []), "<imports of given cells>", "exec")
    return Plan(cells, frozenset(remote), statements)


def _place(cell: nb.Cell) -> Place:
    if nb.is_test(cell):
        return Place.TEST
    if nb.is_solution(cell) or (nb.grade_id(cell) is None and nb.has_tag(cell, "measure")):
        return Place.STUDENT
    return Place.GIVEN


def _points(cell: nb.Cell) -> float:
    given: Any = cell["metadata"].get("nbgrader")
    points = given.get("points") if isinstance(given, dict) else None
    return float(points) if isinstance(points, (int, float)) else 0.0


def _parsed(source: str, label: str, place: Place) -> tuple[ast.Module, str, CodeType | None]:
    """A cell's tree, its text as the judge reads it, and its code when the judge runs it."""
    text, file = without_magics(source), f"<cell {label}>"
    try:
        tree = ast.parse(text, file)
        return tree, text, None if place is Place.STUDENT else compile(tree, file, "exec")
    except SyntaxError as error:
        if place is Place.STUDENT and label.startswith("number "):
            return ast.parse(""), text, None  # only the sandbox runs it, where IPython reads it
        raise CourseError(
            f"Line {error.lineno} of the cell {label} is no Python: {error.msg}.",
            "The judge runs this cell outside IPython: use plain Python in it.",
        ) from error


def without_magics(source: str) -> str:
    """A cell's text without IPython's `%magics` and `!commands`, line numbers kept."""
    if source.lstrip().startswith("%%"):
        return ""
    lines = source.split("\n")
    return "\n".join("" if line.startswith(("%", "!")) else line for line in lines)


def _imports(tree: ast.Module) -> list[ast.stmt]:
    return [
        node
        for node in tree.body
        if isinstance(node, ast.Import)
        or (isinstance(node, ast.ImportFrom) and node.module != "__future__")
    ]
