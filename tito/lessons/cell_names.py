"""Which names a cell's code binds and needs, read from its syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tito.lessons.roles import LessonCell

# Their names live inside them. A class body's and a function's own name is bound outside.
_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


def parsed(cell: LessonCell) -> ast.Module | None:
    """The cell's syntax tree; None for text and for code another rule already refused."""
    if cell.written.kind != "code":
        return None
    try:
        return ast.parse(cell.written.text)
    except SyntaxError:
        return None


def bound(tree: ast.Module) -> set[str]:
    """Names the code binds for the cells after it."""
    names: set[str] = set()
    for node in _outermost(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def callables(tree: ast.Module) -> set[str]:
    """Of the names it binds, those of functions and classes: by def, class or a lambda."""
    names: set[str] = set()
    for node in _outermost(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def stored(tree: ast.AST) -> set[str]:
    """Names bound anywhere in it, in whatever scope."""
    found = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return found | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def loaded(tree: ast.AST) -> set[str]:
    """Names read anywhere in it."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _outermost(tree: ast.Module) -> Iterator[ast.AST]:
    """All nodes but those inside functions, classes and comprehensions."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))
