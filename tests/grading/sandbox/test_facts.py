"""What `tito doctor` says about isolation: a lack is named, with what it means and the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tito.grading.sandbox import facts
from tito.grading.sandbox.cgroups import Hierarchy
from tito.grading.sandbox.levels import Level


def test_every_lack_has_a_meaning_and_a_cure() -> None:
    found = list(facts.facts())
    assert [each.subject for each in found] == [
        *("isolation", "user namespaces", "Landlock", "seccomp", "control groups"),
        *("users", "CPU clock"),
    ]
    for each in found:
        assert each.found
        assert each.good or (each.meaning and each.fix)


@pytest.mark.parametrize(
    ("refused", "good", "words"),
    [
        (set(), True, "uses namespaces"),
        ({Level.NAMESPACES}, False, "uses landlock"),
        ({Level.NAMESPACES, Level.LANDLOCK}, False, "no walls"),
    ],
)
def test_the_level_that_grading_would_use(
    monkeypatch: pytest.MonkeyPatch, refused: set[Level], good: bool, words: str
) -> None:
    monkeypatch.setattr(facts, "why_not", lambda level: "no luck" if level in refused else None)
    said = facts._level()
    assert said.good is good
    assert words in said.found
    assert good or ("no luck" in said.found and said.meaning and said.fix)


def test_switched_off_user_namespaces_name_their_switch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(facts, "_KERNEL", tmp_path)
    monkeypatch.setattr(facts.os, "geteuid", lambda: 1000)
    assert "has none" in facts._user_namespaces().found
    (tmp_path / "user").mkdir()
    (tmp_path / "kernel").mkdir()
    assert facts._user_namespaces().good
    (tmp_path / "kernel" / "apparmor_restrict_unprivileged_userns").write_text("1\n")
    (tmp_path / "user" / "max_user_namespaces").write_text("0\n")
    said = facts._user_namespaces()
    assert not said.good
    assert "apparmor_restrict_unprivileged_userns=0" in said.fix
    assert "max_user_namespaces=15000" in said.fix
    monkeypatch.setattr(facts.os, "geteuid", lambda: 0)
    assert facts._user_namespaces().good


def test_each_lack_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(facts.landlock, "abi", lambda: 0)
    assert not facts._landlock().good
    monkeypatch.setattr(facts.landlock, "abi", lambda: 4)
    assert "signals" in facts._landlock().found
    monkeypatch.setattr(facts, "hierarchies", lambda: ())
    assert not facts._groups().good
    monkeypatch.setattr(facts, "hierarchies", lambda: (Hierarchy("/x", 2, ("pids",)),))
    assert not facts._groups().good
    monkeypatch.setattr(facts, "_KERNEL", tmp_path)
    assert "cannot filter" in facts._seccomp().found
    monkeypatch.setattr(facts.os, "getppid", lambda: 2**22 + 5)
    assert not facts._cpu_clock().good
