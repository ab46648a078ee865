"""The commands of `tito` that only an instructor's checkout has."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from tito.course import Course, CourseError, Layout, Lesson, find_course

LessonOrAll = Annotated[
    str | None,
    typer.Argument(metavar="[LESSON]", help="Number or name; every lesson when left out."),
]
# Options of these commands belong to their own modules, which are slow to import: the wrapper
# passes everything on, `--help` included.
_PASS_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": list[str](),
}


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    write, grading = "Write lessons", "Grade"
    app.command("build", rich_help_panel=write)(build)
    app.command("release", rich_help_panel=write)(release)
    app.command("bundle", rich_help_panel=write)(bundle)
    app.command("audit", rich_help_panel=write)(audit)
    app.command("train-zoo", rich_help_panel=write, context_settings=_PASS_ON)(train_zoo)
    app.command("grade", rich_help_panel=grading, context_settings=_PASS_ON)(grade)
    app.command("feedback", rich_help_panel=grading, context_settings=_PASS_ON)(feedback)
    app.command("demo", rich_help_panel=grading, context_settings=_PASS_ON)(demo)
    app.command("contract", rich_help_panel=grading, context_settings=_PASS_ON)(contract)


def build(lesson: LessonOrAll = None) -> None:
    """Make the instructor's notebooks (source/) from the lessons' texts (modules/).

    Refuses a text that breaks a rule, and then says in which line and how to mend it.

    Example: [bold]tito build 14[/bold]
    """
    from tito.lessons.build import build as run

    _each(lesson, run, "source")


def release(lesson: LessonOrAll = None) -> None:
    """Make the students' notebooks (release/): no answers, no hidden tests.

    Example: [bold]tito release 14[/bold]
    """
    from tito.lessons.release import release as run

    _each(lesson, run, "release")


def bundle(
    out: Annotated[Path, typer.Option(help="The folder to put it in.", metavar="FOLDER")] = Path(
        "dist"
    ),
) -> None:
    """Make what a student gets: a folder and the same as a .zip.

    Example: [bold]tito bundle --out dist[/bold]
    """
    from rich.console import Console

    from tito.lessons.bundle import bundle as run

    made = run(_checkout(), out)
    console = Console()
    console.print(f"Folder: {made.folder}\nZip:    {made.zip}", highlight=False, soft_wrap=True)


def audit(
    leaks: Annotated[bool, typer.Option("--leaks", help="Only look for leaked answers.")] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Only compare generated files.")] = False,
) -> None:
    """Prove that generated files are up to date and that no answer leaks.

    Exit code 1 when there is a finding.

    Example: [bold]tito audit[/bold]
    """
    from tito.lessons.audit import audit as run
    from tito.lessons.audit import show

    both = leaks == sync
    leaks, sync = leaks or both, sync or both
    if not show(run(_checkout(), leaks=leaks, sync=sync), leaks=leaks, sync=sync):
        raise typer.Exit(1)


def grade(context: typer.Context) -> None:
    """Grade submissions. [bold]tito grade --help[/bold] tells more."""
    _pass_on("tito.grading.commands", "grade", context)


def feedback(context: typer.Context) -> None:
    """Make the students' feedback pages. [bold]tito feedback --help[/bold] tells more."""
    _pass_on("tito.grading.commands", "feedback", context)


def demo(context: typer.Context) -> None:
    """Grade a small made-up class, from the lesson's text to the gradebook."""
    _pass_on("tito.grading.commands", "demo", context)


def contract(context: typer.Context) -> None:
    """Prove a lesson's grading: blank 0, reference 100 %, each planted mistake caught."""
    _pass_on("tito.grading.commands", "contract", context)


def train_zoo(context: typer.Context) -> None:
    """Train the shipped models again and record their accuracy."""
    _pass_on("tito.zoo_training", "train_zoo", context)


def _pass_on(module: str, function: str, context: typer.Context) -> None:
    """Run a command kept in a module that is slow to import, with all its own options."""
    try:
        command = getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            raise CourseError(
                f"`tito {context.info_name}` is not part of this folder ({module} is missing).",
                "Use the instructor's checkout.",
            ) from error
        raise
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(context.info_name)(command)
    app(args=context.args, prog_name=f"tito {context.info_name}")


def _checkout() -> Course:
    """The course, which must be the instructor's checkout."""
    course = find_course()
    if course.layout is not Layout.CHECKOUT:
        raise CourseError(
            f"{course.root} is a student's folder; it holds no lesson texts.",
            "Run this in the instructor's checkout.",
        )
    return course


def _each(given: str | None, run: Callable[[Course, Lesson], bool], folder: str) -> None:
    """Run a step for the chosen lessons and say what changed."""
    from rich.console import Console

    course = _checkout()
    console = Console()
    lessons = course.chosen(given)
    if not lessons:
        raise CourseError("There is no lesson in modules/ yet.", "Write modules/NN_name/name.py.")
    for lesson in lessons:
        changed = run(course, lesson)
        file = f"{folder}/{lesson.folder}/{lesson.name}.ipynb"
        console.print(f"{file}: {'written' if changed else 'up to date'}", highlight=False)
