"""Which submissions of a lesson need grading, and the key by which each is known."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace

from tito.course import Course, Lesson
from tito.grading.class_folders import ClassFolders, is_usable_name
from tito.grading.jobs.handed_in import HandedIn, read_handed_in
from tito.grading.jobs.payload import Order, digest
from tito.grading.record import read_record

GRADER_VERSION = "2"  # a new one grades everything anew


@dataclass
class Plan:
    """What there is to do.

    Attributes:
        todo: Students whose submissions are to be graded.
        skipped: Students whose marks are up to date.
        pageless: Those among them who have no feedback page.
        problems: Students who cannot be graded, and why.
    """

    todo: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    pageless: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


class Planner:
    """Reads submissions and gives them keys.

    Args:
        folders: The class.
        lesson: The lesson.
        pattern: The order that all submissions share; name, content and notes are filled in.
    """

    def __init__(self, folders: ClassFolders, lesson: Lesson, pattern: Order) -> None:
        self._folders = folders
        self._lesson = lesson
        self._pattern = pattern
        self._given_files = _release_files(folders.course, lesson)

    def plan(self, students: list[str] | None, again: bool) -> Plan:
        """Sort the students into those to be graded and the others.

        Args:
            students: Whom to look at; everyone who handed in when None.
            again: Whether to grade also those whose marks are up to date.
        """
        plan = Plan()
        handed_in = self._folders.students(self._lesson)
        for student in students if students is not None else handed_in:
            if not is_usable_name(student):
                plan.problems[student] = "the name has characters that nbgrader cannot handle"
            elif student not in handed_in:
                place = f"submitted/{student}/{self._lesson.folder}/"
                plan.problems[student] = f"nothing was handed in: there is no {place}"
            elif again or not self._is_current(student):
                plan.todo.append(student)
            else:
                plan.skipped.append(student)
                if not self._folders.feedback(student, self._lesson).is_file():
                    plan.pageless.append(student)
        return plan

    def read(self, student: str) -> tuple[Order, HandedIn]:
        """A student's submission, and the order for it with its key as `content`."""
        found = read_handed_in(self._folders.submitted(student, self._lesson), self._given_files)
        order = replace(self._pattern, unreadable=found.unreadable, notes=found.notes)
        parts = [str(value) for value in asdict(order).values()]
        scope = scope_of(self._folders, self._lesson)
        content = digest(GRADER_VERSION, scope, student, *parts, found.content or b"")
        return replace(order, content=content), found

    def _is_current(self, student: str) -> bool:
        earlier = read_record(self._folders.autograded(student, self._lesson))
        if earlier is None:
            return False
        order, _ = self.read(student)
        return earlier.content == order.content


def scope_of(folders: ClassFolders, lesson: Lesson) -> str:
    """The name of a class's lesson in a table of jobs that many classes may share."""
    return digest(str(folders.root.resolve()), folders.gradebook_url, lesson.folder)


def _release_files(course: Course, lesson: Lesson) -> frozenset[str]:
    """What students receive beside the notebook, and so may hand in again."""
    folder = course.release(lesson).parent
    return frozenset(p.name for p in folder.iterdir()) if folder.is_dir() else frozenset()
