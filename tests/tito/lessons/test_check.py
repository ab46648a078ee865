"""`tito check` on a student's notebook: honest, half-written, wrong, endless, fatal, damaged."""

import json
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbgrader.utils import compute_checksum

from tests.tito.checkout import LESSON, changed, checkout
from tito.course import Course, CourseError
from tito.lessons import check_run
from tito.lessons import notebook as nb
from tito.lessons.build import build
from tito.lessons.check import FAILED, OTHER_CELLS, PASSED, UNWRITTEN, TaskReport, check
from tito.lessons.release import release

Edit = Callable[[nb.Notebook], None]
HONEST = {
    "middle": "#| export\nLIMIT = 1_000\n\n\ndef middle(samples):\n    if len(samples) == 0:\n"
    '        raise ValueError("samples is empty")\n    return float(np.median(samples))\n',
    "pairs__count": "#| export\nclass PairCounter:\n    def __init__(self, size):\n"
    "        self.total = size * (size - 1) // 2\n",
    "question_why": "Because one sample can move the mean anywhere.",
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = tmp_path_factory.mktemp("check") / "course"
    root.mkdir()
    course = checkout(root)
    build(course, LESSON)
    release(course, LESSON)
    return course


def submit(course: Course, folder: Path, answers: dict[str, str], edit: Edit | None = None) -> Path:
    """A student's notebook: the release with some cells replaced."""
    notebook = nb.read_notebook(course.release(LESSON))
    for cell in notebook["cells"]:
        cell["source"] = answers.get(nb.grade_id(cell) or "", cell["source"])
    if edit is not None:
        edit(notebook)
    path = folder / "mine.ipynb"
    path.write_bytes(nb.to_bytes(notebook))
    return path


def checked(
    course: Course, folder: Path, answers: dict[str, str], edit: Edit | None = None
) -> dict[str, TaskReport]:
    path = submit(course, folder, answers, edit)
    return {report.task: report for report in check(course, LESSON, path, 5.0, False)}


def states(reports: dict[str, TaskReport]) -> dict[str, str]:
    return {task: report.state for task, report in reports.items()}


def test_honest_work_passes(given: Course, tmp_path: Path) -> None:
    reports = checked(given, tmp_path, HONEST)
    assert states(reports) == {"middle": PASSED, "pairs": PASSED, "question_why": PASSED}
    assert (reports["middle"].passed, reports["middle"].tests) == (2, 2)
    assert reports["question_why"].tests == 0


def test_the_untouched_release_is_not_yet_written(given: Course, tmp_path: Path) -> None:
    reports = checked(given, tmp_path, {})
    assert set(states(reports).values()) == {UNWRITTEN}
    assert "middle (cell middle, number " in reports["middle"].hints[0]
    assert "PairCounter.__init__" in reports["pairs"].hints[0]
    assert "PairCounter.with_itself" in reports["pairs"].hints[0]
    assert reports["middle"].problems == []


def test_a_wrong_answer_fails_with_the_tests_own_words(given: Course, tmp_path: Path) -> None:
    wrong = {**HONEST, "middle": HONEST["middle"].replace("np.median", "np.mean")}
    reports = checked(given, tmp_path, wrong)
    assert states(reports)["middle"] == FAILED
    assert states(reports)["pairs"] == PASSED
    [problem] = reports["middle"].problems
    assert problem.startswith("test_middle: the middle of 1 2 90 is 31.0; expected 2.0")
    assert problem.endswith("(line 2)")
    assert reports["middle"].passed == 1


def test_a_bare_assert_shows_its_line(given: Course, tmp_path: Path) -> None:
    def plain(notebook: nb.Notebook) -> None:
        cell = next(c for c in notebook["cells"] if nb.grade_id(c) == "test_pairs")
        cell["source"] = "assert PairCounter(3).total == 4"

    [problem] = checked(given, tmp_path, HONEST, plain)["pairs"].problems
    assert problem == "test_pairs: assert PairCounter(3).total == 4 (line 1)"


def test_a_syntax_error_is_told_once_and_first(given: Course, tmp_path: Path) -> None:
    reports = checked(given, tmp_path, {**HONEST, "middle": "def middle(:\n    pass\n"})
    assert reports["middle"].state == FAILED
    assert reports["middle"].problems[0].startswith("your cell middle: SyntaxError")
    assert any("syntax" in hint for hint in reports["middle"].hints)


@pytest.mark.parametrize(
    "body",
    [
        "    while True:\n        pass",
        "    import time\n    while True:\n        try:\n            time.sleep(1)\n"
        "        except BaseException:\n            pass",
    ],
    ids=["plain", "deaf"],
)
def test_an_endless_cell_costs_only_its_task(
    given: Course, tmp_path: Path, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_run, "_GRACE_S", 0.3)
    endless = {**HONEST, "middle": f"def middle(samples):\n{body}\n"}
    path = submit(given, tmp_path, endless)
    reports = {r.task: r for r in check(given, LESSON, path, 3.0, False)}
    assert states(reports)["pairs"] == PASSED
    assert reports["middle"].problems[0] == ("test_middle: did not end within 3 s and was stopped")
    assert any("loop" in hint for hint in reports["middle"].hints)


def test_a_cell_that_ends_the_process_costs_only_its_task(given: Course, tmp_path: Path) -> None:
    fatal = {**HONEST, "middle": "import os\ndef middle(samples):\n    os._exit(0)\n"}
    reports = checked(given, tmp_path, fatal)
    assert states(reports)["pairs"] == PASSED
    assert "ended the whole process" in reports["middle"].problems[0]


def test_a_flood_of_output_and_sys_exit_do_no_harm(given: Course, tmp_path: Path) -> None:
    loud = 'import sys\nprint("x" * 50_000_000)\nsys.stderr.write("y" * 50_000_000)\n'
    reports = checked(given, tmp_path, {**HONEST, "middle": loud + HONEST["middle"]})
    assert states(reports)["middle"] == PASSED
    quits = {**HONEST, "pairs__count": HONEST["pairs__count"] + "import sys\nsys.exit(3)\n"}
    reports = checked(given, tmp_path, quits)
    assert states(reports) == {"middle": PASSED, "pairs": PASSED, "question_why": PASSED}


def test_measuring_cells_run_only_when_asked(given: Course, tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    def touch(notebook: nb.Notebook) -> None:
        cell = next(c for c in notebook["cells"] if nb.has_tag(c, "measure"))
        cell["source"] = "open('ran', 'w').close()"

    path = submit(given, tmp_path, HONEST, touch)
    check(given, LESSON, path, 5.0, False)
    assert not mark.exists()
    check(given, LESSON, path, 5.0, True)
    assert mark.exists()


def test_a_failed_part_fails_its_task(given: Course, tmp_path: Path) -> None:
    def in_parts(notebook: nb.Notebook) -> None:
        for cell in notebook["cells"]:
            if nb.grade_id(cell) == "test_middle":
                cell["source"] = (
                    "from tito.testing import part\n"
                    'with part(1, "the middle of three"):\n    assert middle([3, 1, 2]) == 2\n'
                    'with part(1, "what cannot be"):\n    assert middle([3, 1, 2]) == 7\n'
                )

    reports = checked(given, tmp_path, HONEST, in_parts)
    assert reports["middle"].state == FAILED
    assert "what cannot be" in str(reports["middle"])


def test_an_edited_test_is_told(given: Course, tmp_path: Path) -> None:
    def soften(notebook: nb.Notebook) -> None:
        cell = next(c for c in notebook["cells"] if nb.grade_id(c) == "test_pairs")
        cell["source"] = "assert PairCounter is not None"

    reports = checked(given, tmp_path, HONEST, soften)
    assert reports["pairs"].state == PASSED
    assert reports["pairs"].hints == [
        "test_pairs was changed; when you hand in, the original counts."
    ]
    assert reports["middle"].hints == []


def test_our_checksum_is_nbgraders(given: Course) -> None:
    for cell in nb.read_notebook(given.release(LESSON))["cells"]:
        if nb.grade_id(cell):
            node = nbformat.from_dict(cell)
            assert nb.checksum(cell) == compute_checksum(node)
            assert not nb.was_edited(cell)


def break_a_measuring_cell(notebook: nb.Notebook) -> None:
    cell = next(c for c in notebook["cells"] if nb.has_tag(c, "measure"))
    cell["source"] = "1 / 0"


def test_a_cell_without_points_that_fails_is_told(given: Course, tmp_path: Path) -> None:
    path = submit(given, tmp_path, HONEST, break_a_measuring_cell)
    assert OTHER_CELLS not in {r.task for r in check(given, LESSON, path, 5.0, False)}
    *_, last = check(given, LESSON, path, 5.0, True)
    assert (last.task, last.state) == (OTHER_CELLS, FAILED)
    assert last.problems == ["cell 5: ZeroDivisionError: division by zero (line 1)"]


def test_while_tasks_are_unwritten_only_failed_imports_are_told(
    given: Course, tmp_path: Path
) -> None:
    path = submit(given, tmp_path, {}, break_a_measuring_cell)
    assert OTHER_CELLS not in {r.task for r in check(given, LESSON, path, 5.0, True)}

    def bad_import(notebook: nb.Notebook) -> None:
        notebook["cells"][2]["source"] += "\nimport tinytorch.memoization"

    reports = checked(given, tmp_path, {}, bad_import)
    [problem] = reports[OTHER_CELLS].problems
    assert problem.startswith("cell 3: LessonNotExportedError")


def test_magics_run_as_in_jupyter(given: Course, tmp_path: Path) -> None:
    magic = {
        **HONEST,
        "middle": "%timeit -n1 -r1 0\n" + HONEST["middle"].removeprefix("#| export\n"),
    }
    assert states(checked(given, tmp_path, magic))["middle"] == PASSED


def test_the_reference_passes_its_hidden_tests_too(given: Course) -> None:
    reports = check(given, LESSON, None, 10.0, True)
    assert {report.state for report in reports} == {PASSED}


def test_a_planted_mistake_is_caught_by_a_hidden_test(given: Course, tmp_path: Path) -> None:
    def off_by_one(notebook: nb.Notebook) -> None:
        cell = next(c for c in notebook["cells"] if nb.grade_id(c) == "pairs__count")
        cell["source"] = changed("self.total + self.size", "self.total", cell["source"])

    notebook = nb.read_notebook(given.source(LESSON))
    off_by_one(notebook)
    path = tmp_path / "mine.ipynb"
    path.write_bytes(nb.to_bytes(notebook))
    reports = {report.task: report for report in check(given, LESSON, path, 5.0, False)}
    assert reports["pairs"].state == FAILED
    assert "To repeat these inputs: fresh('pairs', seed=" in reports["pairs"].problems[0]


def copy_a_test(notebook: nb.Notebook) -> None:
    notebook["cells"].append(next(c for c in notebook["cells"] if nb.grade_id(c) == "test_pairs"))


def drop_a_solution(notebook: nb.Notebook) -> None:
    notebook["cells"] = [c for c in notebook["cells"] if nb.grade_id(c) != "pairs__count"]


@pytest.mark.parametrize(
    ("edit", "words"),
    [(copy_a_test, "'test_pairs' occurs 2 times"), (drop_a_solution, "lacks the cells 'pairs__")],
)
def test_a_damaged_notebook_is_refused(
    given: Course, tmp_path: Path, edit: Edit, words: str
) -> None:
    with pytest.raises(CourseError, match=words) as refused:
        checked(given, tmp_path, HONEST, edit)
    assert refused.value.fix


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{not json", "is not JSON .line 1"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1, 2]", "no list of cells"),
        (b'{"nbformat": 3, "cells": []}', "format 3"),
        (b'{"nbformat": 4, "cells": [{"source": 3}]}', "Cell 1 of .* is malformed"),
        (b"[" * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_a_file_that_is_no_notebook_is_refused(
    given: Course, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=words):
        check(given, LESSON, path, 5.0, False)


def test_a_missing_notebook_is_refused(given: Course, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="no notebook at"):
        check(given, LESSON, tmp_path / "nowhere.ipynb", 5.0, False)
    with pytest.raises(CourseError, match="is a folder"):
        check(given, LESSON, tmp_path, 5.0, False)


def test_the_notebook_itself_is_not_changed(given: Course, tmp_path: Path) -> None:
    path = submit(given, tmp_path, HONEST)
    before = path.read_bytes()
    check(given, LESSON, path, 5.0, False)
    assert path.read_bytes() == before
    assert json.loads(before)["nbformat"] == 4
