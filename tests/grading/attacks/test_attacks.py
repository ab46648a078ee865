"""Hostile submissions in one batch with honest ones: they gain nothing and harm nobody.

Only the cases that were selected are graded: `pytest tests/grading/attacks -k patching`. Those
that attack the speed test have a batch and a lesson of their own.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.grading.attacks import adapter
from tests.grading.attacks.batch import Graded, grade_cases
from tests.grading.attacks.case import Case
from tests.grading.attacks.corpus import CASES, FAMILIES
from tito.grading.sandbox.levels import Level

pytestmark = pytest.mark.timeout(900)
LEVEL = adapter.level()
HARMS = (
    "marks of others",
    "files of the course",
    "files of an earlier student",
    "home",
    "files elsewhere",
    "odd files among the results",
    "left running",
    "doors entered",
    "what the next one saw",
)


# What is known to get through, and why; a case that no longer does must leave this list.
OPEN: dict[str, str] = {}  # known holes, by case: strictly expected to fail


def _parameters(speed: bool) -> list[Any]:
    return [
        pytest.param(case, id=case.identity, marks=_marks(case))
        for case in CASES
        if case.speed is speed
    ]


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    if case.deadly and LEVEL is not Level.NAMESPACES:
        return [pytest.mark.skip(reason=f"isolation {LEVEL}: it could end other processes")]
    if LEVEL is Level.PROCESS and not case.pure:
        return [pytest.mark.skip(reason="isolation process: it could harm the machine")]
    if case.identity in OPEN:
        return [pytest.mark.xfail(reason=OPEN[case.identity], strict=True)]
    return []


def _selected(request: pytest.FixtureRequest, speed: bool) -> list[Case]:
    """The cases of the tests that this run was asked for."""
    chosen: dict[str, Case] = {}
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        case = parameters.get("case")
        skipped = item.get_closest_marker("skip") is not None
        if isinstance(case, Case) and case.speed is speed and not skipped:
            chosen[case.identity] = case
    return list(chosen.values())


@pytest.fixture(scope="module")
def graded(request: pytest.FixtureRequest) -> Graded:
    """All selected cases, graded in one batch."""
    return grade_cases(_selected(request, speed=False))


@pytest.fixture(scope="module")
def graded_for_speed(request: pytest.FixtureRequest) -> Graded:
    """The same for the lesson with a speed test."""
    return grade_cases(_selected(request, speed=True), speed=True)


@pytest.mark.parametrize("case", _parameters(speed=False))
def test_gains_nothing(case: Case, graded: Graded) -> None:
    assert graded.problems(case) == []


@pytest.mark.parametrize("harm", HARMS)
def test_harms_nobody(harm: str, graded: Graded) -> None:
    assert graded.harm[harm] == []


@pytest.mark.parametrize("case", _parameters(speed=True))
def test_gains_no_speed(case: Case, graded_for_speed: Graded) -> None:
    assert graded_for_speed.problems(case) == []


def test_attacks_on_speed_harm_nobody(graded_for_speed: Graded) -> None:
    assert set(graded_for_speed.harm) == set(HARMS)
    assert not any(graded_for_speed.harm.values()), graded_for_speed.harm


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    names = [case.identity for case in CASES]
    assert len(set(names)) == len(names) >= 70
    assert len(FAMILIES) == 13
