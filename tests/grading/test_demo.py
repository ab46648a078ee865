"""The demo class, on the small lesson: right marks, and a no when one is wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.grading.small_course import FILES, LESSON, hand_in
from tito.course import Course, CourseError
from tito.demo_class import FOLDER, DemoClass, differences, run_demo
from tito.grading.class_folders import ClassFolders, own_gradebook
from tito.grading.gradebook import Marks
from tito.grading.sandbox.levels import choose

ORDERS = FILES / "demo_marks.toml"


def demo(course: Course, orders: Path = ORDERS) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=120)
    level, _ = choose(None, own_work=True)
    right = run_demo(course, [LESSON], level, 2.0, console, orders)
    return right, console.file.getvalue()  # type: ignore[attr-defined]


def test_the_class_has_the_marks_it_must_have(course: Course) -> None:
    expected = {s.name: (s.auto, s.manual) for s in DemoClass(course, LESSON, ORDERS).students()}
    assert expected == {
        "blank": (0, 0),
        "reference": (90, 10),
        "partial": (35, 2),
        "wrong": (75, 0),
        "endless": (60, 0),
        "forger": (0, 0),
    }


def test_the_demo_from_end_to_end(course: Course) -> None:
    real = ClassFolders(course, course.root, own_gradebook(course.root))
    mine = hand_in(real, "ada", b"real work")
    book = (course.root / "gradebook" / "gradebook.db").read_bytes()
    right, said = demo(course)
    assert right, said
    assert "All 6 students have the expected marks." in said
    assert "endless: cell `pairs__ordered` stopped after 2 s" in said
    assert "100 / 100" in said
    root = course.root / FOLDER
    page = (root / "feedback" / "partial" / LESSON.folder / "profiling.html").read_text("utf-8")
    assert "What can one sample do?" in page
    assert (root / "gradebook" / "gradebook.db").is_file()
    # the real class is as it was
    assert mine.read_bytes() == b"real work"
    assert (course.root / "gradebook" / "gradebook.db").read_bytes() == book


def test_marks_that_are_not_expected_are_shown(course: Course) -> None:
    students = DemoClass(course, LESSON, ORDERS).students()
    found = {s.name: Marks(auto=s.auto, manual=s.manual) for s in students}
    assert differences(students, found) is None
    found["endless"].auto = 90.0
    found["partial"].manual = None
    del found["blank"]
    table = differences(students, found)
    assert table is not None
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    lines = [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    shown = [[word for word in line if word != "│"] for line in lines if "│" in line]
    assert shown == [
        ["blank", "auto", "0", "none"],
        ["blank", "manual", "0", "none"],
        ["partial", "manual", "2", "none"],
        ["endless", "auto", "60", "90"],
    ]


def test_files_that_the_demo_did_not_make_are_not_removed(course: Course) -> None:
    kept = course.root / FOLDER / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine", encoding="utf-8")
    with pytest.raises(CourseError, match="did not make"):
        demo(course)
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_lesson_without_a_demo_class_says_so(course: Course, tmp_path: Path) -> None:
    empty = tmp_path / "none.toml"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(CourseError, match="There is no demo class for lesson 14"):
        demo(course, empty)


def test_a_lesson_that_is_not_released_says_so(course: Course) -> None:
    course.release(LESSON).unlink()
    with pytest.raises(CourseError, match="is missing"):
        demo(course)
