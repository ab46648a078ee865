"""The one place that knows how `tito grade` grades: everything else sees only outcomes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from tests.grading.small_course import LESSON
from tito.course import CourseError
from tito.grading.batch import Batch, GradeOptions, grade_batch
from tito.grading.class_folders import ClassFolders
from tito.grading.sandbox.levels import Level, choose
from tito.grading.table import read_rows

CELL_S = 3.0
SPEED_CELL_S = 30.0
NOTEBOOK_S = 25.0
SPEED_NOTEBOOK_S = 120.0
AT_ONCE = 3  # some only wait for a deadline


@dataclass
class Outcome:
    """What a submission came to.

    Attributes:
        points: All points of its tests; None when it has no marks.
        tasks: Points by task.
        notes: What stands beside its mark.
        outputs: Everything its cells showed, as JSON text.
        page: Its feedback page.
    """

    points: float | None = None
    tasks: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    outputs: str = ""
    page: str = ""


def level() -> Level:
    """The isolation that untrusted work gets here; `process` where there are no walls.

    The environment variable TITO_ATTACKED_LEVEL asks for another one, which must work.
    """
    wanted = os.environ.get("TITO_ATTACKED_LEVEL")
    if wanted:
        return choose(Level(wanted))[0]
    try:
        return choose(None)[0]
    except CourseError:
        return Level.PROCESS


def grade(
    folders: ClassFolders, students: list[str] | None = None, speed: bool = False
) -> dict[str, Outcome]:
    """Grade all submissions, or some, in one batch; an outcome for each in the table."""
    cell_s, notebook_s = (SPEED_CELL_S, SPEED_NOTEBOOK_S) if speed else (CELL_S, NOTEBOOK_S)
    options = GradeOptions(level(), cell_s=cell_s, notebook_s=notebook_s, at_once=AT_ONCE)
    batch: Batch = grade_batch(folders, LESSON, students, options)
    assert not batch.interrupted, "something interrupted the batch"
    return read_outcomes(folders, batch.problems)


def read_outcomes(folders: ClassFolders, problems: dict[str, str]) -> dict[str, Outcome]:
    """The table's rows, with what students and teachers get to see."""
    outcomes: dict[str, Outcome] = {}
    for row in read_rows(folders, LESSON, problems):
        found = outcomes[row.student] = Outcome(notes=row.notes)
        if row.marks is not None:
            found.points = row.marks.total
            found.tasks = {name: task.points for name, task in row.marks.tasks.items()}
        page = folders.feedback(row.student, LESSON)
        if page.is_file():
            found.page = page.read_text(encoding="utf-8", errors="replace")
        path = folders.autograded(row.student, LESSON)
        if path.is_file():
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            shown = [cell["outputs"] for cell in cells if cell["cell_type"] == "code"]
            found.outputs = json.dumps(shown, ensure_ascii=False)
    return outcomes
