"""The commands of `tito` that a student has: check, export, status, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tito.course import Course, CourseError, Lesson, find_course, find_lesson

LessonGiven = Annotated[
    str | None,
    typer.Argument(metavar="[LESSON]", help="Number or name; every lesson when left out."),
]
NotebookGiven = Annotated[
    Path | None,
    typer.Option(
        "--notebook", "-n", help="A notebook other than the course's own.", metavar="FILE"
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    panel = "Learn"
    app.command("check", rich_help_panel=panel)(check)
    app.command("export", rich_help_panel=panel)(export)
    app.command("status", rich_help_panel=panel)(status)
    app.command("doctor", rich_help_panel=panel)(doctor)


def check(
    lesson: LessonGiven = None,
    notebook: NotebookGiven = None,
    deadline: Annotated[
        float, typer.Option(min=0.1, help="Seconds a single cell may take.", metavar="SECONDS")
    ] = 60.0,
    all_cells: Annotated[
        bool, typer.Option("--all", help="Run the cells that only measure and draw, too.")
    ] = False,
) -> None:
    """Run the visible tests of your notebook in a fresh process.

    Each task is told apart: passed, failed with the reason, or not yet written. Save the notebook
    first: what counts is the file. Exit code 1 when a test does not pass.

    Example: [bold]tito check 14[/bold]
    """
    from tito.lessons.check import FAILED, PASSED
    from tito.lessons.check import check as run
    from tito.lessons.check_table import show

    course, chosen = _chosen(lesson, notebook)
    good = True
    for each in chosen:
        reports = run(course, each, notebook, deadline, all_cells)
        show(each, reports)
        good &= all(report.state != FAILED for report in reports)
        good &= all(report.state == PASSED for report in reports if report.tests)
    if not good:
        raise typer.Exit(1)


def export(
    lesson: LessonGiven = None,
    notebook: NotebookGiven = None,
    to: Annotated[
        Path | None,
        typer.Option(help="Write this file instead of tinytorch/<name>.py.", metavar="FILE"),
    ] = None,
) -> None:
    """Put your notebook's code into the package, so that later lessons can import it.

    Takes the cells that begin with [bold]#| export[/bold] and writes tinytorch/<name>.py.

    Example: [bold]tito export 14[/bold], then [bold]import tinytorch.profiling[/bold]
    """
    from rich.console import Console

    from tito.lessons.export import export as run

    if to is not None and lesson is None:
        raise CourseError("--to needs a lesson.", "As in `tito export 14 --to FILE`.")
    course, chosen = _chosen(lesson, notebook)
    console = Console()
    for each in chosen:
        result = run(course, each, notebook, to)
        console.print(f"Wrote {course.relative(to or course.exported(each))}.", highlight=False)
        if result.unfinished:
            names = ", ".join(result.unfinished)
            console.print(f"[yellow]Not written yet[/yellow], so calling it fails: {names}.")


def _chosen(given: str | None, notebook: Path | None) -> tuple[Course, list[Lesson]]:
    """The course and the lessons meant; a notebook named by hand needs its lesson named."""
    course = find_course()
    if notebook is None:
        return course, course.chosen(given)
    if given is None:
        raise CourseError(
            "--notebook needs a lesson.", "As in `tito check 14 --notebook my_copy.ipynb`."
        )
    return course, [find_lesson(given)]


def status() -> None:
    """Show which lessons are here and how far each has come.

    Example: [bold]tito status[/bold]
    """
    from tito.lessons.status import show

    show(find_course())


def doctor() -> None:
    """Look for what this machine lacks, say what that means and how to mend it.

    Exit code 1 when something needed is missing.

    Example: [bold]tito doctor[/bold]
    """
    from tito.doctor import examine, show

    if not show(examine()):
        raise typer.Exit(1)
