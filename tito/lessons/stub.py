"""The line a student finds in place of a solution, and how to see that it is still there."""

from __future__ import annotations

import ast

STUB_MESSAGE = "write your solution here, then delete this line"


def is_stub(node: ast.AST) -> bool:
    """Whether a statement is the line left in place of a solution."""
    if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
        return False
    call = node.exc
    return (
        isinstance(call.func, ast.Name)
        and call.func.id == "NotImplementedError"
        and any(isinstance(arg, ast.Constant) and arg.value == STUB_MESSAGE for arg in call.args)
    )


def unfinished(code: str) -> list[str]:
    """Name the functions of a cell that still hold the stub.

    Args:
        code: A cell's text; text that is not Python is searched for the message alone.

    Returns:
        Names as `Timer.measure`; `the cell itself` for a stub outside any function.
    """
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return ["the cell itself"] if STUB_MESSAGE in code else []
    found: list[str] = []
    _collect(tree, (), found)
    return found


def _collect(node: ast.AST, path: tuple[str, ...], found: list[str]) -> None:
    for child in ast.iter_child_nodes(node):
        if is_stub(child):
            name = ".".join(path) or "the cell itself"
            if name not in found:
                found.append(name)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            _collect(child, (*path, child.name), found)
        else:
            _collect(child, path, found)
