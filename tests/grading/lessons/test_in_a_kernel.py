"""The tests of a lesson say the same in a student's kernel as under the judge.

The contract runs under the judge. Here the same cells run in one process, as a student meets them.
"""

from __future__ import annotations

import pytest

from tests.grading.lessons.kernel_runs import blank_source, changed_source, failures, job
from tests.grading.lessons.sample import MUTANTS, VARIANTS, spread
from tito.course import Lesson, find_course
from tito.grading.mutants import Change, read_mutants, read_variants
from tito.lessons import notebook as nb
from tito.lessons.build import lesson_notebook
from tito.lessons.rules import read_lesson

LESSONS = find_course().present()


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.folder for lesson in LESSONS])
def test_notebooks_of_the_contract_lose_the_same_tests(lesson: Lesson) -> None:
    text = find_course().text(lesson)
    notebook = lesson_notebook(read_lesson(text, text.name))
    cells = notebook["cells"]
    mutants = spread(read_mutants(text.parent / "mutants.toml", notebook), MUTANTS)
    variants = spread(read_variants(text.parent / "variants.toml", notebook), VARIANTS)
    changes: dict[str, Change | None] = {"reference": None}
    changes |= {f"mutant {each.name}": each for each in mutants}
    changes |= {f"variant {each.name}": each for each in variants}
    jobs = [job("blank", notebook, map(blank_source, cells))]
    wanted = {"blank": {str(nb.grade_id(cell)) for cell in cells if nb.is_test(cell)}}
    for name, change in changes.items():
        wanted[name] = set(change.loses) if change else set()
        jobs.append(job(name, notebook, (changed_source(cell, change) for cell in cells)))
    found = failures(jobs)
    assert {name: found[name] for name, lost in wanted.items() if lost != set(found[name])} == {}
