"""Showing `tito check`'s reports in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tito.course import Lesson
from tito.lessons.check import FAILED, OTHER_CELLS, PASSED, UNWRITTEN, TaskReport

_STYLES = {PASSED: "green", FAILED: "red", UNWRITTEN: "yellow"}


def show(lesson: Lesson, reports: list[TaskReport], console: Console | None = None) -> None:
    """Print a table of tasks, then one line that sums them up."""
    screen = console or Console()
    table = Table(
        title=f"Lesson {lesson.number}, {lesson.title}: visible tests", title_justify="left"
    )
    table.add_column("task", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("tests", justify="right")
    table.add_column("what to know", overflow="fold")
    for report in reports:
        table.add_row(
            Text(report.task),
            Text(report.state, style=_STYLES[report.state]),
            _tests(report),
            _notes(report),
        )
    screen.print(table)
    screen.print(_summary(reports), highlight=False)


def _tests(report: TaskReport) -> str:
    if report.tests:
        return f"{report.passed}/{report.tests}"
    return "-" if report.task == OTHER_CELLS else "by a person"


def _notes(report: TaskReport) -> Text:
    text = Text("\n".join(report.problems))
    for hint in report.hints:
        text.append(("\n" if text else "") + f"→ {hint}", style="italic")
    return text


def _summary(reports: list[TaskReport]) -> str:
    tested = [report for report in reports if report.tests]
    done = sum(report.state == PASSED for report in tested)
    if any(report.task == OTHER_CELLS for report in reports):
        return "A cell without points fails: the notebook does not run from top to bottom."
    if done == len(tested):
        return "All visible tests pass. Hidden tests try more inputs when you submit."
    return f"{done} of {len(tested)} tasks pass. Save the notebook before you check again."
