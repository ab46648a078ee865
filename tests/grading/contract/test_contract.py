"""Every lesson's grading keeps its contract, with some of its mutants and variants.

`make contract` runs all of them. Each lesson runs once for all tests here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.grading.lessons.sample import MUTANTS, VARIANTS, spread
from tito.course import Lesson, find_course
from tito.grading.contract import BLANK, MUTANT, REFERENCE, VARIANT, LessonUnderContract, Outcome

LESSONS = find_course().present()
Proved = Callable[[Lesson, str], list[Outcome]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.folder for lesson in LESSONS]),
]


@pytest.fixture(scope="module")
def proved() -> Proved:
    """The outcomes of a lesson of one kind."""
    known: dict[Lesson, list[Outcome]] = {}

    def outcomes(lesson: Lesson, kind: str) -> list[Outcome]:
        if lesson not in known:
            subject = LessonUnderContract(find_course(), lesson)
            by_kind = {
                kind: [case for case in subject.cases if case.kind == kind]
                for kind in dict.fromkeys(case.kind for case in subject.cases)
            }
            most = {MUTANT: MUTANTS, VARIANT: VARIANTS}
            subject.cases = [
                case
                for kind, cases in by_kind.items()
                for case in spread(cases, most.get(kind, len(cases)))
            ]
            known[lesson] = list(subject.run())
        return [each for each in known[lesson] if each.case.kind == kind]

    return outcomes


def test_the_blank_notebook_earns_nothing(lesson: Lesson, proved: Proved) -> None:
    (blank,) = proved(lesson, BLANK)
    assert blank.points == 0, blank.verdict


def test_the_reference_earns_everything(lesson: Lesson, proved: Proved) -> None:
    (reference,) = proved(lesson, REFERENCE)
    assert reference.kept, reference.verdict
    assert reference.points == reference.most


def test_each_mutant_loses_exactly_its_tests(lesson: Lesson, proved: Proved) -> None:
    outcomes = proved(lesson, MUTANT)
    assert outcomes
    assert [f"{o.case.name}: {o.verdict}" for o in outcomes if not o.kept] == []


def test_each_variant_keeps_every_point(lesson: Lesson, proved: Proved) -> None:
    outcomes = proved(lesson, VARIANT)
    assert [f"{o.case.name}: {o.verdict}" for o in outcomes if not o.kept] == []
