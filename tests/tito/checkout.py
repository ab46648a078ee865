"""Small courses on disk for the tests: the real packages around one fixture lesson."""

import shutil
from pathlib import Path

from tito.course import LESSONS, Course, Layout, find_lesson

ROOT = Path(__file__).resolve().parents[2]
LESSON_TEXT = (Path(__file__).parent / "lessons" / "fixture_lesson.percent").read_text("utf-8")
LESSON = find_lesson(14)

_GENERATED = ("__pycache__", *(f"{lesson.name}.py" for lesson in LESSONS))


def checkout(root: Path, text: str = LESSON_TEXT) -> Course:
    """A checkout with the real packages and one lesson of this text."""
    ignore = shutil.ignore_patterns(*_GENERATED)
    for package in ("tinytorch", "tito"):
        shutil.copytree(ROOT / package, root / package, ignore=ignore)
    for name in ("pyproject.toml", "requirements.lock", "LICENSE"):
        shutil.copy(ROOT / name, root / name)
    (root / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "students.md", root / "docs" / "students.md")
    course = Course(root, Layout.CHECKOUT)
    write_text(course, text)
    return course


def write_text(course: Course, text: str) -> None:
    """Replace the lesson's text."""
    path = course.text(LESSON)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def changed(old: str, new: str, text: str = LESSON_TEXT) -> str:
    """The lesson with one replacement, which must match exactly once."""
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    return text.replace(old, new)
