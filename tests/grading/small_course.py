"""A course of one small lesson, on disk, for the tests of grading."""

from __future__ import annotations

import shutil
from pathlib import Path

from tito.course import Course, Layout, find_lesson
from tito.grading.class_folders import ClassFolders, own_gradebook
from tito.lessons import notebook as nb
from tito.lessons.build import build, lesson_notebook
from tito.lessons.release import release
from tito.lessons.roles import visible_text
from tito.lessons.rules import read_lesson

FILES = Path(__file__).parent / "small_lesson"
LESSON = find_lesson(14)
TEXT = (FILES / "profiling.percent").read_text(encoding="utf-8")
TESTS = {
    "test_middle": 20,
    "test_middle__even": 15,
    "test_pairs": 25,
    "test_pairs__ordered": 30,
}


def small_course(root: Path, text: str = TEXT) -> Course:
    """A checkout with the small lesson's text, mutants and variants; nothing is generated yet."""
    (root / "tinytorch").mkdir(parents=True)
    (root / "tinytorch" / "__init__.py").write_text("", encoding="utf-8")
    course = Course(root, Layout.CHECKOUT)
    course.text(LESSON).parent.mkdir(parents=True)
    course.text(LESSON).write_text(text, encoding="utf-8")
    for name in ("mutants.toml", "variants.toml"):
        shutil.copy(FILES / name, course.text(LESSON).parent / name)
    return course


def built_course(root: Path) -> Course:
    """The same, built and released."""
    course = small_course(root)
    build(course, LESSON)
    release(course, LESSON)
    return course


def instructor_notebook() -> nb.Notebook:
    """The small lesson's notebook, with all answers and tests."""
    return lesson_notebook(read_lesson(FILES / "profiling.percent", "profiling.percent"))


def student_notebook(solved: bool = True) -> nb.Notebook:
    """The notebook as a student has it: with the answers filled in, or as it was given out."""
    notebook = instructor_notebook()
    for cell in notebook["cells"]:
        if nb.is_test(cell):
            cell["source"] = visible_text(cell["source"])
        elif nb.is_solution(cell) and solved:
            lines = cell["source"].split("\n")
            cell["source"] = "\n".join(line for line in lines if "### " not in line)
        elif nb.is_solution(cell):
            cell["source"] = visible_text(cell["source"])
    return notebook


def cell_of(notebook: nb.Notebook, grade_id: str) -> nb.Cell:
    """The cell with a grade_id."""
    return next(cell for cell in notebook["cells"] if nb.grade_id(cell) == grade_id)


def changed(grade_id: str, source: str, solved: bool = True) -> nb.Notebook:
    """A student's notebook with the text of one cell replaced."""
    notebook = student_notebook(solved)
    cell_of(notebook, grade_id)["source"] = source
    return notebook


def class_of(course: Course) -> ClassFolders:
    """The course's own class."""
    return ClassFolders(course, course.root, own_gradebook(course.root))


def hand_in(folders: ClassFolders, student: str, notebook: nb.Notebook | bytes) -> Path:
    """Put a notebook into submitted/."""
    path = folders.submitted(student, LESSON)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(notebook if isinstance(notebook, bytes) else nb.to_bytes(notebook))
    return path
