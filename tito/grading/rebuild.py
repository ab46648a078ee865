"""From what a student handed in to the notebook that is graded.

The graded notebook is the instructor's, cell by cell, with the student's text in the places that
belong to students. Tests and read-only cells are the instructor's whatever came back; of a
student's cell only the text is taken, so its tags and metadata decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tito.course import CourseError
from tito.lessons import notebook as nb
from tito.lessons.nbgrader_settings import TEXT_STUB
from tito.lessons.roles import visible_text

LARGEST_BYTES = 20 << 20
_LARGEST_SOURCE = 1 << 20
_MOST_CELLS = 2_000


@dataclass
class Rebuilt:
    """A notebook ready to run, and what the instructor should know of it.

    `readable` is false when nothing of the submission could be used; then nothing is run.
    """

    notebook: nb.Notebook
    notes: list[str] = field(default_factory=list)
    readable: bool = True


def read_submission(path: Path) -> nb.Notebook:
    """Read a submitted notebook.

    Raises:
        CourseError: It is absent, a link, too large, or no notebook.
    """
    if path.is_symlink():
        raise CourseError(f"{path.name} is a link, and links are not followed.", "Hand in a file.")
    if not path.is_file():
        raise CourseError(f"{path.name} was not handed in.", "Hand it in under this name.")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        raise CourseError(
            f"{path.name} has {size / 1e6:.0f} MB; at most {LARGEST_BYTES / 1e6:.0f} are read.",
            "Clear the outputs (Edit, Clear Outputs of All Cells), save, and hand in again.",
        )
    notebook = nb.read_notebook(path, path.name)
    refuse_odd_sizes(notebook, path.name)
    return notebook


def refuse_odd_sizes(notebook: nb.Notebook, name: str) -> None:
    """Refuse what no student types.

    Raises:
        CourseError: It has thousands of cells, or one of a megabyte.
    """
    cells = notebook["cells"]
    if len(cells) > _MOST_CELLS or any(len(cell["source"]) > _LARGEST_SOURCE for cell in cells):
        raise CourseError(
            f"{name} has {len(cells)} cells; at most {_MOST_CELLS} of "
            f"{_LARGEST_SOURCE / 1e6:.0f} MB of text each are read.",
            "Remove what does not belong to the lesson.",
        )


def rebuilt(submitted: nb.Notebook, lesson: nb.Notebook) -> Rebuilt:
    """Put a submission's cells into the instructor's notebook.

    Args:
        submitted: What `read_submission` returned.
        lesson: The instructor's notebook.
    """
    found = _Submission(submitted, lesson)
    cells: list[nb.Cell] = list(found.added_before_all)
    for cell in lesson["cells"]:
        cells.append(found.version_of(cell))
        cells.extend(found.added_after(cell))
    fresh = nb.new_notebook(_with_ids(cells))
    return Rebuilt(fresh, found.notes)


class _Submission:
    """A student's cells, each at the lesson's cell that it belongs to or follows."""

    def __init__(self, submitted: nb.Notebook, lesson: nb.Notebook) -> None:
        self.notes: list[str] = []
        self.added_before_all: list[nb.Cell] = []
        self._own: dict[str, nb.Cell] = {}
        self._added: dict[str, list[nb.Cell]] = {}
        self._by_text = {_text_key(cell): cell["id"] for cell in lesson["cells"]}
        by_grade_id = {nb.grade_id(cell): cell for cell in lesson["cells"] if nb.grade_id(cell)}
        by_id = {cell["id"]: cell for cell in lesson["cells"]}
        anchor: str | None = None
        for cell in submitted["cells"]:
            place = self._place(cell, by_grade_id, by_id)
            if place is not None and place not in self._own:
                self._own[place] = cell
                anchor = place
                continue
            if place is not None and not self._is_students(by_id[place]):
                self.notes.append(f"a copy of the cell `{by_id[place]['id']}` was left out")
                continue
            if place is not None and nb.grade_id(cell):
                self.notes.append(f"the cell `{nb.grade_id(cell)}` is there more than once")
            added = _plain(cell)
            if added is not None and anchor is None:
                self.added_before_all.append(added)
            elif added is not None:
                self._added.setdefault(str(anchor), []).append(added)

    def version_of(self, cell: nb.Cell) -> nb.Cell:
        """The lesson's cell, with the student's text where the place is the student's."""
        own = self._own.get(cell["id"])
        fresh = nb.new_cell(cell["cell_type"], cell["source"], cell["id"], _metadata(cell))
        identity = nb.grade_id(cell)
        if own is None:
            if identity is not None:
                self.notes.append(f"the cell `{identity}` was missing")
            fresh["source"] = _released(cell)
            return fresh
        if self._is_students(cell):
            fresh["source"] = own["source"]
        if own["cell_type"] != cell["cell_type"] and identity is not None:
            self.notes.append(f"the cell `{identity}` was turned into {own['cell_type']}")
        return fresh

    def added_after(self, cell: nb.Cell) -> list[nb.Cell]:
        """The student's additional cells that follow a cell of the lesson."""
        return self._added.get(cell["id"], [])

    def _place(
        self, cell: nb.Cell, by_grade_id: dict[Any, nb.Cell], by_id: dict[str, nb.Cell]
    ) -> str | None:
        """The lesson's cell that a submitted cell is: by grade_id, by its id, by its text."""
        identity = nb.grade_id(cell)
        if identity in by_grade_id and identity is not None:
            return str(by_grade_id[identity]["id"])
        known = by_id.get(str(cell.get("id")))
        if known is not None and nb.grade_id(known) is None:
            return str(known["id"])
        if identity is None:
            return self._by_text.get(_text_key(cell))
        return None

    @staticmethod
    def _is_students(cell: nb.Cell) -> bool:
        """Whether the lesson leaves a cell to the student: solutions, answers, ungraded cells."""
        return nb.grade_id(cell) is None or nb.is_solution(cell)


def _text_key(cell: nb.Cell) -> tuple[str, str]:
    return str(cell["cell_type"]), str(cell["source"]).strip()


def _metadata(cell: nb.Cell) -> dict[str, Any]:
    """A copy of the lesson's own metadata."""
    return {key: dict(v) if isinstance(v, dict) else v for key, v in cell["metadata"].items()}


def _plain(cell: nb.Cell) -> nb.Cell | None:
    """A student's additional cell without metadata; None for kinds that show nothing."""
    if cell["cell_type"] not in ("code", "markdown"):
        return None
    identity = nb.content_id("student", cell["source"])
    return nb.new_cell(cell["cell_type"], cell["source"], identity, {})


def _with_ids(cells: list[nb.Cell]) -> list[nb.Cell]:
    identities = nb.deduplicated([cell["id"] for cell in cells])
    return [{**cell, "id": each} for cell, each in zip(cells, identities, strict=True)]


def _released(cell: nb.Cell) -> str:
    """The text of the lesson's cell as students received it; tests keep what they hide."""
    if not nb.is_solution(cell):
        return str(cell["source"])
    stub = {} if cell["cell_type"] == "code" else {"stub": TEXT_STUB}
    return visible_text(cell["source"], **stub)
