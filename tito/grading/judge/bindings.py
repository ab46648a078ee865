"""Which names a cell binds, read from its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def names_bound_by(tree: ast.Module, imports: bool = True) -> Iterator[str]:
    """The names that a cell binds when it runs: definitions, assignments, loops, imports.

    Args:
        tree: The parsed cell.
        imports: Whether imported names count.
    """
    for node in _same_scope(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif imports and isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]


def _same_scope(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes that run in the cell's own scope: not those inside functions and classes."""
    for child in ast.iter_child_nodes(tree):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _same_scope(child)


_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
