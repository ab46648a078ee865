"""What is graded, what is up to date, and who does not belong to the class."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from tests.grading.jobs.toy_class import OPTIONS, grade, toy_class
from tests.grading.small_course import LESSON, hand_in
from tito.course import Course
from tito.grading.class_folders import ClassFolders
from tito.grading.gradebook import opened
from tito.grading.gradebook_schema import student
from tito.grading.jobs.payload import Order, digest
from tito.grading.jobs.plan import Planner
from tito.grading.jobs.roster import not_in_roster

PATTERN = Order("profiling.ipynb", "lesson", "given", "process", 30.0, 600.0, "")


@pytest.fixture
def folders(built: Course, tmp_path: Path) -> ClassFolders:
    return toy_class(built, tmp_path / "course", 2)


def key(folders: ClassFolders, name: str = "s00", **changes: object) -> str:
    pattern = replace(PATTERN, **changes)  # type: ignore[arg-type]
    return Planner(folders, LESSON, pattern).read(name)[0].content


def test_a_key_changes_with_everything_that_marks_follow_from(folders: ClassFolders) -> None:
    usual = key(folders)
    assert key(folders) == usual
    different = [
        key(folders, lesson="other"),
        key(folders, given="other"),
        key(folders, isolation="namespaces"),
        key(folders, cell_s=31.0),
        key(folders, notebook_s=601.0),
        key(folders, "s01"),
    ]
    hand_in(folders, "s00", b"[]")
    different.append(key(folders))
    folders.submitted("s00", LESSON).unlink()
    different.append(key(folders))
    assert len({usual, *different}) == len(different) + 1


def test_two_parts_of_a_key_never_run_together() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a") == digest(b"a")


def test_a_change_of_options_grades_anew(folders: ClassFolders) -> None:
    assert len(grade(folders).graded) == 2
    assert grade(folders).skipped == ["s00", "s01"]
    assert len(grade(folders, replace(OPTIONS, cell_s=5.0)).graded) == 2
    assert len(grade(folders, replace(OPTIONS, cell_s=5.0, again=True)).graded) == 2


def test_a_name_that_nbgrader_cannot_handle(folders: ClassFolders) -> None:
    hand_in(folders, "odd*name", b"{}")
    plan = Planner(folders, LESSON, PATTERN).plan(["odd*name", "nobody", "s00"], again=False)
    assert plan.todo == ["s00"]
    assert "nbgrader cannot handle" in plan.problems["odd*name"]
    assert "there is no submitted/nobody/14_profiling/" in plan.problems["nobody"]


def enter(folders: ClassFolders, **row: str) -> None:
    with opened(folders) as book, book.writing() as connection:
        connection.execute(insert(student).values(**row))


def test_without_a_roster_everybody_belongs_to_the_class(folders: ClassFolders) -> None:
    assert not_in_roster(folders, ["s00", "s01"]) == []
    enter(folders, id="s00")  # as grading enters whoever handed in
    assert not_in_roster(folders, ["s00", "s01"]) == []


def test_with_a_roster_strangers_are_not_graded(folders: ClassFolders) -> None:
    enter(folders, id="s00", first_name="Ada", email="ada@example.org")
    batch = grade(folders)
    assert batch.graded == ["s00"]
    assert list(batch.problems) == ["s01"]
    assert "not in the gradebook's roster" in batch.problems["s01"]
    assert "nbgrader db student add s01" in batch.problems["s01"]
    with opened(folders) as book, book.reading() as connection:
        assert connection.execute(student.select()).all()[0].id == "s00"
    enter(folders, id="s01")
    assert grade(folders).graded == ["s01"]
