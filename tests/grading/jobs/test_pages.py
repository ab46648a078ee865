"""Feedback pages come from several processes, and one that fails is one student's problem."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.grading.jobs.toy_class import OPTIONS, grade, toy_class
from tests.grading.small_course import LESSON
from tito.course import Course
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs.pages import make_pages

SIZE = 5


@pytest.fixture(scope="module")
def folders(built: Course, tmp_path_factory: pytest.TempPathFactory) -> ClassFolders:
    made = toy_class(built, tmp_path_factory.mktemp("pages") / "course", SIZE)
    assert len(grade(made, OPTIONS).graded) == SIZE
    return made


def pages(
    folders: ClassFolders, students: list[str], *code: str
) -> tuple[dict[str, str], list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    command = {"command": (sys.executable, "-P", "-c", *code)} if code else {}
    problems = make_pages(
        folders,
        LESSON,
        students,
        2,
        lambda made, total: told.append((made, total)),
        lambda: False,
        **command,
    )
    return problems, told


def test_everybody_gets_a_page_and_who_has_no_marks_a_reason(folders: ClassFolders) -> None:
    students = [f"s{number:02d}" for number in range(SIZE)]
    problems, told = pages(folders, [*students, "nobody"])
    assert list(problems) == ["nobody"]
    assert problems["nobody"]
    assert told[-1] == (SIZE + 1, SIZE + 1)
    for student in students:
        assert "<html" in folders.feedback(student, LESSON).read_text(encoding="utf-8")


def test_nobody_is_no_reason_to_start_anything(folders: ClassFolders) -> None:
    assert pages(folders, [], "raise SystemExit(1)") == ({}, [])


def test_a_process_that_ends_leaves_its_students_without_pages(folders: ClassFolders) -> None:
    said = json.dumps({"student": "s00", "problem": ""})
    problems, _ = pages(folders, ["s00", "s01"], f"print({said!r})")
    assert list(problems) == ["s01"]
    assert "run the command again" in problems["s01"]


def test_an_interruption_ends_it(folders: ClassFolders) -> None:
    code = "import sys; sys.stdin.read()"
    command = (sys.executable, "-P", "-c", code)
    made = make_pages(folders, LESSON, ["s00"], 1, lambda *_: None, lambda: True, command)
    assert made == {}


def test_only_missing_pages_are_made_of_marks_that_are_current(
    built: Course, tmp_path: Path
) -> None:
    folders = toy_class(built, tmp_path / "course", 2)
    grade(folders, OPTIONS)
    batch = grade(folders, replace(OPTIONS, feedback=True))
    assert batch.graded == []
    page = folders.feedback("s00", LESSON)
    assert page.is_file()
    grade(folders, replace(OPTIONS, again=True))
    assert not page.exists()  # a page of earlier marks does not pass for one of these
