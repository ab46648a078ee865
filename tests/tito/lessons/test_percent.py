"""The reader of percent text, held against jupytext's, and what it refuses."""

from pathlib import Path

import jupytext
import pytest

from tests.tito.checkout import LESSON_TEXT, ROOT
from tito.course import CourseError
from tito.lessons.percent import LessonRefusedError, parse_percent, read_percent

TEXTS = [LESSON_TEXT, *(path.read_text("utf-8") for path in ROOT.glob("modules/*/*.py"))]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.splitlines()[1])
def test_agrees_with_jupytext(text: str) -> None:
    theirs = jupytext.reads(text, fmt="py:percent").cells
    ours = parse_percent(text, "lesson.py")
    assert [(cell.kind, cell.text) for cell in ours] == [
        (cell.cell_type, cell.source) for cell in theirs
    ]
    assert [cell.metadata.get("nbgrader") for cell in ours] == [
        cell.metadata.get("nbgrader") for cell in theirs
    ]
    assert [cell.metadata.get("tags", []) for cell in ours] == [
        cell.metadata.get("tags", []) for cell in theirs
    ]


def test_lines_are_those_of_the_file() -> None:
    cells = parse_percent('# %%\n\nx = 1\n\n# %% [markdown] tags=["a"]\n# words\n', "lesson.py")
    assert [(cell.line, cell.first_line) for cell in cells] == [(1, 3), (5, 6)]


def test_triple_quoted_text_is_markdown() -> None:
    [cell] = parse_percent('# %% [markdown]\n"""\n# A title\n\nwords\n"""\n', "lesson.py")
    assert (cell.kind, cell.text) == ("markdown", "# A title\n\nwords")


def test_windows_line_ends_make_no_difference() -> None:
    text = "# %%\nx = 1\ny = 2\n"
    assert parse_percent(text.replace("\n", "\r\n"), "l.py") == parse_percent(text, "l.py")


def test_a_header_of_comments_may_stand_above_the_first_cell() -> None:
    assert len(parse_percent("# ---\n# jupyter: x\n# ---\n\n# %%\nx = 1\n", "lesson.py")) == 1


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\n# %%\n", 1, "outside any cell"),
        ("# nothing here\n", 1, "no cell"),
        ("# %% [raw]\n", 1, "kind of cell"),
        ("# %% A title\nx = 1\n", 1, "cannot read"),
        ("# %% tags=[unquoted]\n", 1, "not JSON"),
        ('# %% tags=["a"] tags=["b"]\n', 1, "given twice"),
        ("# %% [markdown]\n# words\nx = 1\n", 3, "no comment"),
        ("# %%\n\n%matplotlib inline\n", 3, "magic"),
        ("# %%\nx = 1\n# !pip install x\n", 3, "magic"),
    ],
)
def test_refuses(text: str, line: int, words: str) -> None:
    with pytest.raises(LessonRefusedError) as refused:
        parse_percent(text, "modules/14_x/x.py")
    [problem] = refused.value.problems
    assert problem.line == line
    assert words in problem.message
    assert problem.fix
    assert f"modules/14_x/x.py:{line}" in refused.value.message


def test_a_missing_file_and_one_in_another_encoding_are_named(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="does not exist"):
        read_percent(tmp_path / "x.py", "modules/x.py")
    (tmp_path / "x.py").write_bytes(b"# %%\n# \xe9\n")
    with pytest.raises(CourseError, match="not UTF-8"):
        read_percent(tmp_path / "x.py", "modules/x.py")
