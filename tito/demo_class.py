"""`tito demo`: a class of six made-up students, graded as a real one, whose right marks are known.

It lives in demo/, a class of its own with its own gradebook, and touches no other.
"""

from __future__ import annotations

import shutil
import textwrap
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from tito.course import Course, CourseError, Lesson
from tito.grading.class_folders import CLASS_VARIABLE, ClassFolders, own_gradebook
from tito.grading.contract_attacks import tricks
from tito.grading.judge.names import bound_names
from tito.grading.mutants import read_mutants
from tito.grading.sandbox.levels import Level
from tito.lessons import notebook as nb
from tito.lessons.atomic import write_atomically
from tito.lessons.nbgrader_settings import BEGIN_SOLUTION, END_SOLUTION
from tito.lessons.roles import Role, region_texts, task_of, visible_text

if TYPE_CHECKING:
    from tito.grading.batch import GradeOptions

FOLDER = "demo"
ORDERS = Path(__file__).parent / "grading" / "demo_marks.toml"
_MARKER = ".made-by-tito-demo"
_FORGERS = ("anything", "patched_tests", "hooked_shell", "callers_values")
_ENDLESS = "while True:\n    pass"


@dataclass(frozen=True)
class HandMark:
    """A written answer, and the mark a person gives it."""

    student: str
    question: str
    points: float
    comment: str
    answer: str | None = None


@dataclass
class DemoStudent:
    """A made-up student: the notebook handed in, and the marks it must earn."""

    name: str
    notebook: nb.Notebook
    auto: float
    marks: list[HandMark] = field(default_factory=list)

    @property
    def manual(self) -> float:
        """The points for written answers."""
        return sum(mark.points for mark in self.marks)


def run_demo(
    course: Course,
    lessons: list[Lesson],
    level: Level,
    timeout_s: float,
    console: Console,
    orders: Path = ORDERS,
) -> bool:
    """Grade the demo class, lesson by lesson, and show it; whether every mark is the expected one.

    Args:
        course: The course.
        lessons: What the class hands in.
        level: How the submissions are kept in.
        timeout_s: Seconds a cell may run.
        console: Where to show things.
        orders: Who does what in the class: demo_marks.toml.

    Raises:
        CourseError: A lesson is not built and released, has no orders, or demo/ holds something
            else.
    """
    from tito.grading.batch import GradeOptions

    classes = [DemoClass(course, lesson, orders) for lesson in lessons]
    folders = _fresh_folders(course)
    options = GradeOptions(level, cell_s=timeout_s)
    right = True
    for demo_class in classes:
        right &= _graded_as_expected(folders, demo_class, options, console)
    _say_where(folders, lessons[-1], console)
    if right:
        number = f"{len(lessons)} lessons" if len(lessons) > 1 else f"lesson {lessons[0]}"
        console.print(f"[green]Every student has the expected marks in {number}.[/green]")
    return right


def _graded_as_expected(
    folders: ClassFolders, demo_class: DemoClass, options: GradeOptions, console: Console
) -> bool:
    """Hand in, grade and show one lesson; whether it was graded to the end, and rightly."""
    from tito.grading.session import grade_with_bar
    from tito.grading.table import gradebook_table, notes_below, read_rows

    lesson, students = demo_class.lesson, demo_class.students()
    for student in students:
        path = folders.submitted(student.name, lesson)
        write_atomically(path, nb.to_bytes(student.notebook))
    batch = grade_with_bar(folders, lesson, None, options, console)
    _mark_by_hand(folders, lesson, [s for s in students if s.name in batch.graded])
    rows = read_rows(folders, lesson, batch.problems)
    console.print(gradebook_table(rows, f"Demo class, lesson {lesson}"))
    console.print(notes_below(rows))
    wrong = differences(students, {row.student: row.marks for row in rows})
    if wrong is not None:
        console.print(wrong)
        console.print("[red]These marks are not the expected ones.[/red]")
        return False
    console.print(f"[green]All {len(students)} students have the expected marks.[/green]")
    return not batch.interrupted


class DemoClass:
    """Makes the submissions of a lesson's demo class.

    Raises:
        CourseError: A file of the lesson is missing, or demo_marks.toml has no entry for it.
    """

    def __init__(self, course: Course, lesson: Lesson, orders: Path = ORDERS) -> None:
        for path in (course.source(lesson), course.release(lesson)):
            if not path.is_file():
                raise CourseError(
                    f"{course.relative(path)} is missing.",
                    f"Run `tito build {lesson.number}` and `tito release {lesson.number}`.",
                )
        self.lesson = lesson
        self._source = nb.read_notebook(course.source(lesson))
        self._release = course.release(lesson)
        self._orders = _orders(lesson, orders)
        mutants = read_mutants(course.text(lesson).parent / "mutants.toml", self._source)
        self._mutants = {mutant.name: mutant for mutant in mutants}
        self._points = {
            str(nb.grade_id(cell)): float(cell["metadata"]["nbgrader"]["points"])
            for cell in self._source["cells"]
            if nb.is_test(cell)
        }

    def students(self) -> list[DemoStudent]:
        """Everyone in the class."""
        tasks = list(dict.fromkeys(task_of(test, Role.TEST) for test in self._points))
        first_half = set(tasks[: len(tasks) // 2])
        solved = sum(
            points
            for test, points in self._points.items()
            if task_of(test, Role.TEST) in first_half
        )
        blank = nb.read_notebook(self._release)
        return [
            DemoStudent("blank", blank, 0.0),
            self._student("reference", set(tasks), {}, sum(self._points.values())),
            self._student("partial", first_half, {}, solved),
            self._wrong(set(tasks)),
            self._endless(set(tasks)),
            self._forger(),
        ]

    def _forger(self) -> DemoStudent:
        """Solves nothing, and below each stub tries the tricks that other graders fall to."""
        names = sorted(bound_names(self._source))
        known = tricks(names, self.lesson.name)
        lines = "\n\n".join(_shielded(each.source) for each in known if each.name in _FORGERS)
        notebook = nb.read_notebook(self._release)
        for cell in notebook["cells"]:
            if nb.is_solution(cell) and cell["cell_type"] == "code":
                cell["source"] = f"{cell['source']}\n\n{lines}"
        return DemoStudent("forger", notebook, 0.0)

    def _wrong(self, tasks: set[str]) -> DemoStudent:
        mutant = self._mutants.get(self._orders["wrong"])
        if mutant is None:
            raise CourseError(
                f"demo_marks.toml names the mutant {self._orders['wrong']!r}; there is none.",
                "Name one of mutants.toml.",
            )
        texts = {str(nb.grade_id(c)): c["source"] for c in self._source["cells"]}
        change = {mutant.cell: _solved(mutant.apply(texts[mutant.cell]))}
        return self._student("wrong", tasks, change, self._without(mutant.loses))

    def _endless(self, tasks: set[str]) -> DemoStudent:
        order = self._orders["endless"]
        auto = self._without(tuple(order["loses"]))
        return self._student("endless", tasks, {order["cell"]: _ENDLESS}, auto)

    def _without(self, lost: tuple[str, ...]) -> float:
        return sum(points for test, points in self._points.items() if test not in lost)

    def _student(
        self, name: str, solved: set[str], changes: dict[str, str], auto: float
    ) -> DemoStudent:
        """The released notebook with some tasks solved, some cells changed, questions answered."""
        marks = [HandMark(**mark) for mark in self._orders["mark"] if mark["student"] == name]
        answers = {mark.question: mark.answer for mark in marks}
        full = {str(nb.grade_id(cell)): cell["source"] for cell in self._source["cells"]}
        notebook = nb.read_notebook(self._release)
        for cell in notebook["cells"]:
            identity = nb.grade_id(cell)
            if identity is None or not nb.is_solution(cell):
                continue
            if identity in changes:
                cell["source"] = changes[identity]
            elif cell["cell_type"] == "code" and task_of(identity, Role.SOLUTION) in solved:
                cell["source"] = _solved(full[identity])
            elif identity in answers:
                cell["source"] = _answered(full[identity], answers[identity])
        return DemoStudent(name, notebook, auto, marks)


def _orders(lesson: Lesson, path: Path) -> dict[str, Any]:
    orders: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    if lesson.folder not in orders:
        known = ", ".join(orders)
        raise CourseError(
            f"There is no demo class for lesson {lesson}; there is one for {known}.",
            f"Describe it under [{lesson.folder}] in tito/grading/{path.name}.",
        )
    return dict(orders[lesson.folder])


def _shielded(source: str) -> str:
    """Lines whose failure does not keep the next ones from being tried."""
    return f"try:\n{textwrap.indent(source, '    ')}\nexcept Exception:\n    ..."


def _solved(source: str) -> str:
    """A solution cell as a student would hand it in: the answer without its markers."""
    markers = (BEGIN_SOLUTION, END_SOLUTION)
    return "\n".join(line for line in source.split("\n") if line.strip() not in markers)


def _answered(source: str, answer: str | None) -> str:
    """A question's cell with an answer; when none is given, the model answer without rubric."""
    model = "\n".join(region_texts(source, BEGIN_SOLUTION, END_SOLUTION))
    return visible_text(source, stub=answer or model.split("Rubric:")[0].strip())


def _fresh_folders(course: Course) -> ClassFolders:
    """demo/ as a class without submissions; an earlier demo in it is removed."""
    root = course.root / FOLDER
    if root.exists() and any(root.iterdir()):
        if not (root / _MARKER).is_file():
            raise CourseError(
                f"{FOLDER}/ holds files that `tito demo` did not make.",
                "Move them elsewhere: the demo empties this folder.",
            )
        shutil.rmtree(root)
    root.mkdir(exist_ok=True)
    (root / _MARKER).write_text("Made by `tito demo`, which removes this folder each time.\n")
    folders = ClassFolders(course, root, own_gradebook(root))
    folders.make()
    return folders


def _mark_by_hand(folders: ClassFolders, lesson: Lesson, students: list[DemoStudent]) -> None:
    """Give the written answers their marks and comments, and the students their feedback."""
    from tito.grading import gradebook

    marked = [student for student in students if student.marks]
    with gradebook.opened(folders) as book:
        for student in marked:
            for mark in student.marks:
                gradebook.give_mark(
                    book, lesson, student.name, mark.question, mark.points, mark.comment
                )
    gradebook.make_feedback(folders, lesson, [student.name for student in marked])


def differences(students: list[DemoStudent], found: dict[str, Any]) -> Table | None:
    """The marks that are not as expected, as a table; None when all are.

    Args:
        students: The class, which knows what it must earn.
        found: The marks (`Marks` or None) in the gradebook, by student.
    """
    table = Table(title="Expected and found", title_justify="left")
    for name in ("student", "mark", "expected", "found"):
        table.add_column(name)
    for student in students:
        marks = found.get(student.name)
        for kind, expected in (("auto", student.auto), ("manual", student.manual)):
            got = None if marks is None else getattr(marks, kind)
            if got != expected:
                table.add_row(
                    student.name, kind, f"{expected:g}", "none" if got is None else f"{got:g}"
                )
    return table if table.rows else None


def _say_where(folders: ClassFolders, lesson: Lesson, console: Console) -> None:
    """Name the places worth opening, of one lesson."""
    place = f"NAME/{lesson.folder}/{lesson.name}"
    lines = [
        f"Feedback pages: {FOLDER}/feedback/{place}.html",
        f"Graded notebooks: {FOLDER}/autograded/{place}.ipynb",
        f"Gradebook: {FOLDER}/gradebook/gradebook.db",
        f"The formgrader on this class: {CLASS_VARIABLE}={FOLDER} make lab, then Formgrader in the "
        "menu Nbgrader. The lessons: make lab.",
    ]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
