"""Small courses, and the rule for tests that need walls: CI runs them, or fails."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.grading.needed_walls import need_walls
from tests.grading.small_course import LESSON, built_course, class_of
from tito.course import Course, Layout
from tito.grading.gradebook import register


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("sandbox") is not None:
        need_walls()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The small course, built, released and with a gradebook; copy it before writing to it."""
    course = built_course(tmp_path_factory.mktemp("built") / "course")
    register(class_of(course), LESSON)  # a new gradebook costs nbgrader seconds
    return course


@pytest.fixture
def course(built: Course, tmp_path: Path) -> Course:
    """A small course of its own."""
    shutil.copytree(built.root, tmp_path / "course")
    return Course(tmp_path / "course", Layout.CHECKOUT)
