"""A class on disk: what was handed in, what was graded, and the gradebook."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tito.course import Course, CourseError, Lesson, find_course

CLASS_VARIABLE = "TINYTORCH_CLASS"
GRADEBOOK_VARIABLE = "TINYTORCH_GRADEBOOK_URL"
JOBS_VARIABLE = "TINYTORCH_JOBS_URL"
COURSE_ID = "tinytorch_optimization"

# nbgrader puts a student's name into globs and regular expressions
_USABLE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")


@dataclass(frozen=True)
class ClassFolders:
    """A class.

    Attributes:
        course: The course it takes.
        root: The folder that holds submitted/, autograded/, feedback/ and gradebook/.
        gradebook_url: The gradebook's SQLAlchemy address.
    """

    course: Course
    root: Path
    gradebook_url: str

    def submitted(self, student: str, lesson: Lesson) -> Path:
        """The notebook a student handed in."""
        return self.root / "submitted" / student / lesson.folder / f"{lesson.name}.ipynb"

    def autograded(self, student: str, lesson: Lesson) -> Path:
        """The notebook that was graded, with the outputs of its run."""
        return self.root / "autograded" / student / lesson.folder / f"{lesson.name}.ipynb"

    def feedback(self, student: str, lesson: Lesson) -> Path:
        """The page with marks and comments that a student gets back."""
        return self.root / "feedback" / student / lesson.folder / f"{lesson.name}.html"

    @property
    def jobs_url(self) -> str:
        """Where the jobs of grading are kept, unless somebody names another place."""
        return f"sqlite:///{self.root / 'gradebook' / 'jobs.db'}"

    def students(self, lesson: Lesson) -> list[str]:
        """Everyone with a folder for a lesson in submitted/, sorted."""
        place = self.root / "submitted"
        if not place.is_dir():
            return []
        return sorted(
            folder.name
            for folder in place.iterdir()
            if not folder.name.startswith(".") and os.path.lexists(folder / lesson.folder)
        )

    def make(self) -> None:
        """Make the folders; nbgrader wants that of the gradebook before it writes there."""
        for name in ("submitted", "autograded", "feedback", "gradebook"):
            (self.root / name).mkdir(parents=True, exist_ok=True)


def is_usable_name(student: str) -> bool:
    """Whether nbgrader can handle a student's name."""
    return _USABLE_NAME.fullmatch(student) is not None


def find_class(course: Course | None = None) -> ClassFolders:
    """The class of a course: its own folder, or the one that TINYTORCH_CLASS names.

    Its gradebook is gradebook/gradebook.db, or the one that TINYTORCH_GRADEBOOK_URL names.

    Raises:
        CourseError: The variable names no folder.
    """
    place = course or find_course()
    named = os.environ.get(CLASS_VARIABLE)
    root = (place.root / named).resolve() if named else place.root
    if not root.is_dir():
        raise CourseError(
            f"The environment variable {CLASS_VARIABLE} names {named!r}, which is no folder.",
            f"Make the folder, or `unset {CLASS_VARIABLE}` for the course's own class.",
        )
    url = os.environ.get(GRADEBOOK_VARIABLE) or own_gradebook(root)
    return ClassFolders(place, root, url)


def own_gradebook(root: Path) -> str:
    """The address of the gradebook inside a class's own folder."""
    return f"sqlite:///{root / 'gradebook' / 'gradebook.db'}"
