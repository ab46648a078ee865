"""The graded notebook: the instructor's cells, the student's text, nothing else of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.grading.small_course import cell_of, changed, instructor_notebook, student_notebook
from tito.course import CourseError
from tito.grading import rebuild
from tito.grading.rebuild import Rebuilt, read_submission, rebuilt
from tito.lessons import notebook as nb

LESSON = instructor_notebook()
LOCKED = [
    (nb.grade_id(cell), cell["source"], cell["metadata"])
    for cell in LESSON["cells"]
    if nb.grade_id(cell) and not nb.is_solution(cell)
]


def locked(notebook: nb.Notebook) -> list[tuple[object, object, object]]:
    """The tests and read-only cells of a notebook."""
    return [
        (nb.grade_id(cell), cell["source"], cell["metadata"])
        for cell in notebook["cells"]
        if nb.grade_id(cell) and not nb.is_solution(cell)
    ]


def sources(made: Rebuilt) -> list[str]:
    return [cell["source"] for cell in made.notebook["cells"]]


def test_an_honest_submission_gets_its_hidden_tests_back() -> None:
    student = student_notebook()
    made = rebuilt(student, LESSON)
    assert made.notes == []
    assert locked(made.notebook) == LOCKED
    assert "BEGIN HIDDEN" in cell_of(made.notebook, "test_middle")["source"]
    assert cell_of(made.notebook, "middle")["source"] == cell_of(student, "middle")["source"]
    assert len(made.notebook["cells"]) == len(LESSON["cells"])


def test_a_tag_that_skips_a_test_is_dropped() -> None:
    student = student_notebook(solved=False)
    for cell in student["cells"]:
        cell["metadata"]["tags"] = ["skip-execution", "raises-exception", "measure"]
        cell["metadata"].setdefault("nbgrader", {})["points"] = 1_000
    made = rebuilt(student, LESSON)
    assert locked(made.notebook) == LOCKED
    tags = [cell["metadata"].get("tags") for cell in made.notebook["cells"]]
    assert [each for each in tags if each] == [["measure"]]  # the lesson's own


def test_a_rewritten_test_is_the_instructors_again() -> None:
    made = rebuilt(changed("test_pairs", "print('fine')"), LESSON)
    assert locked(made.notebook) == LOCKED
    assert "print('fine')" not in sources(made)


def test_cells_of_the_students_own_stay_where_they_are() -> None:
    student = student_notebook()
    place = student["cells"].index(cell_of(student, "pairs"))
    own = nb.new_cell("code", "half = 2", "mine", {"tags": ["skip-execution"]})
    student["cells"].insert(place, own)
    student["cells"].insert(0, nb.new_cell("markdown", "My notes", "notes", {}))
    made = rebuilt(student, LESSON)
    assert sources(made)[0] == "My notes"
    after = sources(made).index("half = 2") + 1
    assert nb.grade_id(made.notebook["cells"][after]) == "pairs"
    assert made.notebook["cells"][after - 1]["metadata"] == {}


def test_an_edited_free_cell_takes_the_place_of_the_lessons() -> None:
    student = student_notebook()
    first = next(cell for cell in student["cells"] if cell["source"].startswith("#| export"))
    first["source"] += "\nimport math"
    made = rebuilt(student, LESSON)
    assert len(made.notebook["cells"]) == len(LESSON["cells"])
    assert any(source.endswith("import math") for source in sources(made))


def test_cell_ids_lost_in_another_editor_do_no_harm() -> None:
    student = student_notebook()
    for cell in student["cells"]:
        del cell["id"]
    made = rebuilt(student, LESSON)
    assert made.notes == []
    assert len(made.notebook["cells"]) == len(LESSON["cells"])


def test_a_missing_test_comes_back_and_is_reported() -> None:
    student = student_notebook()
    student["cells"].remove(cell_of(student, "test_pairs"))
    made = rebuilt(student, LESSON)
    assert locked(made.notebook) == LOCKED
    assert made.notes == ["the cell `test_pairs` was missing"]


def test_a_missing_solution_becomes_the_stub() -> None:
    student = student_notebook()
    student["cells"].remove(cell_of(student, "pairs"))
    made = rebuilt(student, LESSON)
    assert "raise NotImplementedError" in cell_of(made.notebook, "pairs")["source"]
    assert "size * (size - 1)" not in cell_of(made.notebook, "pairs")["source"]
    assert made.notes == ["the cell `pairs` was missing"]


def test_a_missing_answer_shows_no_model_answer() -> None:
    student = student_notebook()
    student["cells"].remove(cell_of(student, "question_why"))
    made = rebuilt(student, LESSON)
    assert "One wild sample" not in cell_of(made.notebook, "question_why")["source"]


def test_a_copied_test_counts_once() -> None:
    student = student_notebook()
    student["cells"].append(dict(cell_of(student, "test_pairs"), source="pass"))
    made = rebuilt(student, LESSON)
    assert locked(made.notebook) == LOCKED
    assert made.notes == ["a copy of the cell `test_pairs` was left out"]


def test_a_copied_solution_runs_in_both_places() -> None:
    student = student_notebook()
    place = student["cells"].index(cell_of(student, "pairs"))
    student["cells"].insert(place + 1, dict(cell_of(student, "pairs"), source="pairs = len"))
    made = rebuilt(student, LESSON)
    place = made.notebook["cells"].index(cell_of(made.notebook, "pairs"))
    assert made.notebook["cells"][place + 1]["source"] == "pairs = len"
    assert made.notebook["cells"][place + 1]["metadata"] == {}
    assert made.notes == ["the cell `pairs` is there more than once"]


def test_a_solution_turned_into_text_is_code_again() -> None:
    student = student_notebook()
    cell = cell_of(student, "pairs")
    cell["cell_type"] = "markdown"
    made = rebuilt(student, LESSON)
    assert cell_of(made.notebook, "pairs")["cell_type"] == "code"
    assert cell_of(made.notebook, "pairs")["outputs"] == []
    assert made.notes == ["the cell `pairs` was turned into markdown"]


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "was not handed in"),
        (lambda path: path.mkdir(), "was not handed in"),
        (lambda path: write(path, b""), "not JSON"),
        (lambda path: write(path, b"{"), "not JSON"),
        (lambda path: write(path, b"[" * 100_000), "nested too deeply"),
        (lambda path: write(path, b"\xff\xfe\x00"), "cannot be read"),
        (lambda path: write(path, b"[1, 2]"), "no list of cells"),
        (lambda path: write(path, b'{"cells": [3], "nbformat": 4}'), "malformed"),
        (lambda path: write(path, b'{"cells": [], "nbformat": 3}'), "format 3"),
        (lambda path: path.symlink_to("/etc/hostname"), "is a link"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "profiling.ipynb"
    make(path)
    with pytest.raises(CourseError, match=words):
        read_submission(path)


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "LARGEST_BYTES", 1_000_000)
    path = tmp_path / "profiling.ipynb"
    path.write_bytes(b" " * 1_000_001)
    with pytest.raises(CourseError, match="has 1 MB; at most 1 are read"):
        read_submission(path)
    path.write_bytes(json.dumps({"cells": [], "nbformat": 4}).encode())
    assert read_submission(path)["cells"] == []


@settings(max_examples=60)
@given(st.data())
def test_no_shuffling_copying_or_dropping_touches_the_tests(data: st.DataObject) -> None:
    cells = student_notebook()["cells"]
    chosen = data.draw(st.lists(st.sampled_from(range(len(cells))), max_size=2 * len(cells)))
    student = nb.new_notebook([dict(cells[index]) for index in chosen])
    for cell in student["cells"]:
        cell["cell_type"] = data.draw(st.sampled_from(["code", "markdown", "raw"]))
    made = rebuilt(student, LESSON)
    assert locked(made.notebook) == LOCKED
    identities = [cell["id"] for cell in made.notebook["cells"]]
    assert len(identities) == len(set(identities))
