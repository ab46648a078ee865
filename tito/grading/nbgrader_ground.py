"""Where nbgrader's submissions run: made once for a whole command, not once a submission."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tito.course import Lesson
from tito.grading.jobs.judge_child import in_a_child
from tito.grading.judge.cell_outputs import finish, label
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.sandbox.levels import Level, choose
from tito.grading.sandbox.zygote import Zygote
from tito.grading.verdicts import FAILED, NOT_RUN, CellVerdict
from tito.lessons import notebook as nb
from tito.lessons.given import given_tree

_OVERTIME_S = 60.0  # for starting and ending sandboxes, beyond the notebook's own time


class Ground:
    """A lesson's warm process that starts sandboxes, with all it needs.

    Args:
        lesson: The lesson.
        source: The instructor's notebook.
        isolation: The level wanted; empty for the best that works.
    """

    def __init__(self, lesson: Lesson, source: nb.Notebook, isolation: str) -> None:
        self._level, _ = choose(Level(isolation) if isolation else None)
        self._source = source
        self._folder = tempfile.TemporaryDirectory(prefix="tito-given-")
        given = Path(self._folder.name)
        given_tree(given, lesson.number)
        given.chmod(0o755)
        self._zygote = Zygote(given, self._level)

    @property
    def level(self) -> str:
        """The level submissions run under."""
        return self._level.value

    def run(self, notebook: nb.Notebook, cell_s: float, notebook_s: float) -> list[CellVerdict]:
        """Run a rebuilt notebook; its cells receive outputs.

        Raises:
            CourseError: The process that judges it failed.
        """

        def judge(tell: Callable[[int, int], None]) -> bytes:
            settings = RunSettings(self._level, cell_s, notebook_s)
            run = NotebookRun(notebook, self._source, self._zygote, settings, tell)
            verdicts = [asdict(verdict) for verdict in run.run().values()]
            return json.dumps({"cells": notebook["cells"], "verdicts": verdicts}).encode()

        said = json.loads(in_a_child(judge, notebook_s + _OVERTIME_S))
        notebook["cells"] = said["cells"]
        return [CellVerdict(**verdict) for verdict in said["verdicts"]]

    def close(self) -> None:
        """End the warm process and remove what was made."""
        self._zygote.close()
        self._folder.cleanup()


_grounds: weakref.WeakKeyDictionary[Any, Ground] = weakref.WeakKeyDictionary()


def ground_of(command: Any, lesson: Lesson, source: nb.Notebook, isolation: str) -> Ground:
    """The ground of one of nbgrader's commands, which grades one lesson.

    Args:
        command: nbgrader's converter; when it goes, the ground goes.
        lesson: The lesson.
        source: The instructor's notebook.
        isolation: The level wanted; empty for the best that works.
    """
    if command not in _grounds:
        ground = Ground(lesson, source, isolation)
        _grounds[command] = ground
        weakref.finalize(command, ground.close)
    return _grounds[command]


def not_run(notebook: nb.Notebook, cell_s: float, notebook_s: float) -> list[CellVerdict]:
    """Give every test its zero when a submission cannot be read."""
    verdicts: list[CellVerdict] = []
    for index, cell in enumerate(notebook["cells"]):
        if nb.is_test(cell):
            why = "the submission could not be read"
            finish(cell, CellVerdict(label(cell, index), NOT_RUN, why))
            # in the record one reason is enough: a test that did not run would be a note each
            verdicts.append(CellVerdict(label(cell, index), FAILED, why, points=0.0))
    return verdicts
