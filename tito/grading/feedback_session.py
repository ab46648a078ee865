"""`tito feedback` at a terminal: a progress bar over the pages, and who has none."""

from __future__ import annotations

import os

from rich.console import Console
from rich.progress import Progress

from tito.course import CourseError, Lesson
from tito.grading.class_folders import ClassFolders
from tito.grading.commands import INTERRUPTED
from tito.grading.hidden_tests import Shown
from tito.grading.jobs.pages import make_pages
from tito.grading.record import read_record
from tito.grading.stopping import interruptible


def make_and_show(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    shown: Shown | None,
    at_once: int,
    console: Console,
) -> int:
    """Make pages; returns the exit code.

    Args:
        folders: The class.
        lesson: The lesson.
        students: Whose; everyone who is graded when None.
        shown: What pages show of hidden tests; what nbgrader_config.py says when None.
        at_once: How many to make at the same time; 0 for one a core.
        console: Where to show things.

    Raises:
        CourseError: Nobody is graded.
    """
    graded = [
        name
        for name in folders.students(lesson)
        if read_record(folders.autograded(name, lesson)) is not None
    ]
    wanted = graded if students is None else students
    if not wanted:
        raise CourseError(
            f"Nobody is graded in lesson {lesson}.", f"Run `tito grade {lesson.number}` first."
        )
    with Progress(console=console, transient=True) as bars, interruptible() as stopped:
        pages = bars.add_task("Feedback pages", total=len(wanted))

        def tell(made: int, total: int) -> None:
            bars.update(pages, completed=made, total=total)

        cores = at_once or os.cpu_count() or 1
        problems = make_pages(folders, lesson, wanted, cores, tell, stopped, shown)
        interrupted = stopped()
    for student, why in sorted(problems.items()):
        console.print(f"[bold yellow]{student}:[/bold yellow] {why}", highlight=False)
    if interrupted:
        console.print("[yellow]Interrupted.[/yellow] The same command makes the pages anew.")
        return INTERRUPTED
    console.print(f"Pages made: {len(wanted) - len(problems)}.", highlight=False)
    page = f"{folders.root / 'feedback'}/NAME/{lesson.folder}/{lesson.name}.html"
    console.print(f"Feedback: {page}", highlight=False, soft_wrap=True)
    return 1 if problems else 0
