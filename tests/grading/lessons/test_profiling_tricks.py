"""Wrong solutions that take points where tests run in their process, and none under the judge."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.grading.lessons.kernel_runs import changed_source, failures, job
from tito.course import find_course, find_lesson
from tito.grading.contract_runs import NotebookToRun, run_notebooks
from tito.grading.mutants import Change
from tito.lessons import notebook as nb
from tito.lessons.build import lesson_notebook
from tito.lessons.rules import read_lesson

FILE = Path(__file__).parent / "profiling_tricks.toml"
TRICKS = tomllib.loads(FILE.read_text(encoding="utf-8"))["trick"]
LESSON = find_lesson(14)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lesson() -> nb.Notebook:
    text = find_course().text(LESSON)
    return lesson_notebook(read_lesson(text, text.name))


@pytest.fixture(scope="module")
def changes(lesson: nb.Notebook) -> dict[str, Change]:
    """The tricks; each must match its cell exactly once."""
    sources = {nb.grade_id(cell): cell["source"] for cell in lesson["cells"]}
    for each in TRICKS:
        assert sources[each["cell"]].count(each["find"]) == 1, each["name"]
    return {
        each["name"]: Change(each["name"], each["cell"], each["find"], each["replace"], "")
        for each in TRICKS
    }


@pytest.fixture(scope="module")
def lost_in_a_kernel(lesson: nb.Notebook, changes: dict[str, Change]) -> dict[str, dict[str, str]]:
    jobs = [
        job(name, lesson, (changed_source(cell, change) for cell in lesson["cells"]))
        for name, change in changes.items()
    ]
    return failures(jobs)


@pytest.fixture(scope="module")
def lost_under_the_judge(lesson: nb.Notebook, changes: dict[str, Change]) -> dict[str, set[str]]:
    wanted = []
    for name, change in changes.items():
        cells = [{**cell, "source": changed_source(cell, change)} for cell in lesson["cells"]]
        wanted.append(NotebookToRun(name, {**lesson, "cells": cells}, measure_cells=False))
    runs = run_notebooks(wanted, lesson, LESSON.number, cell_s=20.0)
    return {
        name: {each.label for each in verdicts if each.status != "passed"}
        for name, verdicts in runs
    }


@pytest.mark.parametrize("trick", TRICKS, ids=[each["name"] for each in TRICKS])
def test_a_trick_takes_points_in_its_own_process(
    trick: dict[str, str], lost_in_a_kernel: dict[str, dict[str, str]]
) -> None:
    assert trick["test"] not in lost_in_a_kernel[trick["name"]]


@pytest.mark.parametrize("trick", TRICKS, ids=[each["name"] for each in TRICKS])
def test_the_judge_gives_it_none(
    trick: dict[str, str], lost_under_the_judge: dict[str, set[str]]
) -> None:
    assert trick["test"] in lost_under_the_judge[trick["name"]]
