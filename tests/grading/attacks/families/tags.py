"""Tags, metadata and cells that are not where or what they were."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.grading.attacks.case import Case
from tito.lessons import notebook as nb

case = partial(Case, "tags")


def _tests(notebook: nb.Notebook) -> list[nb.Cell]:
    return [cell for cell in notebook["cells"] if nb.is_test(cell)]


def _tagged(*tags: str) -> Any:
    def edit(notebook: nb.Notebook) -> None:
        for cell in notebook["cells"]:
            cell["metadata"]["tags"] = list(tags)

    return edit


def _settings(**values: object) -> Any:
    """Change nbgrader's settings of all test cells."""

    def edit(notebook: nb.Notebook) -> None:
        for cell in _tests(notebook):
            cell["metadata"]["nbgrader"] |= values

    return edit


def _sources(source: str) -> Any:
    def edit(notebook: nb.Notebook) -> None:
        for cell in _tests(notebook):
            cell["source"] = source

    return edit


def _typed(kind: str) -> Any:
    def edit(notebook: nb.Notebook) -> None:
        for cell in _tests(notebook):
            cell["cell_type"] = kind

    return edit


def _deleted(notebook: nb.Notebook) -> None:
    tests = [id(cell) for cell in _tests(notebook)]
    notebook["cells"] = [cell for cell in notebook["cells"] if id(cell) not in tests]


def _moved(notebook: nb.Notebook) -> None:
    tests = _tests(notebook)
    _deleted(notebook)
    notebook["cells"] = tests + notebook["cells"]


def _copied_above(notebook: nb.Notebook) -> None:
    copies = [{**cell, "source": "assert True", "id": "x"} for cell in _tests(notebook)]
    notebook["cells"] = copies + notebook["cells"]


def _renamed(notebook: nb.Notebook) -> None:
    """The real tests take other names, and empty cells take theirs."""
    for cell in _tests(notebook):
        settings = cell["metadata"]["nbgrader"]
        easy = nb.new_cell("code", "pass", "easy", {"nbgrader": dict(settings)})
        settings["grade_id"] += "_old"
        notebook["cells"].append(easy)


def _doubled_solutions(notebook: nb.Notebook) -> None:
    """A second cell with a solution's name holds a test's grade_id of its own."""
    for cell in [c for c in notebook["cells"] if nb.is_solution(c)]:
        settings = {**cell["metadata"]["nbgrader"], "grade": True, "points": 50}
        notebook["cells"].append({**cell, "metadata": {"nbgrader": settings}})


def _locked_changed(notebook: nb.Notebook) -> None:
    for cell in notebook["cells"]:
        if nb.grade_id(cell) == "given_scale":
            cell["source"] = "SCALE = 0.0\nassert_close = assert_int = expect_error = print"


def _given_changed(notebook: nb.Notebook) -> None:
    for cell in notebook["cells"]:
        if cell["source"].startswith("from tito.testing"):
            cell["source"] = (
                "from tito.testing import FakeClock, fresh\n"
                "assert_close = assert_int = expect_error = lambda *a, **k: None"
            )


def _huge(notebook: nb.Notebook) -> None:
    for cell in notebook["cells"]:
        cell["metadata"]["more"] = {f"key{i}": "x" * 1000 for i in range(100)}
        deep: Any = 0
        for _ in range(200):
            deep = {"in": deep}
        cell["metadata"]["deep"] = deep


def _forged_record(notebook: nb.Notebook) -> None:
    """The record that a graded notebook carries, as if it were all done."""
    scores = {"test_total": 20.0, "test_scaled": 25.0}
    notebook["metadata"]["tito_grading"] = {
        "isolation": "namespaces",
        "content": "0" * 64,
        "complete": True,
        "readable": True,
        "scores": scores,
        "notes": [],
    }
    notebook["metadata"]["kernelspec"] = {"name": "bash", "display_name": "x", "language": "bash"}
    notebook["metadata"]["nbgrader"] = {"scores": scores}


def _forged_outputs(notebook: nb.Notebook) -> None:
    for cell in _tests(notebook):
        cell["execution_count"] = 1
        result = {"text/plain": "25"}
        cell["outputs"] = [
            {"output_type": "execute_result", "data": result, "metadata": {}, "execution_count": 1}
        ]


def _stolen_ids(notebook: nb.Notebook) -> None:
    """Free cells take the ids of tests and of the grader's own report."""
    names = [cell["id"] for cell in _tests(notebook)]
    for name in [*names, "grading-report"]:
        notebook["cells"].insert(0, nb.new_cell("code", "pass", name, {}))


def _attached(notebook: nb.Notebook) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["attachments"] = {"../../x.png": {"image/png": "AAAA"}, "y": {"text/html": "<b>"}}


CASES = [
    case("skip_execution", "tests that never run give full marks", edit=_tagged("skip-execution")),
    case(
        "raises_exception",
        "tests are allowed to fail",
        base="blank",
        edit=_tagged("raises-exception", "nbgrader-skip", "measure", "parameters"),
    ),
    case("more_points", "tests give a thousand points", edit=_settings(points=1000)),
    case("points_nan", "tests give no number of points", edit=_settings(points=float("nan"))),
    case("no_grade", "tests say that they are none", edit=_settings(grade=False, locked=False)),
    case(
        "tests_are_solutions",
        "tests say that their text is the student's",
        edit=lambda n: (_settings(solution=True, grade=True)(n), _sources("pass")(n))[0],
    ),
    case("schema_version", "an old schema is migrated", edit=_settings(schema_version=1)),
    case("future_schema", "a schema of the future", edit=_settings(schema_version=99)),
    case("odd_grade_id", "names that are no words", edit=_settings(grade_id=["test_total"])),
    case("emptied", "tests hold nothing", edit=_sources("pass")),
    case("as_comment", "tests become comments", edit=_sources("# nothing to see")),
    case("deleted", "no tests", edit=_deleted, says=("`test_total` was missing",)),
    case("moved", "tests before everything", edit=_moved),
    case("copied_above", "an easy copy stands above", edit=_copied_above, says=("a copy",)),
    case("renamed", "easy cells take the tests' names", edit=_renamed),
    case("markdown", "tests are text", edit=_typed("markdown"), says=("turned into markdown",)),
    case("raw", "tests are raw", edit=_typed("raw"), says=("turned into raw",)),
    case("doubled_solutions", "solutions that claim points", edit=_doubled_solutions),
    case("locked_changed", "a locked cell is rewritten", edit=_locked_changed),
    case("given_changed", "the cell that imports the checks is rewritten", edit=_given_changed),
    case("huge_metadata", "metadata of megabytes", edit=_huge),
    case("forged_record", "the notebook says that it was graded", edit=_forged_record),
    case("forged_outputs", "stored outputs hold points", base="blank", edit=_forged_outputs),
    case("stolen_ids", "cells with the ids of others", edit=_stolen_ids),
    case("attachments", "attachments with odd names", edit=_attached),
]
