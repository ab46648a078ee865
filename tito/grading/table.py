"""The gradebook as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tito.course import Lesson
from tito.grading.class_folders import ClassFolders
from tito.grading.record import read_record

if TYPE_CHECKING:
    from tito.grading.gradebook import Marks, TaskMarks


@dataclass
class Row:
    """One student's line: marks, and how they were made."""

    student: str
    marks: Marks | None = None
    isolation: str = ""
    notes: list[str] = field(default_factory=list)


def read_rows(folders: ClassFolders, lesson: Lesson, problems: dict[str, str]) -> list[Row]:
    """A row for everyone with a complete grading, and for those who have a problem instead."""
    from tito.grading import gradebook

    rows: list[Row] = []
    names = sorted({*folders.students(lesson), *problems})
    with gradebook.opened(folders) as book:
        for student in names:
            problem = [problems[student]] if student in problems else []
            record = read_record(folders.autograded(student, lesson))
            if record is None:
                rows.append(Row(student, notes=problem or ["not graded yet"]))
                continue
            marks = gradebook.read_marks(book, lesson, student)
            rows.append(Row(student, marks, record.isolation, [*problem, *record.notes]))
    return rows


def gradebook_table(rows: list[Row], title: str) -> Table:
    """Lay the rows out for a terminal."""
    table = Table(title=title, title_justify="left")
    table.add_column("student", no_wrap=True)
    for name in ("auto", "manual", "total"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("tasks", overflow="fold")
    table.add_column("isolation")
    for row in rows:
        table.add_row(row.student, *_numbers(row), row.isolation or "-")
    return table


def notes_below(rows: list[Row]) -> Text:
    """What to look at, a line each; sentences have no room in a column."""
    words = Text()
    for row in rows:
        for note in row.notes:
            words.append(f"{row.student}: ", style="bold yellow").append(f"{note}\n")
    return words


def _numbers(row: Row) -> tuple[str, str, str, Text]:
    marks = row.marks
    if marks is None:
        return "-", "-", "-", Text("-")
    manual = "waiting" if marks.manual is None else f"{marks.manual:g} / {marks.manual_most:g}"
    most = marks.auto_most + marks.manual_most
    late = f" - {marks.penalty:g} late" if marks.penalty else ""
    return (
        f"{marks.auto:g} / {marks.auto_most:g}",
        manual,
        f"{marks.total:g}{late} / {most:g}",
        _tasks(marks.tasks),
    )


def _tasks(tasks: dict[str, TaskMarks]) -> Text:
    """The tasks that are not whole, by name; the others as a number."""
    lost = {name: task for name, task in tasks.items() if task.points != task.most}
    if not lost:
        return Text(f"all {len(tasks)} whole", style="green")
    if len(lost) == len(tasks) and not any(task.points for task in tasks.values()):
        return Text("none", style="red")
    words = Text(f"{len(tasks) - len(lost)} of {len(tasks)} whole")
    for name, task in lost.items():
        words.append(f"\n{name} {task.points:g} / {task.most:g}", style="red")
    return words
