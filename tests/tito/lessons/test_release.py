"""The student's notebook: made by nbgrader, without answers, byte for byte the same."""

import json
import os
from pathlib import Path

import nbformat
import pytest

from tests.tito.checkout import LESSON, LESSON_TEXT, ROOT, changed, write_text
from tito.course import Course, CourseError, find_course
from tito.lessons.build import build
from tito.lessons.nbgrader_settings import CODE_STUB, TEXT_STUB
from tito.lessons.release import release, released
from tito.lessons.roles import visible_text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    from tests.tito.checkout import checkout

    root = tmp_path_factory.mktemp("release") / "course"
    root.mkdir()
    course = checkout(root)
    build(course, LESSON)
    release(course, LESSON)
    content = course.release(LESSON).read_bytes()
    release(course, LESSON)
    assert course.release(LESSON).read_bytes() == content
    notebook = nbformat.reads(content.decode(), as_version=4)
    nbformat.validate(notebook)
    return {cell["id"]: cell for cell in notebook.cells}


def test_solutions_become_the_stub(made: dict[str, dict[str, object]]) -> None:
    source = str(made["middle"]["source"])
    assert f"    # 2. take the middle\n    {CODE_STUB}" in source
    assert "median(np" not in source
    assert str(made["pairs__count"]["source"]).count(CODE_STUB) == 2
    assert made["question_why"]["source"] == f"Why not the mean?\n\n{TEXT_STUB}"


def test_hidden_tests_vanish_and_visible_ones_stay(made: dict[str, dict[str, object]]) -> None:
    source = str(made["test_middle"]["source"])
    assert source.startswith("# Rejects the mean.\nassert_close(middle(")
    assert "fresh" not in source
    assert "HIDDEN" not in source


def test_checksums_and_locks_are_nbgraders(made: dict[str, dict[str, object]]) -> None:
    test, solution = made["test_middle"]["metadata"], made["middle"]["metadata"]
    assert len(test["nbgrader"]["checksum"]) == 32  # type: ignore[index,call-overload]
    assert (test["deletable"], test["editable"]) == (False, False)  # type: ignore[index,call-overload]
    assert solution["deletable"] is False  # type: ignore[index,call-overload]
    assert "editable" not in solution  # type: ignore[operator]


def test_every_cell_shows_what_our_own_reading_says(course: Course) -> None:
    """nbgrader's cut and ours, which status and the leak scan rest on, are the same."""
    build(course, LESSON)
    release(course, LESSON)
    source = json.loads(course.source(LESSON).read_text("utf-8"))["cells"]
    given = json.loads(course.release(LESSON).read_text("utf-8"))["cells"]
    for mine, theirs in zip(source, given, strict=True):
        stub = CODE_STUB if mine["cell_type"] == "code" else TEXT_STUB
        assert visible_text("".join(mine["source"]), stub) == "".join(theirs["source"])


def test_leaves_no_gradebook_and_the_working_folder_as_it_was(course: Course) -> None:
    before = os.getcwd()
    build(course, LESSON)
    release(course, LESSON)
    assert os.getcwd() == before
    assert not list(course.root.rglob("*.db"))
    assert not list(course.root.rglob(".nbgrader.log"))


def test_an_old_or_missing_source_is_refused(course: Course) -> None:
    with pytest.raises(CourseError, match="is missing"):
        release(course, LESSON)
    build(course, LESSON)
    write_text(course, changed("LIMIT = 1_000", "LIMIT = 2_000", LESSON_TEXT))
    with pytest.raises(CourseError, match="older than"):
        release(course, LESSON)


def test_what_nbgrader_refuses_is_told(course: Course) -> None:
    build(course, LESSON)
    notebook = json.loads(course.source(LESSON).read_text("utf-8"))
    notebook["cells"].append(notebook["cells"][-1])  # the same grade_id twice
    with pytest.raises(CourseError, match="nbgrader refused"):
        released(json.dumps(notebook).encode(), LESSON)


@pytest.mark.parametrize(
    "lesson", find_course(Path(__file__)).present(), ids=lambda lesson: lesson.name
)
def test_the_courses_own_lessons_keep_no_marker(lesson: object) -> None:
    from tito.lessons.build import built

    text = released(built(find_course(ROOT), lesson), lesson).decode()  # type: ignore[arg-type]
    for word in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS"):
        assert word not in text
