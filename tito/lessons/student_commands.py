"""The commands of `tito` that a student has: check, export, status, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

LessonGiven = Annotated[
    str, typer.Argument(metavar="LESSON", help="Number or name: 14, profiling, 14_profiling.")
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
    lesson: LessonGiven,
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
    from tito.course import find_course, find_lesson
    from tito.lessons.check import PASSED
    from tito.lessons.check import check as run_check
    from tito.lessons.check_table import show

    chosen = find_lesson(lesson)
    reports = run_check(find_course(), chosen, notebook, deadline, all_cells)
    show(chosen, reports)
    if any(report.state != PASSED for report in reports if report.tests):
        raise typer.Exit(1)


def export(
    lesson: LessonGiven,
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

    from tito.course import find_course, find_lesson
    from tito.lessons.export import export as run_export

    course, chosen = find_course(), find_lesson(lesson)
    result = run_export(course, chosen, notebook, to)
    console = Console()
    console.print(f"Wrote {course.relative(to or course.exported(chosen))}.", highlight=False)
    if result.unfinished:
        names = ", ".join(result.unfinished)
        console.print(f"[yellow]Not written yet[/yellow], so calling it fails: {names}.")


def status() -> None:
    """Show which lessons are here and how far each has come.

    Example: [bold]tito status[/bold]
    """
    from tito.course import find_course
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
