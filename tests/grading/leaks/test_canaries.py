"""An independent check of the leak scan: a unique word in every secret must reach no student.

It knows nothing of tokens or notebooks: it plants words in the lesson's text and looks for their
bytes in every file that leaves the house.
"""

import uuid
import zipfile
from pathlib import Path

import pytest

from tests.tito.checkout import LESSON_TEXT, ROOT, checkout
from tito.course import Course, Lesson, find_course, find_lesson
from tito.lessons.build import build
from tito.lessons.bundle import bundle
from tito.lessons.export import export
from tito.lessons.release import release

TEXTS = {
    "fixture": (find_lesson(14), LESSON_TEXT),
    **{
        lesson.name: (lesson, find_course(ROOT).text(lesson).read_text("utf-8"))
        for lesson in find_course(ROOT).present()
    },
}


def planted(text: str) -> tuple[str, list[str]]:
    """The text with a canary below each opening marker, and the canaries."""
    canaries: list[str] = []
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append(line)
        before, marker, _ = line.partition("### BEGIN ")
        if marker:
            canary = f"canary_{uuid.uuid4().hex}"
            canaries.append(canary)
            lines.append(before + (canary if before.strip() == "#" else f'{canary} = "{canary}"'))
    return "\n".join(lines), canaries


def leaving(course: Course, out: Path) -> dict[str, bytes]:
    """Every file that students get."""
    made = bundle(course, out)
    files = {str(path): path.read_bytes() for path in made.folder.rglob("*") if path.is_file()}
    for path in (course.root / "release").rglob("*.ipynb"):
        files[str(path)] = path.read_bytes()
    with zipfile.ZipFile(made.zip) as archive:
        for name in archive.namelist():
            files[f"zip/{name}"] = archive.read(name)
    return files


@pytest.mark.parametrize("name", TEXTS)
def test_no_canary_leaves_the_house(name: str, tmp_path: Path) -> None:
    lesson, original = TEXTS[name]
    text, canaries = planted(original)
    assert len(canaries) >= 5
    course = course_with(tmp_path / "course", lesson, text)
    source = course.source(lesson).read_bytes()
    assert all(canary.encode() in source for canary in canaries)
    export(course, lesson, None, None)  # a module full of answers lies about, as it does for us
    assert canaries[0].encode() in course.exported(lesson).read_bytes()
    for file, content in leaving(course, tmp_path / "out").items():
        for canary in canaries:
            assert canary.encode() not in content, file


def course_with(root: Path, lesson: Lesson, text: str) -> Course:
    root.mkdir()
    course = checkout(root)
    course.text(find_lesson(14)).unlink()
    course.text(lesson).parent.mkdir(parents=True, exist_ok=True)
    course.text(lesson).write_text(text, encoding="utf-8")
    build(course, lesson)
    release(course, lesson)
    return course


def test_a_canary_in_the_open_is_seen(tmp_path: Path) -> None:
    text = LESSON_TEXT.replace("# Rejects the mean.", "# Rejects the mean. canary_in_the_open")
    course = course_with(tmp_path / "course", find_lesson(14), text)
    files = leaving(course, tmp_path / "out")
    assert sum(b"canary_in_the_open" in content for content in files.values()) == 3
