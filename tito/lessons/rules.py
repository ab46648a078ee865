"""The rules a lesson must keep before anything is built from it.

Each rule yields problems with the line, the cell and the fix; the author sees all of them at once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tito.lessons import nbgrader_settings as settings
from tito.lessons.judge_rules import check_graded_cells
from tito.lessons.percent import LessonRefusedError, Problem, TextCell, read_percent
from tito.lessons.roles import LessonCell, Role, classify, is_exported, regions, visible_text
from tito.lessons.task_rules import check_tests

TOTAL_POINTS = 100
_WORD = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
_NAME = re.compile(rf"{_WORD}(?:__{_WORD})?")
_LONGEST_ID = 64  # nbformat's limit for the cell id that is made of it
_CELL_KEYS = {"tags", "nbgrader"}
_NBGRADER_KEYS = {"grade_id", "points"}
_MARKERS = {
    "BEGIN SOLUTION": settings.BEGIN_SOLUTION,
    "END SOLUTION": settings.END_SOLUTION,
    "BEGIN HIDDEN TESTS": settings.BEGIN_HIDDEN_TESTS,
    "END HIDDEN TESTS": settings.END_HIDDEN_TESTS,
}
# nbgrader gives these words a meaning wherever they stand; the course does not use it.
_FOREIGN_WORDS = ("AUTOTEST", "BEGIN MARK SCHEME", "END MARK SCHEME")
_REFUSED_TAGS = {"skip-execution": "nbgrader gives full marks to a test that never ran"}

Rule = Callable[[list[LessonCell]], Iterator[Problem]]


def read_lesson(path: Path, shown: str) -> list[LessonCell]:
    """Read a lesson's text, infer every cell's role and check all rules.

    Args:
        path: The percent text.
        shown: The name messages use for it.

    Raises:
        CourseError: The file cannot be read.
        LessonRefusedError: Rules are broken; lists all problems.
    """
    written = read_percent(path, shown)
    problems = [problem for cell in written for problem in _check_metadata(cell)]
    if problems:
        raise LessonRefusedError(shown, problems)
    cells = [classify(cell) for cell in written]
    for rule in _RULES:
        problems += rule(cells)
    if problems:
        raise LessonRefusedError(shown, problems)
    return cells


def problem(
    cell: LessonCell | TextCell, message: str, fix: str, offset: int | None = None
) -> Problem:
    """A problem of a cell: at its `# %%` line, or `offset` lines into its content."""
    written = cell.written if isinstance(cell, LessonCell) else cell
    line = written.line if offset is None else written.first_line + offset
    return Problem(line, written.label, message, fix)


def _check_metadata(cell: TextCell) -> Iterator[Problem]:
    for key in cell.metadata.keys() - _CELL_KEYS:
        yield problem(cell, f"unknown metadata {key!r}.", "Only `tags` and `nbgrader` are allowed.")
    tags = cell.metadata.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        yield problem(cell, f"tags are {tags!r}.", 'Write a list of words: tags=["measure"].')
    given = cell.metadata.get("nbgrader", {"grade_id": "x"})
    if not isinstance(given, dict):
        yield problem(cell, f"nbgrader is {given!r}.", 'Write nbgrader={"grade_id": "latency"}.')
        return
    for key in given.keys() - _NBGRADER_KEYS:
        fix = "Remove it: only grade_id and points are written, the rest is inferred."
        yield problem(cell, f"unknown nbgrader key {key!r}.", fix)
    if not isinstance(given.get("grade_id"), str):
        yield problem(cell, "nbgrader has no grade_id.", 'Add "grade_id": "<task>".')


def _check_names(cells: list[LessonCell]) -> Iterator[Problem]:
    """grade_ids are unique, snake_case with at most one `__`, and carry their role."""
    first: dict[str, LessonCell] = {}
    for cell in cells:
        if cell.grade_id is None:
            continue
        if not _NAME.fullmatch(cell.grade_id) or len(cell.grade_id) > _LONGEST_ID:
            fix = "Use lower-case words joined by _, and one __ before a part or aspect."
            yield problem(cell, f"malformed grade_id {cell.grade_id!r}.", fix)
        if cell.grade_id in first:
            line = first[cell.grade_id].written.line
            fix = "Give one of them another `__part`."
            yield problem(cell, f"grade_id already used in line {line}.", fix)
        first.setdefault(cell.grade_id, cell)
        yield from _check_prefix(cell)


def _check_prefix(cell: LessonCell) -> Iterator[Problem]:
    wanted = {Role.TEST: "test_", Role.QUESTION: "question_"}.get(cell.role)
    found = next((p for p in ("test_", "question_") if str(cell.grade_id).startswith(p)), None)
    if wanted != found:
        hint = f"begin its grade_id with {wanted!r}" if wanted else f"drop {found!r}"
        fix = f"Either {hint}, or give it the points and markers of the other role."
        yield problem(cell, f"is a {cell.role.value} cell, its name says otherwise.", fix)


def _check_markers(cells: list[LessonCell]) -> Iterator[Problem]:
    """Markers stand alone on their lines, are balanced, and occur only where they belong."""
    for cell in cells:
        yield from _check_spelling(cell)
        allowed = {
            Role.SOLUTION: settings.BEGIN_SOLUTION,
            Role.QUESTION: settings.BEGIN_SOLUTION,
            Role.TEST: settings.BEGIN_HIDDEN_TESTS,
        }.get(cell.role)
        for begin, end in (
            (settings.BEGIN_SOLUTION, settings.END_SOLUTION),
            (settings.BEGIN_HIDDEN_TESTS, settings.END_HIDDEN_TESTS),
        ):
            try:
                found = regions(cell.written.text, begin, end)
            except ValueError as error:
                yield problem(cell, f"{error}.", "Close each region before the next one opens.")
                continue
            if found and begin != allowed:
                fix = _misplaced_fix(begin)
                yield problem(
                    cell, f"`{begin}` in a {cell.role.value} cell.", fix, found[0].start - 1
                )
            elif not found and begin == allowed and cell.role is not Role.TEST:
                fix = f"Put the answer between `{begin}` and `{end}`."
                yield problem(cell, f"a {cell.role.value} cell without `{begin}`.", fix)
            for region in found:
                content = cell.written.text.split("\n")[region.start : region.end]
                if not any(line.strip() for line in content):
                    yield problem(cell, f"`{begin}` holds nothing.", "Fill or remove the region.")


def _misplaced_fix(begin: str) -> str:
    if begin == settings.BEGIN_SOLUTION:
        return "Only code cells with a grade_id and no points, and questions, hold solutions."
    return "Only test cells (code with a grade_id and points) hide tests; give it both."


def _check_spelling(cell: LessonCell) -> Iterator[Problem]:
    for offset, line in enumerate(cell.written.text.split("\n")):
        for words, exact in _MARKERS.items():
            if words in line and line.strip() != exact:
                fix = f"Write the line as `{exact}`, or reword it: nbgrader cuts there."
                yield problem(cell, f"{line.strip()!r} is almost a marker.", fix, offset)
        for word in _FOREIGN_WORDS:
            if word in line:
                fix = "Reword it: nbgrader acts on this word."
                yield problem(cell, f"{word!r} in a cell.", fix, offset)


def _check_python(cells: list[LessonCell]) -> Iterator[Problem]:
    """Code must parse as written, and again as the student will see it."""
    for cell in cells:
        if cell.written.kind != "code":
            continue
        try:
            ast.parse(cell.written.text)
        except SyntaxError as error:
            offset = (error.lineno or 1) - 1
            yield problem(cell, f"is not Python: {error.msg}.", "Correct the syntax.", offset)
            continue
        try:
            ast.parse(visible_text(cell.written.text))
        except SyntaxError as error:
            fix = "Place the markers around whole statements, and leave one outside each block."
            yield problem(cell, f"is not Python without its marked region: {error.msg}.", fix)


def _check_exports(cells: list[LessonCell]) -> Iterator[Problem]:
    """`#| export` stands on the first line of code without points; nothing else begins `#|`."""
    for cell in cells:
        if cell.written.kind != "code":
            continue
        for offset, line in enumerate(cell.written.text.split("\n")):
            directive = line.strip()
            if not re.match(r"#\s?\|", directive):
                continue
            if directive != "#| export":
                fix = "Write `#| export`, or an ordinary comment."
                yield problem(cell, f"unknown directive {directive!r}.", fix, offset)
            elif offset != 0:
                yield problem(cell, "`#| export` is not the first line.", "Move it up.", offset)
        if is_exported(cell.written.text) and (cell.role is Role.TEST or "measure" in cell.tags):
            fix = "Export only what the package needs, from cells of their own."
            yield problem(cell, "a test or measuring cell goes into the package.", fix)


def _check_tags(cells: list[LessonCell]) -> Iterator[Problem]:
    for cell in cells:
        for tag in cell.tags:
            if tag in _REFUSED_TAGS:
                yield problem(cell, f"tag {tag!r}: {_REFUSED_TAGS[tag]}.", "Remove the tag.")
        if "measure" in cell.tags and cell.role not in (Role.FREE, Role.READ_ONLY):
            fix = "Measure in a cell of its own."
            yield problem(cell, f"a {cell.role.value} cell tagged `measure`.", fix)


def _check_points(cells: list[LessonCell]) -> Iterator[Problem]:
    """Points are positive numbers and add up to 100."""
    total: float = 0
    for cell in cells:
        points = cell.points
        if points is None:
            continue
        if isinstance(points, bool) or not isinstance(points, (int, float)) or not points > 0:
            yield problem(cell, f"points are {points!r}.", "Give a positive number.")
        else:
            total += points
    if total != TOTAL_POINTS:
        fix = f"Change points until they add up to {TOTAL_POINTS}."
        yield Problem(1, "whole lesson", f"the points add up to {total:g}.", fix)


_RULES: tuple[Rule, ...] = (
    _check_names,
    _check_markers,
    _check_python,
    _check_exports,
    _check_tags,
    _check_points,
    check_tests,
    check_graded_cells,
)
