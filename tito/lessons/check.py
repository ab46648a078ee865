"""`tito check`: the visible tests of a notebook, told task by task."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tito.course import Course, CourseError, Layout, Lesson
from tito.lessons import nbgrader_settings as settings
from tito.lessons import notebook as nb
from tito.lessons.check_run import Verdict, run_cells
from tito.lessons.expected import expected_ids
from tito.lessons.roles import Role, task_of
from tito.lessons.stub import STUB_MESSAGE, unfinished

PASSED, FAILED, UNWRITTEN = "passed", "failed", "not yet written"
OTHER_CELLS = "(other cells)"


@dataclass
class TaskReport:
    """One task's state: its tests counted, and what to do next.

    A question has no tests; a person reads it.
    """

    task: str
    state: str = PASSED
    passed: int = 0
    tests: int = 0
    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def check(
    course: Course, lesson: Lesson, notebook: Path | None, deadline_s: float, measures: bool
) -> list[TaskReport]:
    """Run a notebook's visible tests in a fresh process.

    Args:
        course: The course the notebook belongs to.
        lesson: Which lesson.
        notebook: The notebook; the course's own when None.
        deadline_s: Seconds for one cell.
        measures: Whether cells tagged `measure` run too.

    Returns:
        A report for each task and each question, in the notebook's order.

    Raises:
        CourseError: The notebook cannot be read, or lost or doubled its graded cells.
    """
    path = notebook or course.notebook(lesson)
    if notebook is None and not path.is_file():
        way = f"tito build {lesson.number}" if course.layout is Layout.CHECKOUT else "tito doctor"
        raise CourseError(f"{course.relative(path)} is missing.", f"Run `{way}`.")
    shown = course.relative(path)
    content = nb.read_notebook(path, shown)
    nb.check_ids(content, shown, expected_ids(course, lesson))
    verdicts = run_cells(content, path.resolve().parent, course.root, deadline_s, measures)
    return reports(content, verdicts, lesson, deadline_s)


def reports(
    notebook: nb.Notebook, verdicts: dict[int, Verdict], lesson: Lesson, deadline_s: float
) -> list[TaskReport]:
    """Sum up cells' verdicts by task."""
    tasks: dict[str, TaskReport] = {}
    cells = notebook["cells"]
    for index, cell in enumerate(cells):
        identity = nb.grade_id(cell)
        if identity is None:
            continue
        if cell["cell_type"] == "markdown" and nb.is_solution(cell):
            tasks[identity] = _question(identity, cell)
        elif nb.is_test(cell):
            report = tasks.setdefault(task_of(identity, Role.TEST), _new(identity))
            _add_test(report, cell, verdicts[index], deadline_s)
    for report in tasks.values():
        _add_solutions(report, cells, verdicts, deadline_s)
        if report.state == FAILED:
            report.hints += _hints(report, lesson)
    return [*tasks.values(), *_other_cells(list(tasks.values()), cells, verdicts, deadline_s)]


def _other_cells(
    tasks: list[TaskReport], cells: list[nb.Cell], verdicts: dict[int, Verdict], deadline_s: float
) -> list[TaskReport]:
    """Report cells without points that fail by themselves.

    While tasks are unwritten, cells that use them are bound to fail; only a failed import is then
    worth a word.
    """
    unwritten = any(report.state == UNWRITTEN for report in tasks)
    problems = []
    for index, verdict in verdicts.items():
        cell = cells[index]
        if verdict.status in ("passed", "skipped") or nb.is_test(cell) or nb.is_solution(cell):
            continue
        if not unwritten or verdict.failed_import:
            problems.append(f"cell {index + 1}: {described(cell, verdict, deadline_s)}")
    return [TaskReport(OTHER_CELLS, FAILED, problems=problems)] if problems else []


def _new(identity: str) -> TaskReport:
    return TaskReport(task_of(identity, Role.TEST))


def _question(identity: str, cell: nb.Cell) -> TaskReport:
    text = cell["source"]
    if settings.TEXT_STUB in text:
        hint = "Answer in your own words in that cell; a person will read it."
        return TaskReport(identity, UNWRITTEN, hints=[hint])
    return TaskReport(identity, PASSED)


def _add_test(report: TaskReport, cell: nb.Cell, verdict: Verdict, deadline_s: float) -> None:
    report.tests += 1
    if nb.was_edited(cell):
        report.hints.append(
            f"{nb.grade_id(cell)} was changed; when you hand in, the original counts."
        )
    if verdict.status == "passed":
        report.passed += 1
        return
    report.state = FAILED
    report.problems.append(f"{nb.grade_id(cell)}: {described(cell, verdict, deadline_s)}")


def _add_solutions(
    report: TaskReport, cells: list[nb.Cell], verdicts: dict[int, Verdict], deadline_s: float
) -> None:
    """Say what is wrong in the task's own cells: stubs left, cells that fail by themselves."""
    if report.state != FAILED:
        return
    stubs: list[str] = []
    broken: list[str] = []
    for index, cell in enumerate(cells):
        identity = nb.grade_id(cell)
        if identity is None or cell["cell_type"] != "code" or not nb.is_solution(cell):
            continue
        if task_of(identity, Role.SOLUTION) != report.task:
            continue
        left = unfinished(cell["source"])
        stubs += [f"{name} (cell {identity}, number {index + 1})" for name in left]
        verdict = verdicts[index]
        if verdict.status != "passed" and not left:
            broken.append(f"your cell {identity}: {described(cell, verdict, deadline_s)}")
    if stubs:
        report.state = UNWRITTEN
        report.problems = broken + [p for p in report.problems if STUB_MESSAGE not in p][:1]
        report.hints.append("Write " + ", ".join(stubs) + ".")
    report.problems = list(dict.fromkeys(broken + report.problems))


def described(cell: nb.Cell, verdict: Verdict, deadline_s: float) -> str:
    """One failed cell in words."""
    if verdict.status == "endless":
        return f"did not end within {deadline_s:g} s and was stopped"
    if verdict.status == "died":
        return "ended the whole process (out of memory, or a call such as os._exit)"
    message = verdict.message
    source_line = _line(cell, verdict.line)
    if not message:
        message = source_line.strip() or "(no message)"
    if verdict.error not in ("AssertionError", ""):
        message = f"{verdict.error}: {message}"
    return message if verdict.line is None else f"{message} (line {verdict.line})"


def _line(cell: nb.Cell, number: int | None) -> str:
    lines: list[str] = cell["source"].split("\n")
    return lines[number - 1] if number is not None and 0 < number <= len(lines) else ""


def _hints(report: TaskReport, lesson: Lesson) -> list[str]:
    """What to try, from the kind of failure."""
    said = " ".join(report.problems)
    hints = []
    if "SyntaxError" in said or "IndentationError" in said:
        hints.append("Correct the syntax first: the tests cannot see a cell that does not run.")
    elif "NameError" in said:
        hints.append("Did you rename something? Restart the kernel and run all cells from the top.")
    if "did not end within" in said:
        hints.append("Look for a loop whose condition never changes; --deadline gives more time.")
    if "ModuleNotFoundError" in said or "ImportError" in said:
        earlier = "the earlier lessons" if lesson.number > 14 else "your packages"
        hints.append(f"Something is not installed or exported: `tito doctor`, then {earlier}.")
    return hints
