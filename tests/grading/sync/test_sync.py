"""Generated files are what they are made from; the check says no when they are not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tito.checkout import LESSON, ROOT, changed, checkout, write_text
from tito.course import Course, find_course, find_lesson
from tito.lessons.audit import audit, sync_findings
from tito.lessons.build import build
from tito.lessons.export import export
from tito.lessons.release import release


@pytest.fixture
def fresh_course(tmp_path: Path) -> Course:
    root = tmp_path / "course"
    root.mkdir()
    course = checkout(root)
    build(course, LESSON)
    release(course, LESSON)
    export(course, LESSON, None, None)
    return course


def test_the_course_itself_is_in_sync() -> None:
    assert sync_findings(find_course(ROOT)) == []


def test_a_fresh_course_is_in_sync_and_leaks_nothing(fresh_course: Course) -> None:
    assert audit(fresh_course, leaks=True, sync=True) == []


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8") + text, encoding="utf-8")


SPOILED: dict[str, tuple[Callable[[Course], None], list[str]]] = {
    "a text edited after the build": (
        lambda course: write_text(course, changed("LIMIT = 1_000", "LIMIT = 2_000")),
        ["source/14", "release/14", "tinytorch/profiling.py"],
    ),
    "a source edited by hand": (lambda c: append(c.source(LESSON), " "), ["source/14"]),
    "a release edited by hand": (lambda c: append(c.release(LESSON), " "), ["release/14"]),
    "a module edited by hand": (
        lambda c: append(c.exported(LESSON), "# patched\n"),
        ["tinytorch/profiling.py"],
    ),
    "a release never made": (lambda c: c.release(LESSON).unlink(), ["release/14"]),
    "a module never made": (lambda c: c.exported(LESSON).unlink(), ["tinytorch/profiling.py"]),
    "a Python file in source/": (
        lambda c: c.source(LESSON).with_suffix(".py").write_text("answer = 42\n") and None,
        ["source/14_profiling/profiling.py"],
    ),
    "a module of a lesson that does not exist": (
        lambda c: c.exported(find_lesson(15)).write_text("x = 1\n") and None,
        ["tinytorch/memoization.py"],
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_is_out_of_sync_is_named_with_the_way_back(fresh_course: Course, case: str) -> None:
    spoil, named = SPOILED[case]
    spoil(fresh_course)
    findings = sync_findings(fresh_course)
    assert len(findings) == len(named), findings
    for finding, start in zip(sorted(findings), sorted(named), strict=True):
        assert finding.startswith(start)
        assert "tito " in finding or "delete it" in finding


def test_an_output_left_in_a_notebook_is_found(fresh_course: Course) -> None:
    release_file = fresh_course.release(LESSON)
    text = release_file.read_text("utf-8")
    release_file.write_text(text.replace('"outputs": []', '"outputs": [{"text": "42"}]', 1))
    findings = audit(fresh_course, leaks=True, sync=False)
    assert len(findings) == 1
    assert "holds outputs (cells 2)" in findings[0]


def test_an_answer_left_in_a_release_is_found(fresh_course: Course) -> None:
    source = fresh_course.source(LESSON).read_bytes()
    fresh_course.release(LESSON).write_bytes(source)
    findings = audit(fresh_course, leaks=True, sync=False)
    assert {finding.split(" shows ")[0] for finding in findings} == {
        "release/14_profiling/profiling.ipynb",
        "bundle: tinytorch-optimization/assignments/14_profiling/profiling.ipynb",
    }
    assert any("hidden tests test_pairs" in finding for finding in findings)
    assert any("the model answer question_why" in finding for finding in findings)


def test_an_answer_in_the_book_is_found(fresh_course: Course) -> None:
    page = fresh_course.root / "book" / "chapters" / "14.md"
    page.parent.mkdir(parents=True)
    page.write_text("Do it so: `return float(np.median(np.asarray(samples, dtype=np.float64)))`\n")
    [finding] = audit(fresh_course, leaks=True, sync=False)
    assert finding.startswith("book/chapters/14.md shows the solution middle of lesson 14")
