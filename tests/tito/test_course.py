"""Lessons by any of their names, and courses found from anywhere inside them."""

from pathlib import Path

import pytest

from tests.tito.checkout import ROOT
from tito.course import LESSONS, Course, CourseError, Layout, find_course, find_lesson


@pytest.mark.parametrize(
    "given", [14, "14", "profiling", "14_profiling", " Profiling ", "14_profiling/"]
)
def test_a_lesson_by_any_of_its_names(given: str | int) -> None:
    assert find_lesson(given).folder == "14_profiling"


@pytest.mark.parametrize("given", ["", "13", "21", "prof", "14 profiling", "-1"])
def test_an_unknown_lesson_is_refused_with_the_list(given: str) -> None:
    with pytest.raises(CourseError) as refused:
        find_lesson(given)
    assert "14 profiling, 15 memoization" in refused.value.message
    assert "20 competition" in refused.value.message


def test_the_seven_lessons() -> None:
    assert [lesson.number for lesson in LESSONS] == list(range(14, 21))
    assert [lesson.difficulty for lesson in LESSONS] == [3, 2, 3, 3, 3, 3, None]
    assert find_lesson(15).module == "tinytorch.memoization"


def folder(root: Path, kind: str) -> Path:
    (root / "tinytorch").mkdir(parents=True)
    (root / "tinytorch" / "__init__.py").touch()
    (root / kind / "14_profiling").mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("kind", "layout"), [("modules", Layout.CHECKOUT), ("assignments", Layout.BUNDLE)]
)
def test_a_course_is_found_from_inside(tmp_path: Path, kind: str, layout: Layout) -> None:
    root = folder(tmp_path / "course", kind)
    for start in (root, root / kind, root / kind / "14_profiling"):
        assert find_course(start) == Course(root, layout)


def test_outside_a_course_the_installed_one_is_used(tmp_path: Path) -> None:
    assert find_course(tmp_path).root == ROOT


def test_a_lesson_that_is_not_here_is_refused_with_those_that_are(tmp_path: Path) -> None:
    root = folder(tmp_path / "course", "assignments")
    (root / "assignments" / "14_profiling" / "profiling.ipynb").touch()
    course = find_course(root)
    assert [lesson.number for lesson in course.chosen(None)] == [14]
    with pytest.raises(
        CourseError, match=r"assignments/15_memoization/memoization\.ipynb is miss"
    ) as no:
        course.chosen("15")
    assert "14 profiling" in no.value.message


def test_paths_are_shown_from_the_root_and_strangers_by_name(tmp_path: Path) -> None:
    course = find_course(folder(tmp_path / "course", "modules"))
    assert course.relative(course.root / "source" / "x.ipynb") == "source/x.ipynb"
    assert course.relative(tmp_path / "private" / "y.ipynb") == "y.ipynb"
