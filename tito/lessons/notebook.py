"""Notebook files: reading with clear messages, and writing the same bytes for the same content.

The course needs only format 4 and plain dictionaries; importing nbformat would cost three seconds
of every command (a test checks that it agrees with what is written here).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tito.course import CourseError

Cell = dict[str, Any]
Notebook = dict[str, Any]

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def new_notebook(cells: list[Cell]) -> Notebook:
    """A notebook with the course's kernel and these cells."""
    metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def new_cell(kind: str, source: str, cell_id: str, metadata: dict[str, Any]) -> Cell:
    """A cell without outputs."""
    cell: Cell = {"cell_type": kind, "id": cell_id, "metadata": metadata, "source": source}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell


def content_id(kind: str, source: str) -> str:
    """A cell id made from the cell's content."""
    return "c-" + hashlib.sha256(f"{kind}\n{source}".encode()).hexdigest()[:12]


def to_bytes(notebook: Notebook) -> bytes:
    """The file's content: sorted keys, one space of indent, sources as lists of lines."""
    stored = {**notebook, "cells": [_split(cell) for cell in notebook["cells"]]}
    text = json.dumps(stored, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return text.encode("utf-8", "replace")  # half of a surrogate pair has no bytes


def _split(cell: Cell) -> Cell:
    return {**cell, "source": cell["source"].splitlines(keepends=True)}


def read_notebook(path: Path, shown: str | None = None) -> Notebook:
    """Read a notebook; sources come back as one string a cell.

    Args:
        path: The `.ipynb` file.
        shown: The name messages use; the path when None.

    Raises:
        CourseError: It is missing, not JSON, or not a notebook of format 4.
    """
    name = shown or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CourseError(f"There is no notebook at {name}.", "Check the path.") from error
    except IsADirectoryError as error:
        raise CourseError(f"{name} is a folder.", "Give the .ipynb file itself.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"{name} cannot be read: {error}.", _RESTORE) from error
    return parse_notebook(text, name)


_RESTORE = "Restore the file: from JupyterLab's checkpoint, or from the copy you were given."


def parse_notebook(text: str, name: str) -> Notebook:
    """Parse a notebook file's content; see `read_notebook`."""
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}: {error.msg}"
        raise CourseError(f"{name} is not JSON ({where}), so no notebook.", _RESTORE) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise CourseError(f"{name} cannot be read: {error}.", _RESTORE) from error
    except RecursionError as error:  # ten thousand brackets in a row
        raise CourseError(f"{name} is nested too deeply to read.", _RESTORE) from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise CourseError(f"{name} has no list of cells, so it is no notebook.", _RESTORE)
    if notebook.get("nbformat") != 4:
        found = notebook.get("nbformat")
        fix = "Open it in JupyterLab and save it, which brings it to format 4."
        raise CourseError(f"{name} has notebook format {found!r}; expected 4.", fix)
    notebook["cells"] = [_joined(cell, i, name) for i, cell in enumerate(notebook["cells"], 1)]
    return notebook


def _joined(cell: object, number: int, name: str) -> Cell:
    """A cell with its source as one string and its metadata a dictionary."""
    if isinstance(cell, dict) and isinstance(cell.get("cell_type"), str):
        source, metadata = cell.get("source", ""), cell.get("metadata", {})
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if isinstance(source, str) and isinstance(metadata, dict):
            return {**cell, "source": source, "metadata": metadata}
    raise CourseError(f"Cell {number} of {name} is malformed.", _RESTORE)


def grade_id(cell: Cell) -> str | None:
    """The cell's nbgrader id, when it has one."""
    value = _nbgrader(cell).get("grade_id")
    return value if isinstance(value, str) and value else None


def is_solution(cell: Cell) -> bool:
    """Whether nbgrader's metadata call it a solution cell."""
    return _nbgrader(cell).get("solution") is True


def is_test(cell: Cell) -> bool:
    """Whether it is code that earns points."""
    return cell["cell_type"] == "code" and _nbgrader(cell).get("grade") is True


def was_edited(cell: Cell) -> bool:
    """Whether a cell that students must leave alone is not what nbgrader gave out."""
    given = _nbgrader(cell)
    return "checksum" in given and given["checksum"] != checksum(cell)


def checksum(cell: Cell) -> str:
    """nbgrader's checksum of a cell: its text, type, role, id and points."""
    given = _nbgrader(cell)
    grade, solution = given.get("grade") is True, given.get("solution") is True
    locked = not solution and (grade or given.get("locked") is True)
    parts = [cell["source"], cell["cell_type"], str(grade), str(solution), str(locked)]
    parts.append(str(given.get("grade_id")))
    points = given.get("points")
    if grade and isinstance(points, (int, float)):
        parts.append(str(float(points)))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def has_tag(cell: Cell, tag: str) -> bool:
    """Whether the cell carries a tag."""
    tags = cell["metadata"].get("tags")
    return isinstance(tags, list) and tag in tags


def _nbgrader(cell: Cell) -> dict[str, Any]:
    value = cell["metadata"].get("nbgrader")
    return value if isinstance(value, dict) else {}


def check_ids(notebook: Notebook, name: str, expected: list[str] | None = None) -> None:
    """Refuse a notebook whose graded cells were copied or lost.

    Args:
        notebook: What `read_notebook` returned.
        name: Its name, for messages.
        expected: The grade_ids of the notebook as it was given out, when known.

    Raises:
        CourseError: A grade_id occurs twice, or an expected one is missing.
    """
    places: dict[str, list[int]] = {}
    for number, cell in enumerate(notebook["cells"], start=1):
        identity = grade_id(cell)
        if identity is not None:
            places.setdefault(identity, []).append(number)
    for identity, numbers in places.items():
        if len(numbers) > 1:
            where = " and ".join(map(str, numbers))
            raise CourseError(
                f"In {name} the cell {identity!r} occurs {len(numbers)} times (cells {where}).",
                "Delete the copies and keep one: a copied cell carries the original's identity.",
            )
    missing = [identity for identity in expected or [] if identity not in places]
    if missing:
        raise CourseError(
            f"{name} lacks the cells {', '.join(map(repr, missing))}.",
            "Undo their deletion, or copy your work into a fresh copy of the notebook.",
        )


def deduplicated(wanted: list[str]) -> list[str]:
    """The same ids, with `-2`, `-3`, ... after those that came before."""
    seen: Counter[str] = Counter()
    result: list[str] = []
    for identity in wanted:
        seen[identity] += 1
        result.append(identity if seen[identity] == 1 else f"{identity}-{seen[identity]}")
    return result
