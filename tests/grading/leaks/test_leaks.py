"""The leak scan finds answers wherever they are hidden, and keeps quiet about what is public."""

import json
import textwrap
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from tests.tito.checkout import LESSON, LESSON_TEXT, ROOT, changed
from tito.course import find_course
from tito.lessons.audit import leak_findings
from tito.lessons.leaks import (
    Leak,
    scan,
    secrets_of,
    shown_by_lesson,
    tokens,
    visible_grams,
    visible_texts,
    without_comments,
)
from tito.lessons.roles import LessonCell
from tito.lessons.rules import read_lesson

SOLUTION = """if len(samples) == 0:
    raise ValueError("samples is empty; give at least one number")
return float(np.median(np.asarray(samples, dtype=np.float64)))
"""
HIDDEN = """draws = fresh("middle").normal(size=25)
ordered = np.sort(draws)
assert_close(middle(draws.tolist()), float(ordered[12]), what="the middle of 25 draws")
"""
ANSWER = "One wild sample moves the mean as far as it likes, while the median stays within the bulk"
SHORT = "return self.total + self.size"


def lesson_cells(folder: Path, text: str = LESSON_TEXT) -> list[LessonCell]:
    path = folder / "lesson.py"
    path.write_text(text, encoding="utf-8")
    return read_lesson(path, "lesson.py")


@pytest.fixture
def cells(tmp_path: Path) -> list[LessonCell]:
    return lesson_cells(tmp_path)


def leaks(cells: list[LessonCell], name: str, content: bytes | str) -> set[str]:
    secrets = secrets_of(LESSON, cells)
    seen = visible_grams(visible_texts(cells), secrets)
    data = content.encode() if isinstance(content, str) else content
    return {leak.secret.grade_id for leak in scan([(name, data)], secrets, seen)}


def notebook(**cell: object) -> str:
    return json.dumps({"cells": [{"cell_type": "code", "source": "x = 1", **cell}]})


def zipped(name: str, text: str) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


def page(code: str) -> str:
    """Code as a highlighter writes it."""
    words = code.replace("&", "&amp;").replace("<", "&lt;").replace(" ", "</span> <span>")
    return f"<html><body><pre><span>{words}</span></pre></body></html>"


REFORMATTED = (
    SOLUTION.replace('"', "'")
    .replace("(\n", "(")
    .replace(
        "np.asarray(samples, dtype=np.float64)",
        "np.asarray(\n    samples,\n    dtype=np.float64,\n)",
    )
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.py", SOLUTION),
        ("a.py", "class A:\n    def f(self):\n" + textwrap.indent(SOLUTION, " " * 8)),
        ("a.py", REFORMATTED),
        ("a.py", SOLUTION.replace("== 0:\n", "== 0:  # nothing given\n    # so refuse\n")),
        ("a.md", f"Look:\n\n```python\n{SOLUTION}```\n"),
        ("a.html", page(SOLUTION)),
        ("a.html", f"<script>var code = {json.dumps(SOLUTION)};</script>"),
        ("a.js", f"Search.setIndex({json.dumps({'text': SOLUTION})})"),
        ("a.ipynb", notebook(source=SOLUTION.splitlines(keepends=True))),
        ("a.ipynb", notebook(metadata={"deep": {"er": [SOLUTION]}})),
        ("a.ipynb", notebook(outputs=[{"data": {"text/html": page(SOLUTION)}}])),
        ("a.ipynb", notebook(outputs=[{"output_type": "stream", "text": [SOLUTION]}])),
        ("a.zip", zipped("inner/b.txt", SOLUTION)),
        ("a.whl", zipped("b.py", SOLUTION)),
    ],
)  # fmt: skip
def test_a_solution_is_found(cells: list[LessonCell], name: str, content: bytes | str) -> None:
    assert leaks(cells, name, content) == {"middle"}


def test_hidden_tests_model_answers_and_short_solutions_are_found(cells: list[LessonCell]) -> None:
    assert leaks(cells, "a.txt", HIDDEN) == {"test_middle"}
    assert leaks(cells, "a.txt", f"They say: {ANSWER} of it.") == {"question_why"}
    assert leaks(cells, "a.py", SHORT) == {"pairs__count"}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x = np.median(samples)",
        "def middle(samples: Sequence[float]) -> float:\n    return 0.0",
        'assert_close(middle([1.0, 2.0, 90.0]), 2.0, what="the middle of 1 2 90")',
        "The median of some samples. Raises ValueError: there are none. refuse an empty sequence",
    ],
)
def test_what_students_are_given_is_no_leak(cells: list[LessonCell], content: str) -> None:
    assert leaks(cells, "a.py", content) == set()


def test_binary_and_broken_files_are_passed_over(cells: list[LessonCell]) -> None:
    assert leaks(cells, "a.png", b"\x89PNG\xff\xfe" + SOLUTION.encode()) == set()
    assert leaks(cells, "a.zip", b"no zip") == set()
    assert leaks(cells, "a.ipynb", "{" + SOLUTION) == {"middle"}  # broken JSON is read as text


def test_an_answer_pasted_into_the_lessons_own_prose_is_found(tmp_path: Path) -> None:
    prose = "# Two tasks and a question, for the tests of the course's tools."
    lines = "".join(f"# {line}\n" for line in SOLUTION.splitlines())
    pasted = lesson_cells(tmp_path, changed(prose, f"{prose}\n#\n{lines}"))
    found = shown_by_lesson(LESSON, pasted, secrets_of(LESSON, pasted), "lesson.py")
    assert [leak.secret.grade_id for leak in found] == ["middle"]
    clean = lesson_cells(tmp_path)
    assert shown_by_lesson(LESSON, clean, secrets_of(LESSON, clean), "lesson.py") == []


def test_a_leak_says_where_and_what(cells: list[LessonCell]) -> None:
    [secret] = [each for each in secrets_of(LESSON, cells) if each.grade_id == "middle"]
    told = str(Leak("release/x.ipynb", secret, "np . median"))
    assert told == "release/x.ipynb shows the solution middle of lesson 14 profiling: np . median"


def test_tokens_survive_reformatting() -> None:
    assert tokens('f(a, "b")') == tokens("f(\n    a,\n    'b',\n)") == ["f", "a", "b"]
    assert without_comments('x = "# no comment"  # a comment\n') == 'x = "# no comment"  \n'
    assert without_comments("    y = (1,  # cut\n") == "    y = (1, \n"


def test_the_course_itself_leaks_nothing() -> None:
    assert leak_findings(find_course(ROOT)) == []
