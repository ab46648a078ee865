"""Small courses, and the rule for tests that need walls: CI runs them, or fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.grading.small_course import LESSON, built_course, class_of
from tito.course import Course, Layout
from tito.grading.gradebook import register
from tito.grading.sandbox.levels import Level, why_not


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("sandbox") is None:
        return
    why = why_not(Level.NAMESPACES)
    if why is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"namespaces must work in CI, and do not: {why}")
    pytest.skip(f"no namespaces: {why}")


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
