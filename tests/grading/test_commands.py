"""The commands' own refusals: said before anything is graded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.grading.small_course import LESSON, hand_in, small_course, student_notebook
from tito.course import Course, CourseError
from tito.grading import commands
from tito.grading.class_folders import CLASS_VARIABLE, GRADEBOOK_VARIABLE, find_class
from tito.grading.hidden_tests import REMARK, Shown
from tito.grading.sandbox.levels import Level


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """A small course that is the working folder; nothing of it is generated."""
    course = small_course(tmp_path / "course")
    monkeypatch.chdir(course.root)
    monkeypatch.delenv(CLASS_VARIABLE, raising=False)
    monkeypatch.delenv(GRADEBOOK_VARIABLE, raising=False)
    return course


@pytest.mark.usefixtures("here")
def test_lessons_that_are_unknown_or_not_here() -> None:
    with pytest.raises(CourseError, match="There is no lesson '99'"):
        commands.grade("99", isolation=Level.PROCESS)
    with pytest.raises(CourseError, match="15 memoization is not here"):
        commands.contract("15")


@pytest.mark.usefixtures("here")
def test_a_list_of_students_that_names_nobody() -> None:
    with pytest.raises(CourseError, match="names nobody"):
        commands.grade("14", students=" , ", isolation=Level.PROCESS)


@pytest.mark.usefixtures("here")
def test_a_lesson_that_is_not_built() -> None:
    with pytest.raises(CourseError, match="is missing") as caught:
        commands.grade("14", isolation=Level.PROCESS)
    assert "tito build 14" in caught.value.fix


def test_a_students_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tinytorch").mkdir()
    (tmp_path / "tinytorch" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "assignments").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError, match="a student's folder"):
        commands.grade("14")


def test_another_class_and_another_gradebook(here: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    own = find_class(here)
    assert own.root == here.root
    assert own.gradebook_url == f"sqlite:///{here.root}/gradebook/gradebook.db"
    monkeypatch.setenv(CLASS_VARIABLE, "evening")
    with pytest.raises(CourseError, match="names 'evening', which is no folder"):
        find_class(here)
    (here.root / "evening").mkdir()
    assert find_class(here).gradebook_url.endswith("/evening/gradebook/gradebook.db")
    monkeypatch.setenv(GRADEBOOK_VARIABLE, "postgresql://localhost/marks")
    assert find_class(here).gradebook_url == "postgresql://localhost/marks"


def test_a_gradebook_that_cannot_be_opened_is_explained(course: Course) -> None:
    hand_in(find_class(course), "ada", student_notebook())
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tito.cli", "grade", "14", "--isolation", "process"],
        cwd=course.root,
        capture_output=True,
        text=True,
        env={**os.environ, GRADEBOOK_VARIABLE: "sqlite:////nowhere/at/all.db"},
        check=False,
    )
    assert done.returncode == 2
    assert "does not work" in done.stderr
    assert "Traceback" not in done.stderr


def test_feedback_pages_are_made_anew(
    course: Course, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(course.root)
    monkeypatch.delenv(CLASS_VARIABLE, raising=False)
    folders = find_class(course)
    hand_in(folders, "ada", student_notebook())
    with pytest.raises(CourseError, match="Nobody is graded"):
        commands.feedback("14")
    commands.grade("14", jobs=1, feedback=False)
    page = folders.feedback("ada", LESSON)
    assert not page.exists()
    commands.feedback("14", hidden_tests=Shown.CODE)
    assert REMARK not in page.read_text(encoding="utf-8")
    commands.feedback("14", hidden_tests=Shown.MESSAGES)
    assert REMARK in page.read_text(encoding="utf-8")
    capsys.readouterr()
    with pytest.raises(typer.Exit):
        commands.feedback("14", students="ada,bob")
    said = capsys.readouterr().out
    assert "'bob' is not graded" in said
    assert "Pages made: 1." in said
