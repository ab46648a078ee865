"""Graded notebooks for the tests of the gradebook, run in this process: the course's own."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Any

from tests.grading.small_course import instructor_notebook
from tito.grading import record
from tito.grading.judge.cell_outputs import finish, label
from tito.grading.outputs import error_output
from tito.grading.rebuild import rebuilt
from tito.grading.verdicts import FAILED, PASSED, CellVerdict
from tito.lessons import notebook as nb


def graded(submission: nb.Notebook, content: str = "one", **changes: Any) -> nb.Notebook:
    """A submission rebuilt and run, with its record.

    Args:
        submission: The student's notebook.
        content: The hash its record carries.
        changes: Fields of the record to replace.
    """
    made = rebuilt(submission, instructor_notebook())
    verdicts, namespace = [], {"__name__": "__main__"}
    for index, cell in enumerate(made.notebook["cells"]):
        if cell["cell_type"] == "code":
            verdicts.append(_ran(cell, index, namespace))
    worth = record.test_points(made.notebook)
    kept = record.new_record("process", content, made.notes, verdicts, True, worth)
    for name, value in changes.items():
        setattr(kept, name, value)
    record.attach(made.notebook, kept)
    return made.notebook


def _ran(cell: nb.Cell, index: int, namespace: dict[str, Any]) -> CellVerdict:
    printed = io.StringIO()
    status, outputs = PASSED, []
    try:
        with redirect_stdout(printed):
            exec(cell["source"], namespace)
    except Exception as error:
        status = FAILED
        outputs = [error_output(type(error).__name__, str(error))]
    if printed.getvalue():
        stream = {"output_type": "stream", "name": "stdout", "text": printed.getvalue()}
        outputs.insert(0, stream)
    cell["outputs"] = outputs
    verdict = CellVerdict(label(cell, index), status)
    finish(cell, verdict)
    return verdict
