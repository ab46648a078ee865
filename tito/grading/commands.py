"""The commands `tito grade`, `tito demo` and `tito contract`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from tito.course import Course, CourseError, Layout, Lesson, find_course
from tito.grading.confinement import Isolation

LessonName = Annotated[
    str, typer.Argument(metavar="LESSON", help="Number or name, as 14 or profiling.")
]


def grade(
    lesson: LessonName,
    students: Annotated[
        str | None, typer.Option(help="Only these, separated by commas.", metavar="A,B")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds a cell may run.", min=1.0)] = 30.0,
    deadline: Annotated[float, typer.Option(help="Seconds a notebook may run.", min=1.0)] = 600.0,
    isolation: Annotated[
        Isolation | None, typer.Option(help="How submissions are kept in.", show_default=False)
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also those whose marks are up to date.")
    ] = False,
) -> None:
    """Grade what lies in submitted/NAME/NN_lesson/: marks, notebooks and feedback.

    Exit code 0: everyone has marks. 1: somebody needs your attention. 130: you interrupted it.

    Example: [bold]tito grade 14 --students ada,grace[/bold]
    """
    from tito.grading.batch import GradeOptions
    from tito.grading.class_folders import find_class
    from tito.grading.session import grade_and_show

    course = _checkout()
    chosen = _lesson(course, lesson)
    console = Console()
    options = GradeOptions(_level(console, isolation), timeout, deadline, again)
    names = None if students is None else _names(students)
    code = grade_and_show(find_class(course), chosen, names, options, console)
    if code:
        raise typer.Exit(code)


def demo(
    lesson: Annotated[str, typer.Argument(metavar="[LESSON]", help="Number or name.")] = "14",
    timeout: Annotated[float, typer.Option(help="Seconds a cell may run.", min=1.0)] = 10.0,
    isolation: Annotated[
        Isolation | None, typer.Option(help="How submissions are kept in.", show_default=False)
    ] = None,
) -> None:
    """Grade a small made-up class in demo/, and check that its marks are the right ones.

    Example: [bold]tito demo[/bold]
    """
    from tito.demo_class import run_demo

    course = _checkout()
    console = Console()
    level = _level(console, isolation, own_work=True)
    if not run_demo(course, _lesson(course, lesson), level, timeout, console):
        raise typer.Exit(1)


def contract(
    lesson: Annotated[
        str | None,
        typer.Argument(metavar="[LESSON]", help="Number or name; every lesson when left out."),
    ] = None,
    update_docs: Annotated[
        bool, typer.Option("--update-docs", help="Put the table into docs/grading.md.")
    ] = False,
) -> None:
    """Prove a lesson's grading: blank 0, reference 100 %, each planted mistake caught.

    Example: [bold]tito contract 14[/bold]
    """
    from tito.grading.contract_report import run_contracts

    course = _checkout()
    if not run_contracts(course, course.chosen(lesson), Console(), update_docs):
        raise typer.Exit(1)


def _level(console: Console, wanted: Isolation | None, own_work: bool = False) -> Isolation:
    from tito.grading.confinement import choose

    level, remark = choose(wanted, own_work)
    if remark:
        console.print(f"[yellow]{remark}[/yellow]")
    return level


def _checkout() -> Course:
    course = find_course()
    if course.layout is not Layout.CHECKOUT:
        raise CourseError(
            f"{course.root} is a student's folder; there is nothing to grade in it.",
            "Run this in the instructor's checkout.",
        )
    return course


def _lesson(course: Course, given: str) -> Lesson:
    return course.chosen(given)[0]


def _names(students: str) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in students.split(",") if name.strip()))
    if not names:
        raise CourseError("`--students` names nobody.", "Write it as in `--students ada,grace`.")
    return names
