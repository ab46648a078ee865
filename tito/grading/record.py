"""What is kept beside every mark: how the submission was run, and what the teacher should know."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tito.course import CourseError
from tito.grading.verdicts import DIED, ENDLESS, NOT_RUN, PASSED, CellVerdict
from tito.lessons import notebook as nb

_KEY = "tito_grading"
_REPORT_ID = "grading-report"


@dataclass
class Record:
    """One grading of one submission.

    Attributes:
        isolation: The level it ran under.
        content: The hash of everything the marks follow from.
        notes: What a person should look at, one sentence each.
        readable: False when nothing of the submission could be used.
        graded: When, in UTC.
        seconds: How long its cells ran.
        complete: Whether the marks are in the gradebook.
        scores: By grade_id, the points that tests earned.
    """

    isolation: str
    content: str
    notes: list[str] = field(default_factory=list)
    readable: bool = True
    graded: str = ""
    seconds: float = 0.0
    complete: bool = False
    scores: dict[str, float] = field(default_factory=dict)


def new_record(
    isolation: str,
    content: str,
    notes: list[str],
    verdicts: list[CellVerdict],
    readable: bool,
    worth: dict[str, float] | None = None,
) -> Record:
    """The record of a run that just ended.

    Args:
        isolation: The level it ran under.
        content: The hash of everything the marks follow from.
        notes: What a person should look at.
        verdicts: What became of its cells.
        readable: False when nothing of the submission could be used.
        worth: By grade_id, what tests can earn, for verdicts that name no points: they earn all
            of it when passed, and else nothing.
    """
    stopped = [
        f"cell `{each.label}` {'did not run: ' if each.status == NOT_RUN else ''}{each.message}"
        for each in verdicts
        if each.status in (ENDLESS, DIED, NOT_RUN)
    ]
    seconds = round(sum(each.seconds for each in verdicts), 2)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(
        isolation,
        content,
        [*notes, *_shortened(stopped)],
        readable,
        now,
        seconds,
        scores=_scores(verdicts, worth or {}),
    )


def test_points(notebook: nb.Notebook) -> dict[str, float]:
    """By grade_id, the most that a notebook's tests can earn."""
    return {
        str(nb.grade_id(cell)): float(cell["metadata"]["nbgrader"]["points"])
        for cell in notebook["cells"]
        if nb.is_test(cell)
    }


def _scores(verdicts: list[CellVerdict], worth: dict[str, float]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for each in verdicts:
        if each.points is not None:
            scores[each.label] = each.points
        elif each.label in worth:
            scores[each.label] = worth[each.label] if each.status == PASSED else 0.0
    return scores


def attach(notebook: nb.Notebook, record: Record) -> None:
    """Put a record into a notebook: as metadata, and as a first cell for whoever reads it."""
    notebook["metadata"][_KEY] = asdict(record)
    when = datetime.fromisoformat(record.graded).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"**Graded {when}, isolation: {record.isolation}.**"]
    if record.notes:
        lines += ["", "What to look at:", "", *(f"- {_plain(note)}" for note in record.notes)]
    report = nb.new_cell("markdown", "\n".join(lines), _REPORT_ID, {"editable": False})
    cells = [cell for cell in notebook["cells"] if cell.get("id") != _REPORT_ID]
    notebook["cells"] = [report, *cells]


def seal(notebook: Any) -> None:
    """Mark a notebook's record as complete: its marks are in the gradebook."""
    notebook["metadata"][_KEY]["complete"] = True


def add_note(notebook: nb.Notebook, note: str) -> None:
    """Add a note to a notebook's record, if it has one."""
    record = record_in(notebook)
    if record is not None:
        record.notes.append(note)
        attach(notebook, record)


def record_in(notebook: Any) -> Record | None:
    """The record that a notebook carries, complete or not."""
    kept = notebook["metadata"].get(_KEY)
    return Record(**kept) if isinstance(kept, dict) else None


def read_record(autograded: Path) -> Record | None:
    """The record in a graded notebook; None when there is none, or its marks never arrived."""
    if pending(autograded.parent).exists():
        return None
    try:
        record = record_in(nb.read_notebook(autograded))
    except CourseError:
        return None
    return record if record is not None and record.complete else None


def pending(folder: Path) -> Path:
    """Where the next content of a folder in autograded/ waits while its marks are stored.

    When it is there and nothing stores marks, a grading was ended halfway: what the gradebook
    holds may be of either submission.
    """
    return folder.with_name(f".{folder.name}.storing")


def _shortened(stopped: list[str]) -> list[str]:
    if len(stopped) <= 6:
        return stopped
    return [*stopped[:5], f"and {len(stopped) - 5} more cells that were stopped or did not run"]


def _plain(note: str) -> str:
    """A note as one line of Markdown; a student's words in it must not become markup."""
    return " ".join(note.replace("<", "&lt;").replace("[", "\\[").split())
