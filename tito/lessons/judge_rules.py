"""Rules that let a graded cell run in another process than the student's code.

There a name of a solution cell stands for an object in the other process: it can be called and its
attributes can be read, but it is no class or function of the process the test runs in.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tito.lessons.cell_names import bound, callables, loaded, parsed, stored
from tito.lessons.percent import Problem
from tito.lessons.roles import LessonCell, Role

_TYPE_CHECKS = ("isinstance", "issubclass")


def check_graded_cells(cells: list[LessonCell]) -> Iterator[Problem]:
    """Check that every test cell can be run by the judge, and by itself."""
    yield from _check_bindings(cells)
    yield from _check_own_names(cells)
    yield from _check_reused_names(cells)
    yield from _check_inside(cells)
    solved = set(_binders(cells, Role.SOLUTION))
    for cell, tree in _trees(cells, Role.TEST):
        yield from _check_types(cell, tree, solved)
    for cell, tree in _trees(cells, Role.TEST, Role.READ_ONLY):
        if "get_ipython" in loaded(tree):
            yield _problem(cell, "uses get_ipython.", "Graded cells are plain Python.")


def _check_types(cell: LessonCell, tree: ast.Module, solved: set[str]) -> Iterator[Problem]:
    """A test does not subclass, match or ask for the type of what a solution cell defines."""
    for node in ast.walk(tree):
        for use, parts in _type_uses(node):
            names = {name for part in parts for name in loaded(part)} & solved
            for name in sorted(names):
                fix = "Use what it does: call it, and compare the data it gives."
                yield _problem(cell, f"{use} {name!r}, which a solution cell defines.", fix)


def _type_uses(node: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """What a node does with classes, and the expressions that name them."""
    if isinstance(node, ast.ClassDef):
        yield "subclasses", node.bases
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in _TYPE_CHECKS:
        yield "asks for the type", node.args[1:]
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield "catches", [node.type]
    elif isinstance(node, ast.MatchClass):
        yield "matches", [node.cls]


def _check_bindings(cells: list[LessonCell]) -> Iterator[Problem]:
    """No test hides what it tests or what other tests use; no locked cell does either."""
    solved, locked = _binders(cells, Role.SOLUTION), _binders(cells, Role.READ_ONLY)
    for cell, tree in _trees(cells, Role.TEST, Role.READ_ONLY):
        for name in sorted(bound(tree) & solved.keys()):
            line = solved[name].written.line
            fix = "Give it another name: the test would not meet the student's."
            yield _problem(cell, f"binds {name!r}, as the solution cell in line {line} does.", fix)
    for cell, tree in _trees(cells, Role.TEST):
        for name in sorted(bound(tree) & locked.keys()):
            line = locked[name].written.line
            fix = "Give it another name: other tests use the locked cell's."
            yield _problem(cell, f"binds {name!r}, as the locked cell in line {line} does.", fix)


def _check_own_names(cells: list[LessonCell]) -> Iterator[Problem]:
    """A test needs no name that only another test binds: each must pass or fail by itself."""
    elsewhere: set[str] = set()
    first: dict[str, LessonCell] = {}
    for cell in cells:
        tree = parsed(cell)
        if tree is None:
            continue
        if cell.role is Role.TEST:
            for name in bound(tree):
                first.setdefault(name, cell)
        else:
            elsewhere |= bound(tree)
    for cell, tree in _trees(cells, Role.TEST):
        missing = loaded(tree) & (first.keys() - elsewhere - bound(tree) - stored(tree))
        for name in sorted(missing):
            line = first[name].written.line
            fix = f"Define {name!r} in a locked cell (given_...), or here."
            yield _problem(cell, f"needs {name!r} from the test in line {line}.", fix)


def _check_reused_names(cells: list[LessonCell]) -> Iterator[Problem]:
    """No test rebinds what a later free cell still reads: in a kernel they share their names."""
    free: dict[str, LessonCell] = {}
    rebound: dict[str, LessonCell] = {}
    for cell, tree in _trees(cells, Role.TEST, Role.FREE):
        if cell.role is Role.TEST:
            rebound |= dict.fromkeys(bound(tree) & free.keys(), cell)
            continue
        for name in sorted((loaded(tree) - bound(tree) - stored(tree)) & rebound.keys()):
            fix = f"Give it another name: the cell in line {cell.written.line} needs the first one."
            line = free[name].written.line
            yield _problem(rebound.pop(name), f"rebinds {name!r} of the cell in line {line}.", fix)
        for name in bound(tree):
            rebound.pop(name, None)
            free[name] = cell


def _check_inside(cells: list[LessonCell]) -> Iterator[Problem]:
    """What runs beside the student's code is a locked cell's or comes with the course."""
    editable: set[str] = set()
    for _, tree in _trees(cells, Role.TEST, Role.FREE):
        editable |= callables(tree)
    fix = "Move it into a locked cell (a grade_id, no points, no markers)."
    for cell, tree in _trees(cells, Role.TEST):
        for node in ast.walk(tree):
            for caller, what in _run_elsewhere(node):
                if isinstance(what, ast.Lambda):
                    yield _problem(cell, f"`{caller}` is given a lambda.", fix)
                elif isinstance(what, ast.Name) and what.id in editable:
                    name = what.id
                    yield _problem(cell, f"`{caller}` is given {name!r} of an unlocked cell.", fix)


def _run_elsewhere(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The function that `inside` is to run, and the one `speedup` compares with."""
    if not isinstance(node, ast.Call):
        return
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "inside" and node.args:
        yield name, node.args[0]
    if name == "speedup":
        by_keyword = [each.value for each in node.keywords if each.arg == "baseline"]
        for value in (*node.args[1:2], *by_keyword):
            yield name, value


def _binders(cells: list[LessonCell], role: Role) -> dict[str, LessonCell]:
    """The names cells of a role bind, and the first cell that does."""
    binders: dict[str, LessonCell] = {}
    for cell, tree in _trees(cells, role):
        for name in bound(tree):
            binders.setdefault(name, cell)
    return binders


def _trees(cells: list[LessonCell], *roles: Role) -> Iterator[tuple[LessonCell, ast.Module]]:
    for cell in cells:
        tree = parsed(cell) if cell.role in roles else None
        if tree is not None:
            yield cell, tree


def _problem(cell: LessonCell, message: str, fix: str) -> Problem:
    return Problem(cell.written.line, cell.label, message, fix)
