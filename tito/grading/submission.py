"""Grading one submission: from the bytes a student handed in to the notebook with its record."""

from __future__ import annotations

from collections.abc import Callable

from tito.course import CourseError
from tito.grading import record
from tito.grading.jobs.payload import Order
from tito.grading.judge.cell_outputs import finish, label
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.rebuild import Rebuilt, rebuilt, refuse_odd_sizes
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import Zygote
from tito.grading.verdicts import FAILED, NOT_RUN, CellVerdict
from tito.lessons import notebook as nb

Progress = Callable[[int, int], None]


def run_submission(
    submission: bytes | None,
    lesson: nb.Notebook,
    order: Order,
    zygote: Zygote,
    progress: Progress = lambda done, total: None,
) -> nb.Notebook:
    """Rebuild a submission, run it, and return it with outputs and record.

    Args:
        submission: The file handed in; None when it could not be read, and the order says why.
        lesson: The instructor's notebook.
        order: How it is graded.
        zygote: Starts its sandboxes, at the level and with the given tree that the order names.
        progress: Told the number of cells done, out of all.
    """
    made = rebuilt_bytes(submission, lesson, order)
    if made.readable:
        settings = RunSettings(Level(order.isolation), order.cell_s, order.notebook_s)
        run = NotebookRun(made.notebook, lesson, zygote, settings, progress)
        verdicts, problems = run.run(), run.problems
    else:
        verdicts, problems = _nothing_ran(made.notebook), []
    notes = [*order.notes, *made.notes, *problems]
    kept = record.new_record(
        order.isolation,
        order.content,
        notes,
        list(verdicts.values()),
        made.readable,
        record.test_points(lesson),
    )
    record.attach(made.notebook, kept)
    return made.notebook


def rebuilt_bytes(submission: bytes | None, lesson: nb.Notebook, order: Order) -> Rebuilt:
    """Put a file's content into the lesson's form; never raises for what is in it."""
    try:
        if submission is None:
            raise CourseError(order.unreadable)
        return rebuilt(_parsed(submission, order.name), lesson)
    except CourseError as error:
        blank = rebuilt(nb.new_notebook([]), lesson).notebook
        return Rebuilt(blank, [error.message], readable=False)


def _parsed(submission: bytes, name: str) -> nb.Notebook:
    """The notebook in a file.

    Raises:
        CourseError: It is none, or one of no reasonable size.
    """
    try:
        text = submission.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CourseError(
            f"{name} is not UTF-8 text (byte {error.start}), so no notebook.",
            "Open it in JupyterLab, save it, and hand in again.",
        ) from error
    notebook = nb.parse_notebook(text, name)
    refuse_odd_sizes(notebook, name)
    return notebook


def _nothing_ran(notebook: nb.Notebook) -> dict[int, CellVerdict]:
    """Give every test its zero when a submission cannot be read."""
    verdicts: dict[int, CellVerdict] = {}
    for index, cell in enumerate(notebook["cells"]):
        if nb.is_test(cell):
            why = "the submission could not be read"
            finish(cell, CellVerdict(label(cell, index), NOT_RUN, why))
            # in the record one reason is enough: a test that did not run would be a note each
            verdicts[index] = CellVerdict(label(cell, index), FAILED, why, points=0.0)
    return verdicts
