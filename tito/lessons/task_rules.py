"""Rules for what earns points: tests that test something, tasks that have both sides."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tito.lessons.cell_names import bound, loaded, parsed, stored
from tito.lessons.percent import Problem
from tito.lessons.roles import LessonCell, Role

_CHECKERS = ("assert", "expect", "speedup")


def check_tests(cells: list[LessonCell]) -> Iterator[Problem]:
    """Check test cells and how tests, solutions and measuring cells fit together."""
    yield from _check_pairs(cells)
    yield from _check_measured_names(cells)
    names = _solution_names(cells)
    for cell in cells:
        if cell.role is not Role.TEST:
            continue
        tree = parsed(cell)
        if tree is not None:
            yield from _check_body(cell, tree, names.get(cell.task or "", set()))


def _check_body(cell: LessonCell, tree: ast.Module, solved: set[str]) -> Iterator[Problem]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if not any(not _is_checker(call) for call in calls) and not _uses_expect(calls):
        fix = "Call the student's code in the test."
        yield _problem(cell, "a graded cell that calls nothing.", fix)
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    if not asserts and not any(_is_checker(call) for call in calls):
        fix = "Use assert, or a checker of tito.testing such as assert_close."
        yield _problem(cell, "a graded cell that asserts nothing.", fix)
    if solved and not solved & loaded(tree):
        fix = f"Use one of {', '.join(sorted(solved))}, or rename the test."
        yield _problem(cell, "a test that uses nothing its task's solution defines.", fix)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and not (
        isinstance(last.value, ast.Call) and _is_checker(last.value)
    ):
        fix = "End the cell with an assert: nbgrader reads a last value as the points earned."
        yield _problem(cell, "a graded cell that ends in an expression.", fix)


def _check_pairs(cells: list[LessonCell]) -> Iterator[Problem]:
    """Each test has its task's solution above it, and each solution has a test."""
    first: dict[str, int] = {}
    for index, cell in enumerate(cells):
        if cell.role is Role.SOLUTION and cell.task:
            first.setdefault(cell.task, index)
    tested = {cell.task for cell in cells if cell.role is Role.TEST}
    for index, cell in enumerate(cells):
        task = cell.task
        if task is None:
            continue
        if cell.role is Role.TEST and task not in first:
            fix = f"Name a solution cell {task!r}, put markers into it, or rename the test."
            yield _problem(cell, f"the task {task!r} has no solution cell.", fix)
        elif cell.role is Role.TEST and first[task] > index:
            yield _problem(cell, "stands above its task's solution.", "Move it below.")
        elif cell.role is Role.SOLUTION and task not in tested:
            fix = f"Add a cell test_{task} with points, or make this cell free of markers."
            yield _problem(cell, f"no test gives the task {task!r} points.", fix)
        elif cell.role is Role.READ_ONLY and task in tested:
            fix = "Put the solution between markers, or rename this cell (given_...)."
            yield _problem(cell, f"carries the task {task!r} but holds no solution.", fix)


def _check_measured_names(cells: list[LessonCell]) -> Iterator[Problem]:
    """No graded cell needs a name that only measuring cells define."""
    measured: dict[str, LessonCell] = {}
    elsewhere: set[str] = set()
    for cell in cells:
        tree = parsed(cell)
        if tree is None:
            continue
        if "measure" in cell.tags:
            measured |= dict.fromkeys(bound(tree), cell)
        else:
            elsewhere |= bound(tree) | stored(tree)
    for cell in cells:
        tree = parsed(cell) if cell.role in (Role.TEST, Role.SOLUTION) else None
        if tree is None:
            continue
        for name in sorted(loaded(tree) & (measured.keys() - elsewhere)):
            line = measured[name].written.line
            fix = f"Define {name!r} in an untagged cell: measuring cells may be skipped."
            yield _problem(cell, f"needs {name!r} from the measuring cell in line {line}.", fix)


def _solution_names(cells: list[LessonCell]) -> dict[str, set[str]]:
    """The names each task's solution cells define."""
    names: dict[str, set[str]] = {}
    for cell in cells:
        tree = parsed(cell) if cell.role is Role.SOLUTION else None
        if tree is not None and cell.task:
            names.setdefault(cell.task, set()).update(bound(tree))
    return names


def _is_checker(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return str(name).startswith(_CHECKERS)


def _uses_expect(calls: list[ast.Call]) -> bool:
    """`expect_error(ValueError, fn, ...)` calls `fn` itself."""
    return any(_is_checker(call) and len(call.args) > 1 for call in calls)


def _problem(cell: LessonCell, message: str, fix: str) -> Problem:
    return Problem(cell.written.line, cell.label, message, fix)
