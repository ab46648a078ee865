"""The instructor's notebook: the same bytes every time, and what nbgrader and Jupyter expect."""

import json
from pathlib import Path

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from tests.tito.checkout import LESSON, LESSON_TEXT, ROOT, changed, write_text
from tito.course import Course, CourseError, find_course
from tito.lessons.build import build, built
from tito.lessons.percent import LessonRefusedError


def cells(course: Course) -> list[dict[str, object]]:
    build(course, LESSON)
    return json.loads(course.source(LESSON).read_text("utf-8"))["cells"]


def test_twice_gives_the_same_bytes_and_leaves_the_file_alone(course: Course) -> None:
    assert build(course, LESSON) is True
    first, time = course.source(LESSON).read_bytes(), course.source(LESSON).stat().st_mtime_ns
    assert build(course, LESSON) is False
    assert course.source(LESSON).read_bytes() == first
    assert course.source(LESSON).stat().st_mtime_ns == time


def test_is_a_valid_notebook_stored_as_nbformat_stores_it(course: Course) -> None:
    stored = built(course, LESSON).decode()
    notebook = nbformat.reads(stored, as_version=4)
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) + "\n" == stored
    MetadataValidator().validate_nb(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "jupytext" not in notebook.metadata


@pytest.mark.parametrize(
    "lesson", find_course(Path(__file__)).present(), ids=lambda lesson: lesson.name
)
def test_every_lesson_of_the_course_builds(lesson: object) -> None:
    notebook = nbformat.reads(built(find_course(ROOT), lesson).decode(), as_version=4)  # type: ignore[arg-type]
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)


def test_all_nbgrader_keys_are_inferred(course: Course) -> None:
    given = {
        cell["metadata"]["nbgrader"]["grade_id"]: cell["metadata"]["nbgrader"]
        for cell in cells(course)
        if "nbgrader" in cell["metadata"]
    }
    assert given["middle"] == {
        "schema_version": 3,
        "grade_id": "middle",
        "grade": False,
        "solution": True,
        "locked": False,
        "task": False,
        "cell_type": "code",
    }
    flags = {
        name: (meta["grade"], meta["solution"], meta["locked"], meta.get("points"))
        for name, meta in given.items()
    }
    assert flags == {
        "given_rules": (False, False, True, None),
        "middle": (False, True, False, None),
        "test_middle": (True, False, True, 30),
        "test_middle__empty": (True, False, True, 20),
        "pairs__count": (False, True, False, None),
        "test_pairs": (True, False, True, 40),
        "question_why": (True, True, False, 10),
    }


def test_ids_come_from_the_grade_id_or_the_content(course: Course) -> None:
    before = [cell["id"] for cell in cells(course)]
    assert "test_middle" in before
    write_text(course, changed("# Work with what", "# Please work with what"))
    assert [cell["id"] for cell in cells(course)] == before  # that cell has a grade_id
    write_text(course, changed("# Two tasks and", "# Three tasks and"))
    after = [cell["id"] for cell in cells(course)]
    assert after[1:] == before[1:]
    assert after[0] != before[0]


def test_equal_cells_get_different_ids(course: Course) -> None:
    write_text(course, LESSON_TEXT + "\n# %%\nx = 1\n\n# %%\nx = 1\n\n# %%\nx = 1\n")
    names = [cell["id"] for cell in cells(course)]
    assert len(set(names)) == len(names)
    assert [name.partition(names[-3])[2] for name in names[-3:]] == ["", "-2", "-3"]


def test_tags_travel_and_code_has_no_outputs(course: Course) -> None:
    tagged = [cell for cell in cells(course) if "tags" in cell["metadata"]]
    assert [cell["metadata"]["tags"] for cell in tagged] == [["measure"]]
    code = [cell for cell in cells(course) if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_a_refused_text_leaves_the_old_notebook(course: Course) -> None:
    build(course, LESSON)
    old = course.source(LESSON).read_bytes()
    write_text(course, changed('"points": 40', '"points": 4'))
    with pytest.raises(LessonRefusedError):
        build(course, LESSON)
    assert course.source(LESSON).read_bytes() == old


def test_python_beside_a_notebook_is_refused(course: Course) -> None:
    build(course, LESSON)
    stray = course.source(LESSON).with_suffix(".py")
    stray.write_text("answer = 42\n")
    with pytest.raises(CourseError, match="source/14_profiling/profiling") as refused:
        build(course, LESSON)
    assert "modules/14_profiling/" in refused.value.fix
