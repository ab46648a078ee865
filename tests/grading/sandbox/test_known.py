"""What is remembered of a trial: only good news, and only while nothing it hangs on changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tito.grading.sandbox import known
from tito.grading.sandbox.levels import Level


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tito" / "walls.json"


def test_nothing_is_known_at_first() -> None:
    assert not known.worked(Level.NAMESPACES)


def test_a_good_trial_is_remembered_for_its_level_alone() -> None:
    known.remember(Level.NAMESPACES)
    assert known.worked(Level.NAMESPACES)
    assert not known.worked(Level.LANDLOCK)


def test_another_start_of_the_machine_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.remember(Level.NAMESPACES)
    other = tmp_path / "boot_id"
    other.write_text("another")
    monkeypatch.setattr(known, "_BOOT", other)
    assert not known.worked(Level.NAMESPACES)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"namespaces": 1}', "\udcff"])
def test_a_damaged_memory_is_no_memory(own_cache: Path, content: str) -> None:
    known.remember(Level.NAMESPACES)
    own_cache.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert not known.worked(Level.NAMESPACES)


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    known.remember(Level.NAMESPACES)
    assert not known.worked(Level.NAMESPACES)
