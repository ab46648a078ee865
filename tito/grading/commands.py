"""The commands `tito grade`, `tito feedback`, `tito demo` and `tito contract`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from tito.course import Course, CourseError, Layout, Lesson, find_course
from tito.grading.class_folders import JOBS_VARIABLE
from tito.grading.hidden_tests import Shown
from tito.grading.jobs.engine import EngineName
from tito.grading.sandbox.levels import Level

if TYPE_CHECKING:
    from tito.grading.batch import GradeOptions

INTERRUPTED = 130


LessonOrAll = Annotated[
    str | None,
    typer.Argument(metavar="LESSON", help="Number or name; every lesson handed in when left out."),
]
Students = Annotated[
    str | None, typer.Option(help="Only these, separated by commas.", metavar="A,B")
]
Again = Annotated[bool, typer.Option("--again", help="Also those whose marks are up to date.")]
Feedback = Annotated[
    bool, typer.Option("--feedback/--no-feedback", help="Make the students' pages.")
]
HiddenTests = Annotated[
    Shown | None,
    typer.Option(
        help="What pages show of hidden tests: their code, what they said of the work, or only the "
        "points. nbgrader_config.py decides when left out.",
        show_default=False,
    ),
]
Walls = Annotated[
    Level | None,
    typer.Option(help="How submissions are kept in; the best that works.", show_default=False),
]
CellSeconds = Annotated[float, typer.Option(help="How long a cell may run.", min=1.0)]
NotebookSeconds = Annotated[float, typer.Option(help="How long a notebook may run.", min=1.0)]
Jobs = Annotated[
    int | None,
    typer.Option(
        help="How many run at once; one for each core.", min=1, show_default=False, metavar="N"
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="pool: processes of this machine. inline: in this process, for debugging. "
        "dask: a cluster."
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(help="Run on the cluster of this scheduler.", metavar="tcp://HOST:PORT"),
]
JobsUrl = Annotated[
    str | None,
    typer.Option(
        help="The database of jobs; gradebook/jobs.db when left out. Machines of a cluster need "
        "a PostgreSQL that they all reach.",
        metavar="URL",
        envvar=JOBS_VARIABLE,
        show_default=False,
    ),
]


def grade(
    lesson: LessonOrAll = None,
    students: Students = None,
    again: Again = False,
    feedback: Feedback = True,
    hidden_tests: HiddenTests = None,
    isolation: Walls = None,
    cell_seconds: CellSeconds = 30.0,
    notebook_seconds: NotebookSeconds = 600.0,
    jobs: Jobs = None,
    engine: Engine = EngineName.POOL,
    dask: Dask = None,
    jobs_url: JobsUrl = None,
) -> None:
    """Grade what lies in submitted/NAME/NN_lesson/: marks, notebooks and feedback.

    You can stop it at any time, also with Ctrl-C: marks that are stored stay, and the same command
    goes on where it stopped. Submissions whose marks are up to date are not run again.

    Exit code 0: everyone has marks. 1: somebody needs your attention. 2: it cannot grade; the
    message says why. 130: you interrupted it.

    Examples:

    [bold]tito grade 14[/bold]  everyone who handed in lesson 14

    [bold]tito grade 14 --students ada,grace --again[/bold]  these two, once more

    [bold]tito grade 14 --students ada --engine inline[/bold]  with a breakpoint in a test

    [bold]tito grade --dask tcp://10.0.0.5:8786 --jobs-url postgresql://db/jobs[/bold]  a cluster
    """
    from tito.grading.batch import GradeOptions

    course = _checkout()
    lessons = course.chosen(lesson)
    names = None if students is None else _names(students)
    level = _level(Console(), isolation)
    name = EngineName.DASK if dask else engine
    run = (again, jobs or 0, name, dask, jobs_url, feedback, hidden_tests)
    options = GradeOptions(level, cell_seconds, notebook_seconds, *run)
    code = _grade_lessons(course, lessons, lesson is None, names, options)
    if code:
        raise typer.Exit(code)


def _grade_lessons(
    course: Course,
    lessons: list[Lesson],
    handed_in_only: bool,
    students: list[str] | None,
    options: GradeOptions,
) -> int:
    """Grade one lesson after the other; the worst exit code."""
    from tito.grading.class_folders import find_class
    from tito.grading.session import grade_and_show

    if not lessons:
        raise CourseError("There is no lesson in modules/.", "Bring the lessons' texts back.")
    folders, worst = find_class(course), 0
    if handed_in_only:
        lessons = [each for each in lessons if folders.students(each)] or lessons[:1]
    for lesson in lessons:
        code = grade_and_show(folders, lesson, students, options, Console())
        worst = max(worst, code)
        if code == INTERRUPTED:
            break
    return worst


def feedback(
    lesson: Annotated[str, typer.Argument(metavar="LESSON", help="Number or name.")],
    students: Students = None,
    hidden_tests: HiddenTests = None,
    jobs: Jobs = None,
) -> None:
    """Make the students' pages anew, with the marks and comments as they are now.

    `tito grade` makes them too; run this after marking written answers by hand.

    Examples:

    [bold]tito feedback 14[/bold]  everyone who is graded

    [bold]tito feedback 14 --hidden-tests code[/bold]  after the deadline: show the hidden tests
    """
    from tito.grading.class_folders import find_class
    from tito.grading.feedback_session import make_and_show

    course = _checkout()
    names = None if students is None else _names(students)
    chosen = _lesson(course, lesson)
    code = make_and_show(find_class(course), chosen, names, hidden_tests, jobs or 0, Console())
    if code:
        raise typer.Exit(code)


def demo(
    lesson: Annotated[
        str | None,
        typer.Argument(metavar="[LESSON]", help="Number or name; every lesson when left out."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds a cell may run.", min=1.0)] = 20.0,
    isolation: Annotated[
        Level | None, typer.Option(help="How submissions are kept in.", show_default=False)
    ] = None,
) -> None:
    """Grade a small made-up class in demo/, and check that its marks are the right ones.

    Example: [bold]tito demo[/bold], or [bold]tito demo 15[/bold] for one lesson alone
    """
    from tito.demo_class import run_demo

    course = _checkout()
    console = Console()
    level = _level(console, isolation, own_work=True)
    if not run_demo(course, course.chosen(lesson), level, timeout, console):
        raise typer.Exit(1)


def contract(
    lesson: Annotated[
        str | None,
        typer.Argument(metavar="[LESSON]", help="Number or name; every lesson when left out."),
    ] = None,
    update_docs: Annotated[
        bool, typer.Option("--update-docs", help="Write the table to docs/contract/.")
    ] = False,
) -> None:
    """Prove a lesson's grading: blank 0, reference 100 %, each planted mistake caught.

    Example: [bold]tito contract 14[/bold]
    """
    from tito.grading.contract_report import run_contracts

    course = _checkout()
    if not run_contracts(course, course.chosen(lesson), Console(), update_docs):
        raise typer.Exit(1)


def _level(console: Console, wanted: Level | None, own_work: bool = False) -> Level:
    from tito.grading.sandbox.levels import choose

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
