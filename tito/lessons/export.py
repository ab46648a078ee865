"""`tito export`: from a notebook's `#| export` cells to a module of the package."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from tito.course import Course, CourseError, Layout, Lesson
from tito.lessons import nbgrader_settings as settings
from tito.lessons import notebook as nb
from tito.lessons.atomic import write_atomically
from tito.lessons.roles import is_exported
from tito.lessons.ruff import formatted
from tito.lessons.stub import unfinished

_WIDTH = 100  # the project's line length
_HEADER_END = '"""\n'
_MARKERS = {settings.BEGIN_SOLUTION, settings.END_SOLUTION}


@dataclass(frozen=True)
class Exported:
    """A module made from a notebook."""

    code: str
    unfinished: list[str]


def export(course: Course, lesson: Lesson, notebook: Path | None, to: Path | None) -> Exported:
    """Write a lesson's module from its notebook.

    Args:
        course: Where the package lies.
        lesson: Which lesson.
        notebook: The notebook; the course's own when None.
        to: The file to write; `tinytorch/<name>.py` when None.

    Returns:
        The module's text, and the functions whose solutions are not written yet.

    Raises:
        CourseError: The notebook cannot be read, exports nothing, or holds broken Python; the old
            module is then left as it was.
    """
    path = notebook or course.notebook(lesson)
    if notebook is None and course.layout is Layout.CHECKOUT:
        from tito.lessons.build import current_source  # not part of a student's folder

        current_source(course, lesson)
    shown = course.relative(path)
    result = exported(nb.read_notebook(path, shown), lesson, shown)
    write_atomically(to or course.exported(lesson), result.code)
    return result


def exported(notebook: nb.Notebook, lesson: Lesson, shown: str) -> Exported:
    """Make a module's text from a notebook's export cells; see `export`."""
    imports: list[str] = []
    bodies: list[str] = []
    names: set[str] = set()
    stubs: list[str] = []
    for number, cell in enumerate(notebook["cells"], start=1):
        if cell["cell_type"] != "code" or not is_exported(cell["source"]):
            continue
        code = _without_markers(cell["source"])
        tree = _parsed(code, f"cell {number} ({nb.grade_id(cell) or 'no grade_id'}) of {shown}")
        stubs += unfinished(code)
        names |= _public_names(tree)
        head, body = _split_imports(_without_steps(code), tree)
        imports += head
        bodies.append(body)
    if not bodies:
        raise CourseError(
            f"{shown} has no cell whose first line is `#| export`, so there is nothing to export.",
            f"Is it the notebook of lesson {lesson}? Give another with --notebook.",
        )
    text = _assembled(lesson, shown, imports, names, bodies)
    return Exported(_allow_long_lines(formatted(text, f"{lesson.name}.py")), stubs)


def _allow_long_lines(code: str) -> str:
    """Tell ruff that long lines are meant: a notebook's lines have a width of their own."""
    if all(len(line) <= _WIDTH for line in code.split("\n")):
        return code
    return code.replace(_HEADER_END, f"{_HEADER_END}# ruff: noqa: E501\n", 1)


def _parsed(code: str, where: str) -> ast.Module:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        at = f", line {line}" if line else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise CourseError(
            f"{where}{at} is not Python: {message}. The module was left as it was.",
            "Run that cell in the notebook, correct it, save, and export again.",
        ) from error


def _without_markers(source: str) -> str:
    """Blank the lines that are for the notebook only; line numbers stay those of the cell."""
    lines = source.split("\n")
    first = next(i for i, line in enumerate(lines) if line.strip())  # the `#| export` line
    return "\n".join(
        "" if number == first or line.strip() in _MARKERS else line
        for number, line in enumerate(lines)
    )


def _without_steps(code: str) -> str:
    """Blank the `# TODO` comments with the steps below them: they address the student."""
    lines = code.split("\n")
    comments = {
        token.start[0] - 1
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip()
    }
    in_steps = False
    for number, line in enumerate(lines):
        in_steps = number in comments and (in_steps or line.lstrip("# \t").startswith("TODO"))
        if in_steps:
            lines[number] = ""
    return "\n".join(lines)


def _split_imports(code: str, tree: ast.Module) -> tuple[list[str], str]:
    """Take the top-level imports that stand on lines of their own out of a cell."""
    lines = code.split("\n")
    taken: list[str] = []
    occupied = [line for node in tree.body for line in {node.lineno, node.end_lineno}]
    for node in tree.body:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        first, last = node.lineno, node.end_lineno or node.lineno
        if occupied.count(first) > 1 or occupied.count(last) > 1:
            continue  # `import a; a.setup()`: moving the line would move the call
        taken.append("\n".join(lines[first - 1 : last]))
        lines[first - 1 : last] = [""] * (last - first + 1)
    return taken, "\n".join(lines).strip("\n")


def _assembled(
    lesson: Lesson, shown: str, imports: list[str], names: set[str], bodies: list[str]
) -> str:
    is_future = [text.lstrip().startswith("from __future__") for text in imports]
    future = [text for text, first in zip(imports, is_future, strict=True) if first]
    others = [text for text, first in zip(imports, is_future, strict=True) if not first]
    header = (
        f'"""{lesson.title}: the module that lesson {lesson.number} builds.\n\n'
        f"Generated by `tito export {lesson.number}` from {shown};\n"
        f"edit the notebook, not this file.\n{_HEADER_END}"
    )
    listed = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in _sorted(names)) + "]"
    parts = [header, *dict.fromkeys(future), "\n".join(dict.fromkeys(others)), listed, *bodies]
    return "\n\n".join(part for part in parts if part) + "\n"


def _public_names(tree: ast.Module) -> set[str]:
    """Names a cell defines at its top level, without private ones and imports."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            leaves = [leaf for target in node.targets for leaf in ast.walk(target)]
            names |= {
                leaf.id
                for leaf in leaves
                if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)
            }
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def _sorted(names: set[str]) -> list[str]:
    """Constants, then classes, then functions, digits by value: the order ruff's RUF022 wants."""

    def key(name: str) -> tuple[int, list[tuple[int, int, str]]]:
        group = 2
        if name.isupper() and len(name) > 1:
            group = 0
        elif name[0].isupper():
            group = 1
        parts = re.findall(r"\d+|\D+", name)
        return group, [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]

    return sorted(names, key=key)
