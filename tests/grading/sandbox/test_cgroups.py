"""Control groups: found, filled in, left tidy; in a made-up tree where there are none."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tito.grading.sandbox import cgroups
from tito.grading.sandbox.cgroups import Hierarchy
from tito.grading.sandbox.limits import Limits


def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, mounts: str) -> None:
    monkeypatch.setattr(cgroups, "_own_groups", lambda: _parsed(group))
    found = []
    for line in mounts.splitlines():
        before, after = line.format(tmp_path).split(" - ")
        kind, _, options = after.split(" ", 2)
        root, place = before.split()
        found.append((root, place, kind, options.split(",")))
    monkeypatch.setattr(cgroups, "_mounts", lambda: found)


def _parsed(group: str) -> dict[str, str]:
    own: dict[str, str] = {}
    for line in group.splitlines():
        _, names, path = line.split(":", 2)
        own |= dict.fromkeys(names.split(","), path)
    return own


def test_version_1_has_a_hierarchy_for_each_controller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("memory", "cpu", "pids")
    mounts = "\n".join(f"/ {{0}}/{name} - cgroup c rw,{name}" for name in names)
    tree(tmp_path, monkeypatch, "4:memory:/mine\n3:pids:/\n2:cpu:/", mounts)
    assert cgroups._candidates() == [
        Hierarchy(f"{tmp_path}/memory/mine", 1, ("memory",)),
        Hierarchy(f"{tmp_path}/pids", 1, ("pids",)),
    ]


def test_version_2_is_climbed_to_where_controllers_are_handed_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slice" / "scope").mkdir(parents=True)
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "slice" / "cgroup.subtree_control").write_text("memory pids\n")
    (tmp_path / "slice" / "scope" / "cgroup.subtree_control").write_text("\n")
    tree(tmp_path, monkeypatch, "0::/slice/scope", "/ {0} - cgroup2 c rw")
    assert cgroups._candidates() == [Hierarchy(f"{tmp_path}/slice", 2, ("memory", "pids"))]


def test_a_container_sees_its_own_part(tmp_path: Path) -> None:
    assert cgroups._below("/m", "/docker/x", "/docker/x/y") == "/m/y"
    assert cgroups._below("/m", "/docker/x", "/elsewhere") == "/m"


def test_only_files_that_exist_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    files = frozenset({"memory.max", "memory.oom.group", "pids.max", "memory.peak"})
    monkeypatch.setattr(Hierarchy, "_files", lambda self: files)
    second = Hierarchy("/x", 2, ("memory", "pids"))
    limits = Limits(memory_bytes=5, processes=6)
    assert second.values(limits) == {"memory.max": "5", "memory.oom.group": "1", "pids.max": "6"}
    assert second.peak == "memory.peak"
    assert Hierarchy("/x", 2, ("pids",)).values(limits) == {"pids.max": "6"}
    assert Hierarchy("/x", 1, ("memory",)).peak == ""


def test_nothing_works_in_a_folder_that_is_no_control_group(tmp_path: Path) -> None:
    assert not cgroups._works(str(tmp_path / "missing"))


def test_what_a_dead_grader_left_is_swept(tmp_path: Path) -> None:
    dead = tmp_path / f"tito-{2**22 + 1}-5-1"
    fresh = tmp_path / f"tito-{2**22 + 2}-5-1"
    mine = tmp_path / f"tito-{os.getpid()}-5-1"
    other = tmp_path / "tito-words-5"
    for leaf in (dead, fresh, mine, other):
        leaf.mkdir()
    for leaf in (dead, mine, other):
        os.utime(leaf, (time.time() - 999,) * 2)
    cgroups.sweep(str(tmp_path))
    assert {leaf.name for leaf in tmp_path.iterdir()} == {fresh.name, mine.name, other.name}
