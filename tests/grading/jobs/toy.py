"""Grading without sandboxes, for tests of what happens around it; and death at chosen moments."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.grading.small_course import LESSON
from tito.grading import submission
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs import warm_ground
from tito.grading.verdicts import FAILED, PASSED, CellVerdict
from tito.lessons import notebook as nb

POISON, SLOW, BROKEN = "# poison", "# slow", "# broken"
_CHANGING = {"graded", "seconds", "content"}


class ToyZygote:
    """Nothing warm."""

    def __init__(self, given: Path, level: str, preload: Sequence[str] = ()) -> None:
        self.given, self.level = given, level

    def close(self) -> None:
        """Nothing to end."""


class ToyRun:
    """A test passes when the cell `pairs` is the right one; nothing of the student's runs."""

    def __init__(self, notebook: nb.Notebook, *about: Any) -> None:
        self._cells = notebook["cells"]
        self.problems: list[str] = []

    def run(self) -> dict[int, CellVerdict]:
        text = "\n".join(cell["source"] for cell in self._cells)
        if POISON in text:
            os.kill(os.getppid(), signal.SIGKILL)
        if BROKEN in text:
            raise ValueError("broken")
        time.sleep(60 if SLOW in text else 0.01)
        status = PASSED if "size - 1" in text else FAILED
        return {
            index: CellVerdict(str(nb.grade_id(cell)), status)
            for index, cell in enumerate(self._cells)
            if nb.is_test(cell)
        }


def install() -> None:
    """Grade by toys in this process."""
    warm_ground.Zygote = ToyZygote  # type: ignore[misc, assignment]
    submission.NotebookRun = ToyRun  # type: ignore[misc, assignment]
    submission.RunSettings = lambda *about: None  # type: ignore[misc, assignment]


def die_at(owner: Any, name: str, when: str, call: int = 1) -> None:
    """Have this process killed before or after the given call of a function.

    Forks of it do not die: they have another process number.
    """
    original: Callable[..., Any] = getattr(owner, name)
    calls: list[int] = []
    victim = os.getpid()

    def deadly(*arguments: Any, **keywords: Any) -> Any:
        calls.append(1)
        now = len(calls) == call and os.getpid() == victim
        if now and when == "before":
            os.kill(victim, signal.SIGKILL)
        result = original(*arguments, **keywords)
        if now:
            os.kill(victim, signal.SIGKILL)
        return result

    setattr(owner, name, deadly)


def contents(folders: ClassFolders) -> dict[str, Any]:
    """Everything a class's gradebook and graded notebooks say, without times and identities."""
    found: dict[str, Any] = {"notebooks": {}}
    path = folders.root / "gradebook" / "gradebook.db"
    with sqlite3.connect(path) as book:
        queries = {
            "grades": "SELECT student_id, name, auto_score, manual_score, needs_manual_grade "
            "FROM grade JOIN submitted_notebook n ON n.id = grade.notebook_id "
            "JOIN submitted_assignment a ON a.id = n.assignment_id "
            "JOIN base_cell c ON c.id = grade.cell_id",
            "submissions": "SELECT student_id, timestamp FROM submitted_assignment",
            "students": "SELECT id FROM student",
            "comments": "SELECT count(*), auto_comment, manual_comment FROM comment GROUP BY 2, 3",
        }
        for name, query in queries.items():
            found[name] = sorted(book.execute(query).fetchall(), key=repr)
    book.close()
    for student in folders.students(LESSON):
        graded = folders.autograded(student, LESSON)
        if graded.is_file():
            notebook = json.loads(graded.read_text(encoding="utf-8"))
            record = notebook["metadata"]["tito_grading"]
            kept = {key: value for key, value in record.items() if key not in _CHANGING}
            sources = [cell["source"] for cell in notebook["cells"][1:]]
            found["notebooks"][student] = (kept, sources)
    return found
