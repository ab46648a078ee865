"""The course: its seven lessons, and where their files lie for instructors and for students."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class CourseError(Exception):
    """A mistake the person at the keyboard can mend: what is wrong, and how to fix it.

    Args:
        message: What was given, where, and what was expected.
        fix: What to do about it, as one sentence or command.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


@dataclass(frozen=True)
class Lesson:
    """One lesson of the course.

    `difficulty` is one to four; None means open-ended.
    """

    number: int
    name: str
    title: str
    difficulty: int | None

    @property
    def folder(self) -> str:
        """The folder's name, and nbgrader's assignment id: `14_profiling`."""
        return f"{self.number}_{self.name}"

    @property
    def module(self) -> str:
        """The module that `tito export` writes: `tinytorch.profiling`."""
        return f"tinytorch.{self.name}"

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


LESSONS: tuple[Lesson, ...] = (
    Lesson(14, "profiling", "Profiling", 3),
    Lesson(15, "memoization", "Memoization", 2),
    Lesson(16, "quantization", "Quantization", 3),
    Lesson(17, "compression", "Compression", 3),
    Lesson(18, "acceleration", "Acceleration", 3),
    Lesson(19, "benchmarking", "Benchmarking", 3),
    Lesson(20, "competition", "MLPerf Edu Competition", None),
)


def find_lesson(given: str | int) -> Lesson:
    """Return the lesson meant by a number, a name or a folder's name.

    Args:
        given: `14`, `"14"`, `"profiling"` or `"14_profiling"`.

    Raises:
        CourseError: No lesson answers to it; the message lists those that exist.
    """
    wanted = str(given).strip().rstrip("/").lower()
    for lesson in LESSONS:
        if wanted in (str(lesson.number), lesson.name, lesson.folder):
            return lesson
    known = ", ".join(str(lesson) for lesson in LESSONS)
    raise CourseError(
        f"There is no lesson {str(given)!r}. The lessons are: {known}.",
        "Give a number or a name, as in `tito check 14` or `tito check profiling`.",
    )


class Layout(Enum):
    """What kind of folder the course was found in."""

    CHECKOUT = "checkout"
    BUNDLE = "bundle"


@dataclass(frozen=True)
class Course:
    """A course on disk: the instructor's checkout, or the folder a student unzipped."""

    root: Path
    layout: Layout

    def text(self, lesson: Lesson) -> Path:
        """The lesson's one hand-edited source, percent text (checkout only)."""
        return self.root / "modules" / lesson.folder / f"{lesson.name}.py"

    def source(self, lesson: Lesson) -> Path:
        """The instructor's notebook, made by `tito build` (checkout only)."""
        return self.root / "source" / lesson.folder / f"{lesson.name}.ipynb"

    def release(self, lesson: Lesson) -> Path:
        """The notebook without answers, made by `tito release` (checkout only)."""
        return self.root / "release" / lesson.folder / f"{lesson.name}.ipynb"

    def assignment(self, lesson: Lesson) -> Path:
        """The student's own notebook (bundle only)."""
        return self.root / "assignments" / lesson.folder / f"{lesson.name}.ipynb"

    def notebook(self, lesson: Lesson) -> Path:
        """The notebook that commands use when none is named."""
        if self.layout is Layout.BUNDLE:
            return self.assignment(lesson)
        return self.source(lesson)

    def exported(self, lesson: Lesson) -> Path:
        """The package module that `tito export` writes."""
        return self.root / "tinytorch" / f"{lesson.name}.py"

    def relative(self, path: Path) -> str:
        """`path` as seen from the course's root; of a file elsewhere only the name."""
        resolved = path.resolve()
        if resolved.is_relative_to(self.root.resolve()):
            return resolved.relative_to(self.root.resolve()).as_posix()
        return resolved.name

    def present(self) -> list[Lesson]:
        """The lessons that exist here: those with a text, or in a bundle with a notebook."""
        place = self.text if self.layout is Layout.CHECKOUT else self.assignment
        return [lesson for lesson in LESSONS if place(lesson).is_file()]

    def chosen(self, given: str | None) -> list[Lesson]:
        """The lesson asked for, or every lesson that exists when none is named.

        Raises:
            CourseError: The lesson is unknown, or its file is not there.
        """
        if given is None:
            return self.present()
        lesson = find_lesson(given)
        present = self.present()
        if lesson not in present:
            place = self.text if self.layout is Layout.CHECKOUT else self.assignment
            there = ", ".join(str(each) for each in present) or "none"
            raise CourseError(
                f"Lesson {lesson} is not here: {self.relative(place(lesson))} is missing. "
                f"Lessons that are here: {there}.",
                "Choose one of these, or bring the file back.",
            )
        return [lesson]


def layout_of(folder: Path) -> Layout | None:
    """What kind of course `folder` is the root of, or None."""
    if not (folder / "tinytorch" / "__init__.py").is_file():
        return None
    if (folder / "modules").is_dir():
        return Layout.CHECKOUT
    if (folder / "assignments").is_dir():
        return Layout.BUNDLE
    return None


def find_course(start: Path | None = None) -> Course:
    """Find the course around `start`, else the one this package lies in.

    Args:
        start: Where to begin looking upward; the working folder when None.

    Raises:
        CourseError: Neither place is inside a course.
    """
    first = (start or Path.cwd()).resolve()
    for origin in (first, Path(__file__).resolve().parent):
        for folder in (origin, *origin.parents):
            layout = layout_of(folder)
            if layout is not None:
                return Course(folder, layout)
    raise CourseError(
        f"{first} is not inside the course.",
        "Go to the course's folder (the one with tinytorch/ and assignments/) and try again.",
    )
