"""Every rule of a lesson, each shown a lesson that breaks it."""

from pathlib import Path

import pytest

from tests.tito.checkout import LESSON_TEXT, changed
from tito.lessons.percent import LessonRefusedError, Problem
from tito.lessons.roles import Role
from tito.lessons.rules import read_lesson

MIDDLE_TEST = 'assert_close(middle([1.0, 2.0, 90.0]), 2.0, what="the middle of 1 2 90")'
COUNTER = "counter = PairCounter(4)"
LOCKED_CELL = '# %% nbgrader={"grade_id": "given_more"}\n'
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
    "a test with a magic": (
        (MIDDLE_TEST, f"{MIDDLE_TEST}\n%timeit middle([1.0])"),
        "is a notebook magic",
    ),
    "a test with a shell line": (
        (MIDDLE_TEST, f"!ls\n{MIDDLE_TEST}"),
        "is a notebook magic",
    ),
    "a test that asks for the shell": (
        (MIDDLE_TEST, f"{MIDDLE_TEST}\nget_ipython().run_line_magic('time', 'middle([1.0])')"),
        "uses get_ipython",
    ),
    "a locked cell that asks for the shell": (
        ("# %% tags=[", f"{LOCKED_CELL}SHELL = get_ipython()\n\n# %% tags=["),
        "uses get_ipython",
    ),
    "a test that subclasses the student's class": (
        (COUNTER, "class Own(PairCounter):\n    more = 1\n\n\ncounter = Own(4)"),
        "subclasses 'PairCounter'",
    ),
    "a test that asks for the student's type": (
        (COUNTER, f"{COUNTER}\nassert isinstance(counter, PairCounter)"),
        "asks for the type 'PairCounter'",
    ),
    "a test that asks for one of several types": (
        (COUNTER, f"{COUNTER}\nassert isinstance(counter, int | PairCounter)"),
        "asks for the type 'PairCounter'",
    ),
    "a test that asks for a subclass": (
        (COUNTER, f"{COUNTER}\nassert issubclass(PairCounter, object)\n"
         "assert issubclass(int, (str, PairCounter))"),
        "asks for the type 'PairCounter'",
    ),
    "a test that matches the student's type": (
        (COUNTER,
         f"{COUNTER}\nmatch counter:\n    case PairCounter():\n        assert counter"),
        "matches 'PairCounter'",
    ),
    "a test that catches the student's type": (
        (MIDDLE_TEST, f"try:\n    {MIDDLE_TEST}\nexcept (KeyError, middle):\n    raise"),
        "catches 'middle'",
    ),
    "a test that binds the student's name": (
        (MIDDLE_TEST, f"middle = max\n{MIDDLE_TEST}"),
        "binds 'middle', as the solution cell in line",
    ),
    "a test that binds it in a loop": (
        (MIDDLE_TEST, f"for middle in (min, max):\n    {MIDDLE_TEST}"),
        "binds 'middle', as the solution cell in line",
    ),
    "a locked cell that binds the student's name": (
        ("# %% tags=[", f"{LOCKED_CELL}middle = max\n\n# %% tags=["),
        "binds 'middle', as the solution cell in line",
    ),
    "a test that binds a locked name": (
        (COUNTER, "counter = held = PairCounter(4)"),
        "binds 'held', as the locked cell in line",
    ),
    "a test that rebinds what a later cell needs": (
        ("# %% tags=[", "# %%\nshared = 2\n\n# %% tags=[",
         COUNTER, f"shared = 1\n{COUNTER}",
         '# %% [markdown] nbgrader={"grade_id": "question_why"',
         '# %%\nprint(shared)\n\n# %% [markdown] nbgrader={"grade_id": "question_why"'),
        "rebinds 'shared' of the cell in line",
    ),
    "a test that needs another test's name": (
        (COUNTER, "counter = PairCounter(len(draws))"),
        "needs 'draws' from the test in line",
    ),
    "a helper of another test": (
        (MIDDLE_TEST, f"def near(a, b):\n    return abs(a - b) < 1\n\n\n{MIDDLE_TEST}",
         COUNTER, f"{COUNTER}\nassert near(counter.total, 6)"),
        "needs 'near' from the test in line",
    ),
    "inside with a lambda": (
        (COUNTER, "counter = inside(lambda: PairCounter(4))"),
        "`inside` is given a lambda",
    ),
    "inside with a test's function": (
        (COUNTER, "def make():\n    return PairCounter(4)\n\n\ncounter = inside(make)"),
        "`inside` is given 'make' of an unlocked cell",
    ),
    "inside with a test's lambda by name": (
        (COUNTER, "make = lambda: PairCounter(4)\ncounter = testing.inside(make)"),
        "`inside` is given 'make' of an unlocked cell",
    ),
    "a speed compared with a lambda": (
        (COUNTER, f"{COUNTER}\nspeedup(PairCounter, lambda size: size, lambda rng: (4,), 2)"),
        "`speedup` is given a lambda",
    ),
    "a speed compared with a test's function": (
        (COUNTER, f"def slow(size):\n    return size\n\n\n{COUNTER}\n"
         "speedup(PairCounter, baseline=slow, make_input=lambda rng: (4,), at_least=2)"),
        "`speedup` is given 'slow' of an unlocked cell",
    ),
    "inside with a free cell's function": (
        ("measured = sum(range(1000))", "measured = 1\n\n\ndef make():\n    return PairCounter(4)",
         COUNTER, "counter = inside(make)"),
        "`inside` is given 'make' of an unlocked cell",
    ),
}  # fmt: skip

LOCKED = """# %% nbgrader={"grade_id": "given_tools"}
def held(context, work):
    with context as entered:
        work()
    return entered

"""
WITH_TOOLS = changed('# %% tags=["measure"]', LOCKED + '# %% tags=["measure"]')


@pytest.mark.parametrize("case", CASES)
def test_refuses(tmp_path: Path, case: str) -> None:
    replacements, words = CASES[case]
    text = WITH_TOOLS
    for old, new in zip(replacements[::2], replacements[1::2], strict=True):
        text = changed(old, new, text)
    found = problems(tmp_path, text)
    assert any(words in each.message or words in each.fix for each in found), found
    assert all(each.line > 0 and each.cell and each.fix for each in found)


ALLOWED = {
    "inside with a locked function": ("counter = inside(held, PairCounter(4), list)",),
    "inside with the student's function": ("counter = inside(PairCounter, 4)",),
    "inside with an object": ("work = [PairCounter(4)]\ncounter = inside(work.pop)",),
    "inside with a function of a package": (f"{COUNTER}\nassert inside(np.add, 1, 2) == 3",),
    "a speed compared with a locked function": (
        f"{COUNTER}\nspeedup(PairCounter, held, lambda rng: (4,), 2)",
    ),
    "a function for the judge alone": (
        "def near(a, b):\n    return abs(a - b) < 1\n\n\ncounter = PairCounter(4)\n"
        "assert near(counter.total, 6)",
    ),
    "the student's name inside a function or comprehension": (
        "counter = [PairCounter(middle) for middle in (4,)][0]",
    ),
    "types of data": (f"{COUNTER}\nassert isinstance(counter.total, int | np.integer)",),
    "a name that two tests bind": ("draws = [4]\ncounter = PairCounter(draws[0])",),
}  # fmt: skip


@pytest.mark.parametrize("case", ALLOWED)
def test_allows(tmp_path: Path, case: str) -> None:
    (new,) = ALLOWED[case]
    assert problems(tmp_path, changed(COUNTER, new, WITH_TOOLS)) == []


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


def test_a_speed_is_an_assertion(tmp_path: Path) -> None:
    old = 'expect_error(ValueError, middle, [], mentions=("empty",))'
    new = "speedup(middle, sorted, lambda rng: ([4.0],), at_least=2)"
    assert LESSON_TEXT.count(old) == 1
    assert problems(tmp_path, LESSON_TEXT.replace(old, new)) == []
