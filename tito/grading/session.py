"""`tito grade` at a terminal: a progress bar, the table, and what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tito.course import Lesson
from tito.grading.batch import Batch, GradeOptions, grade_batch
from tito.grading.class_folders import ClassFolders
from tito.grading.table import Row, gradebook_table, notes_below, read_rows

INTERRUPTED = 130


def grade_and_show(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    options: GradeOptions,
    console: Console,
) -> int:
    """Grade, show the table, and return the exit code."""
    batch = grade_with_bar(folders, lesson, students, options, console)
    rows = read_rows(folders, lesson, batch.problems)
    if students is not None:
        rows = [row for row in rows if row.student in students]
    if not rows:
        console.print(
            f"Nobody handed in lesson {lesson}: submitted/NAME/{lesson.folder}/ is empty."
        )
        return 1
    console.print(gradebook_table(rows, f"Lesson {lesson}"))
    console.print(notes_below(rows))
    _explain(batch, rows, folders, lesson, console)
    if batch.interrupted:
        return INTERRUPTED
    return 1 if batch.problems or any(row.notes for row in rows) else 0


def grade_with_bar(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    options: GradeOptions,
    console: Console,
) -> Batch:
    """Grade with a progress bar a running submission."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} cells"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(student: str, done: int, total: int) -> None:
            if student not in tasks:
                tasks[student] = bars.add_task(student, total=total)
            bars.update(tasks[student], completed=done, total=total)

        return grade_batch(folders, lesson, students, options, progress)


def _explain(
    batch: Batch, rows: list[Row], folders: ClassFolders, lesson: Lesson, console: Console
) -> None:
    """Say what was done, and what remains to be done by a person."""
    said = [f"Graded now: {len(batch.graded)}."]
    if batch.skipped:
        said.append(f"Up to date, not run again (--again runs them): {len(batch.skipped)}.")
    waiting = [row.student for row in rows if row.marks and row.marks.manual is None]
    if waiting:
        said.append(f"Written answers to mark in the formgrader: {', '.join(waiting)}.")
    console.print(" ".join(said), highlight=False)
    if batch.interrupted:
        console.print(
            "[yellow]Interrupted.[/yellow] The marks in the table are stored and whole; run "
            "the same command again for the others.",
            highlight=False,
        )
    place = folders.root / "feedback"
    page = f"{place}/NAME/{lesson.folder}/{lesson.name}.html"
    console.print(f"Feedback: {page}", highlight=False, soft_wrap=True)
