"""`tito grade` at a terminal: a progress bar, the table, and what to do next."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tito.course import Lesson
from tito.grading.batch import Batch, GradeOptions, Tally, grade_batch
from tito.grading.class_folders import ClassFolders
from tito.grading.commands import INTERRUPTED
from tito.grading.table import Row, gradebook_table, notes_below, read_rows

_MOST_SHOWN = 4


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
    _explain(batch, rows, console)
    if batch.interrupted:
        return INTERRUPTED
    _say_where(folders, lesson, options, console)
    return 1 if batch.problems or any(row.notes for row in rows) else 0


def grade_with_bar(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    options: GradeOptions,
    console: Console,
) -> Batch:
    """Grade with a bar over the submissions, and the cells of those that run now."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[running]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bars:
        marks = bars.add_task(f"Lesson {lesson}", total=None, running="")
        pages = bars.add_task("Feedback pages", total=None, running="", visible=False)

        def tell(tally: Tally) -> None:
            shown = _running(tally)
            bars.update(marks, completed=tally.ended, total=tally.total, running=shown)

        def tell_pages(made: int, total: int) -> None:
            bars.update(marks, running="")
            bars.update(pages, completed=made, total=total, visible=True)

        return grade_batch(folders, lesson, students, options, tell, tell_pages)


def _running(tally: Tally) -> str:
    """The submissions at work, each with its cells."""
    words = [f"{each.student} {each.cells_done}/{each.cells_all}" for each in tally.running]
    more = [f"and {len(words) - _MOST_SHOWN} more"] if len(words) > _MOST_SHOWN else []
    return ", ".join([*words[:_MOST_SHOWN], *more])


def _explain(batch: Batch, rows: list[Row], console: Console) -> None:
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


def _say_where(
    folders: ClassFolders, lesson: Lesson, options: GradeOptions, console: Console
) -> None:
    """Name the place of the pages that students get."""
    if options.feedback:
        page = f"{folders.root / 'feedback'}/NAME/{lesson.folder}/{lesson.name}.html"
        console.print(f"Feedback: {page}", highlight=False, soft_wrap=True)
    else:
        console.print("No feedback pages were made; the same command without --no-feedback does.")
