"""What each cell of a lesson is: inferred from its kind, its points and its markers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from tito.lessons import nbgrader_settings as settings
from tito.lessons.percent import TextCell


class Role(Enum):
    """The five things a cell can be."""

    FREE = "free"
    READ_ONLY = "read-only"
    SOLUTION = "solution"
    TEST = "test"
    QUESTION = "question"


@dataclass(frozen=True)
class Region:
    """A marked stretch of a cell: its lines from `start` to `end`, both markers excluded."""

    start: int
    end: int


@dataclass(frozen=True)
class LessonCell:
    """A cell with its role and the names its grade_id carries."""

    written: TextCell
    role: Role
    grade_id: str | None
    points: float | int | None

    @property
    def task(self) -> str | None:
        """The task its grade_id names: `latency` for `latency__loop` and `test_latency__robust`."""
        return task_of(self.grade_id, self.role) if self.grade_id else None

    @property
    def exports(self) -> bool:
        """Whether the cell goes into the package."""
        return is_exported(self.written.text) and self.written.kind == "code"

    @property
    def tags(self) -> list[str]:
        """Its tags, as written."""
        return list(self.written.metadata.get("tags", []))

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.written.label


def classify(cell: TextCell) -> LessonCell:
    """Infer a cell's role from the table in docs/authoring.md."""
    given: Any = cell.metadata.get("nbgrader", {})
    grade_id = given.get("grade_id") if isinstance(given, dict) else None
    points = given.get("points") if isinstance(given, dict) else None
    if not isinstance(grade_id, str):
        return LessonCell(cell, Role.FREE, None, None)
    return LessonCell(cell, _role(cell, points), grade_id, points)


def _role(cell: TextCell, points: object) -> Role:
    if points is not None:
        return Role.TEST if cell.kind == "code" else Role.QUESTION
    if cell.kind == "code" and "BEGIN SOLUTION" in cell.text:
        return Role.SOLUTION
    return Role.READ_ONLY


def task_of(grade_id: str, role: Role) -> str:
    """The task in a grade_id: the part before `__`, without `test_` or `question_`."""
    if role is Role.QUESTION:
        return grade_id
    named = grade_id.removeprefix("test_") if role is Role.TEST else grade_id
    return named.split("__")[0]


def is_exported(code: str) -> bool:
    """Whether a cell's first line is `#| export`."""
    first = code.lstrip("\n").split("\n", 1)[0]
    return first.replace(" ", "") == "#|export"


def regions(text: str, begin: str, end: str) -> list[Region]:
    """Find marked stretches; the text's markers must be balanced.

    Args:
        text: A cell's content.
        begin: The opening marker, a line of its own.
        end: The closing marker.

    Raises:
        ValueError: A marker lacks its partner, or one stretch opens inside another.
    """
    found: list[Region] = []
    opened: int | None = None
    for number, line in enumerate(text.split("\n")):
        if line.strip() == begin:
            if opened is not None:
                raise ValueError(f"`{begin}` opens again before `{end}`")
            opened = number
        elif line.strip() == end:
            if opened is None:
                raise ValueError(f"`{end}` has no `{begin}` above it")
            found.append(Region(opened + 1, number))
            opened = None
    if opened is not None:
        raise ValueError(f"`{begin}` has no `{end}` below it")
    return found


def region_texts(text: str, begin: str, end: str) -> list[str]:
    """The content of each marked stretch."""
    lines = text.split("\n")
    return ["\n".join(lines[region.start : region.end]) for region in regions(text, begin, end)]


def visible_text(text: str, stub: str = settings.CODE_STUB) -> str:
    """What of a cell a student sees: solutions become `stub`, hidden tests vanish."""
    kept: list[str] = []
    inside = ""
    for line in text.split("\n"):
        mark = line.strip()
        if mark == settings.BEGIN_SOLUTION:
            inside = settings.END_SOLUTION
            kept.append(line[: len(line) - len(line.lstrip())] + stub)
        elif mark == settings.BEGIN_HIDDEN_TESTS:
            inside = settings.END_HIDDEN_TESTS
        elif inside and mark == inside:
            inside = ""
        elif not inside:
            kept.append(line)
    return "\n".join(kept)
