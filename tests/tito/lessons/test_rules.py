"""Every rule of a lesson, each shown a lesson that breaks it."""

from pathlib import Path

import pytest

from tests.tito.checkout import LESSON_TEXT, changed
from tito.lessons.percent import LessonRefusedError, Problem
from tito.lessons.roles import Role
from tito.lessons.rules import read_lesson

MIDDLE_TEST = 'assert_close(middle([1.0, 2.0, 90.0]), 2.0, what="the middle of 1 2 90")'
MIDDLE_SOLUTION = """    ### BEGIN SOLUTION
    if len(samples) == 0:
        raise ValueError("samples is empty; give at least one number")
    return float(np.median(np.asarray(samples, dtype=np.float64)))
    ### END SOLUTION
"""


def problems(tmp_path: Path, text: str) -> list[Problem]:
    path = tmp_path / "lesson.py"
    path.write_text(text, encoding="utf-8")
    try:
        read_lesson(path, "lesson.py")
    except LessonRefusedError as refused:
        return refused.problems
    return []


def test_the_fixture_keeps_all_rules_and_gets_its_roles(tmp_path: Path) -> None:
    path = tmp_path / "lesson.py"
    path.write_text(LESSON_TEXT, encoding="utf-8")
    roles = {cell.grade_id: cell.role for cell in read_lesson(path, "lesson.py") if cell.grade_id}
    assert roles == {
        "given_rules": Role.READ_ONLY,
        "middle": Role.SOLUTION,
        "test_middle": Role.TEST,
        "test_middle__empty": Role.TEST,
        "pairs__count": Role.SOLUTION,
        "test_pairs": Role.TEST,
        "question_why": Role.QUESTION,
    }


CASES = {
    "unknown cell key": (
        ('tags=["measure"]', 'tags=["measure"] name="x"'),
        "unknown metadata 'name'",
    ),
    "unknown nbgrader key": (
        ('{"grade_id": "middle"}', '{"grade_id": "middle", "solution": true}'),
        "unknown nbgrader key 'solution'",
    ),
    "tags that are no list": (('tags=["measure"]', 'tags="measure"'), "tags are 'measure'"),
    "nbgrader that is no mapping": (('nbgrader={"grade_id": "middle"}', "nbgrader=3"), "is 3"),
    "no grade_id": (('{"grade_id": "middle"}', "{}"), "no grade_id"),
    "duplicate grade_id": (('"test_middle__empty"', '"test_middle"'), "already used in line"),
    "capital in grade_id": (('"pairs__count"', '"pairs__Count"'), "malformed grade_id"),
    "two __ in grade_id": (('"pairs__count"', '"pairs__count__x"'), "malformed grade_id"),
    "dash in grade_id": (('"given_rules"', '"given-rules"'), "malformed grade_id"),
    "endless grade_id": (('"given_rules"', f'"{"x" * 65}"'), "malformed grade_id"),
    "test without test_": (('"test_pairs"', '"pairs"'), "its name says otherwise"),
    "solution with test_": (('"pairs__count"', '"test_pairs__x"'), "its name says otherwise"),
    "question without question_": (('"question_why"', '"why"'), "its name says otherwise"),
    "unclosed solution": (
        ("dtype=np.float64)))\n    ### END SOLUTION\n", "dtype=np.float64)))\n"),
        "has no `### END SOLUTION`",
    ),
    "end without begin": (
        ("    ### BEGIN SOLUTION\n    if len", "    if len"),
        "no `### BEGIN SOLUTION` above",
    ),
    "nested solution": (
        ("    if len(samples) == 0:\n", "    ### BEGIN SOLUTION\n    if len(samples) == 0:\n"),
        "opens again",
    ),
    "empty region": (
        (MIDDLE_SOLUTION, "    ### BEGIN SOLUTION\n\n    ### END SOLUTION\n"),
        "holds nothing",
    ),
    "solution without markers": (
        (MIDDLE_SOLUTION, "    return 0.0\n"),
        "carries the task 'middle' but holds no solution",
    ),
    "question without model answer": (
        ("# ### BEGIN SOLUTION\n# One", "# One"),
        "no `### BEGIN SOLUTION` above",
    ),
    "solution in a test": (
        (MIDDLE_TEST, f"{MIDDLE_TEST}\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION"),
        "in a test cell",
    ),
    "solution in a free cell": (
        ("measured = sum(range(1000))", "### BEGIN SOLUTION\nmeasured = 1\n### END SOLUTION"),
        "in a free cell",
    ),
    "hidden tests in a free cell": (
        ("measured = sum(range(1000))", "### BEGIN HIDDEN TESTS\nz = 1\n### END HIDDEN TESTS"),
        "Only test cells",
    ),
    "hidden tests in a solution": (
        ("        self.size = size\n", "        ### BEGIN HIDDEN TESTS\n        self.size = size\n"
         "        ### END HIDDEN TESTS\n"),
        "in a solution cell",
    ),
    "almost a marker": (("    ### BEGIN SOLUTION\n    if len", "    # BEGIN SOLUTION\n    if len"),
                        "almost a marker"),
    "a word nbgrader acts on": (("# Rejects the mean.", "### AUTOTEST middle"), "'AUTOTEST'"),
    "syntax error": (("LIMIT = 1_000", "LIMIT = = 1"), "is not Python"),
    "unknown directive": (("#| export\nLIMIT", "#| exporti\nLIMIT"), "unknown directive"),
    "late export": (("#| export\nLIMIT = 1_000", "LIMIT = 1_000\n#| export"), "not the first line"),
    "exported test": (("# Rejects the mean.", "#| export"), "goes into the package"),
    "skipped test": (
        ('{"grade_id": "test_pairs", "points": 40}',
         '{"grade_id": "test_pairs", "points": 40} tags=["skip-execution"]'),
        "full marks to a test that never ran",
    ),
    "measuring test": (
        ('{"grade_id": "test_pairs", "points": 40}',
         '{"grade_id": "test_pairs", "points": 40} tags=["measure"]'),
        "tagged `measure`",
    ),
    "points zero": (('"points": 40', '"points": 0'), "points are 0"),
    "points negative": (('"points": 40', '"points": -40'), "points are -40"),
    "points true": (('"points": 40', '"points": true'), "points are True"),
    "points as words": (('"points": 40', '"points": "40"'), "points are '40'"),
    "wrong total": (('"points": 40', '"points": 39'), "add up to 99"),
    "a test that calls nothing": (
        ('expect_error(ValueError, middle, [], mentions=("empty",))', "assert middle is not None"),
        "calls nothing",
    ),
    "a test that asserts nothing": (
        ('expect_error(ValueError, middle, [], mentions=("empty",))', "result = middle([1.0])"),
        "asserts nothing",
    ),
    "a test of something else": (
        ('expect_error(ValueError, middle, [], mentions=("empty",))',
         "assert_int(sum([1]), 1)"),
        "uses nothing its task's solution defines",
    ),
    "a test that ends in a value": (
        ('expect_error(ValueError, middle, [], mentions=("empty",))',
         "assert middle([1.0]) == 1\nmiddle([1.0])"),
        "ends in an expression",
    ),
    "a test of no task": (('"test_pairs"', '"test_pears"'), "task 'pears' has no solution cell"),
    "a solution without a test": (('"pairs__count"', '"pares"'), "no test gives the task 'pares'"),
    "a graded cell that needs a measured name": (
        (MIDDLE_TEST, f"{MIDDLE_TEST}\nassert measured > 0"),
        "needs 'measured' from the measuring cell",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refuses(tmp_path: Path, case: str) -> None:
    (old, new), words = CASES[case]
    found = problems(tmp_path, changed(old, new))
    assert any(words in each.message or words in each.fix for each in found), found
    assert all(each.line > 0 and each.cell and each.fix for each in found)


def test_a_test_above_its_solution_is_refused(tmp_path: Path) -> None:
    start, end = LESSON_TEXT.index('# %% nbgrader={"grade_id": "pairs__count"}'), len(LESSON_TEXT)
    test = LESSON_TEXT.index('# %% nbgrader={"grade_id": "test_pairs"')
    question = LESSON_TEXT.index('# %% [markdown] nbgrader={"grade_id": "question_why"')
    text = LESSON_TEXT[:start] + LESSON_TEXT[test:question] + LESSON_TEXT[start:test]
    found = problems(tmp_path, text + LESSON_TEXT[question:end])
    assert [each.message for each in found] == ["stands above its task's solution."]


def test_code_that_breaks_when_its_solution_is_taken_out_is_refused(tmp_path: Path) -> None:
    old = (
        "    return float(np.median(np.asarray(samples, dtype=np.float64)))\n    ### END SOLUTION\n"
    )
    new = "    if True:\n    ### END SOLUTION\n        return 1.0\n"
    [found] = problems(tmp_path, changed(old, new))
    assert "is not Python without its marked region" in found.message


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    text = changed('"points": 40', '"points": -40')
    text = changed('"test_middle__empty"', '"test_middle"', text)
    found = problems(tmp_path, text)
    assert len(found) == 3  # the negative points, the double name, the total
    lines = text.splitlines()
    double = next(each for each in found if "already used" in each.message)
    assert '"points": 20' in lines[double.line - 1]
    assert "line " + str(lines.index(next(x for x in lines if '"points": 30' in x)) + 1) in (
        double.message
    )
