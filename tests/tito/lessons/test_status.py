"""The table of lessons tells what is missing, current and stale."""

import io

from rich.console import Console

from tests.tito.checkout import LESSON, LESSON_TEXT, changed, write_text
from tito.course import Course
from tito.lessons import notebook as nb
from tito.lessons.build import build
from tito.lessons.export import export
from tito.lessons.release import release
from tito.lessons.status import CURRENT, HERE, MISSING, STALE, is_release_of, progress, show


def row(course: Course) -> dict[str, str]:
    return progress(course)[0].columns


def test_a_lesson_from_text_to_module_and_back_to_stale(course: Course) -> None:
    assert row(course) == {
        "text": HERE,
        "built": MISSING,
        "released": MISSING,
        "exported": MISSING,
    }
    build(course, LESSON)
    release(course, LESSON)
    export(course, LESSON, None, None)
    assert row(course) == {
        "text": HERE,
        "built": CURRENT,
        "released": CURRENT,
        "exported": CURRENT,
    }
    write_text(course, changed("LIMIT = 1_000", "LIMIT = 2_000"))
    assert set(row(course).values()) == {HERE, STALE}
    assert progress(course)[1].columns == {"text": MISSING}


def test_a_change_of_hidden_tests_alone_leaves_the_release_current(course: Course) -> None:
    build(course, LESSON)
    release(course, LESSON)
    write_text(course, changed("size=25", "size=27", LESSON_TEXT))
    assert row(course)["built"] == STALE
    assert row(course)["released"] == CURRENT


def test_a_release_with_one_word_changed_is_stale(course: Course) -> None:
    build(course, LESSON)
    release(course, LESSON)
    source, given = (nb.read_notebook(p(LESSON)) for p in (course.source, course.release))
    assert is_release_of(given, source)
    given["cells"][0]["source"] += "!"
    assert not is_release_of(given, source)


def test_a_broken_lesson_is_told_in_its_row(course: Course) -> None:
    write_text(course, changed('"points": 40', '"points": 4'))
    screen = Console(file=io.StringIO(), width=200)
    show(course, screen)
    told = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "1 problem in modules/14_profiling/profiling.py" in told
    assert "20 MLPerf Edu Competition" in told
