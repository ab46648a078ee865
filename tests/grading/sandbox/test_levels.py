"""Which level is taken, and what is said when it is not the best one."""

from __future__ import annotations

import pytest

from tito.course import CourseError
from tito.grading.sandbox import known, levels, probes
from tito.grading.sandbox.levels import Level, choose


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> set[Level]:
    refused: set[Level] = set()
    monkeypatch.setattr(known, "worked", lambda level: False)
    monkeypatch.setattr(known, "remember", lambda level: None)
    monkeypatch.setattr(levels, "why_not", lambda at: "no luck" if at in refused else None)
    return refused


def test_the_best_that_works_is_taken(refuse: set[Level]) -> None:
    assert choose(None) == (Level.NAMESPACES, "")
    refuse.add(Level.NAMESPACES)
    level, note = choose(None)
    assert level is Level.LANDLOCK
    assert "no luck" in note


def test_untrusted_work_is_not_run_without_walls(refuse: set[Level]) -> None:
    refuse |= {Level.NAMESPACES, Level.LANDLOCK}
    with pytest.raises(CourseError, match="not graded without walls"):
        choose(None)
    level, note = choose(None, own_work=True)
    assert level is Level.PROCESS
    assert "course's own" in note


def test_the_weakest_level_must_be_asked_for(refuse: set[Level]) -> None:
    level, note = choose(Level.PROCESS)
    assert level is Level.PROCESS
    assert "only trusted work" in note


@pytest.mark.parametrize("level", list(Level))
def test_a_level_that_does_not_work_is_refused(refuse: set[Level], level: Level) -> None:
    refuse.add(level)
    with pytest.raises(CourseError, match="does not work here: no luck"):
        choose(level)


def test_probes_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_trial", lambda level: "a trial was made")
    probed = probes.why_not.__wrapped__
    assert probed(Level.NAMESPACES) == "a trial was made"
    monkeypatch.setattr(probes.landlock, "abi", lambda: 0)
    assert "no Landlock" in probed(Level.LANDLOCK)
    monkeypatch.setattr(probes.landlock, "abi", lambda: 3)
    monkeypatch.setattr(probes.os, "geteuid", lambda: 1000)
    assert "does not hold signals" in probed(Level.LANDLOCK)
    monkeypatch.setattr(probes.landlock, "abi", lambda: 6)
    assert probed(Level.LANDLOCK) == "a trial was made"
    monkeypatch.setattr(probes, "course_in_view", lambda: "/usr")
    assert "every submission may read" in probed(Level.NAMESPACES)
    assert probed(Level.PROCESS) == "a trial was made"
    monkeypatch.setattr(probes.seccomp, "supported", lambda: False)
    assert "x86-64 and aarch64" in probed(Level.NAMESPACES)
    monkeypatch.setattr(probes.sys, "platform", "darwin")
    for level in Level:
        assert "needs Linux" in probed(level)


def test_a_trial_fails_where_walls_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look around of a sandbox without walls sees what it should not."""
    monkeypatch.setattr(probes, "_WORDS", 1_000)
    real = probes.json.dumps
    monkeypatch.setattr(probes.json, "dumps", lambda r: real({**r, "walls": True}))
    said = probes._trial(Level.PROCESS)
    assert said is not None
    for sight in ("a file that it should not see", "network socket", "processes of others"):
        assert sight in said
