"""What is shown of the disk, and what is not."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.grading.sandbox.cells import AGENT, said
from tests.grading.sandbox.conftest import SMALL
from tito.grading.inside.reading import ReadablePaths
from tito.grading.sandbox import view
from tito.grading.sandbox import zygote as zygote_module
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import Zygote


def test_only_what_a_program_needs_is_shown(tmp_path: Path) -> None:
    shown = view.view_of(tmp_path)
    assert str(tmp_path) in shown.folders
    assert str(view.INSIDE) in shown.folders
    for folder in shown.folders:
        assert not view._COURSE.is_relative_to(folder), folder
        assert not any(folder.startswith(other + "/") for other in shown.folders)


def test_installed_copies_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    for name in ("tinytorch", "tito", "other"):
        (packages / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(packages)])
    assert view.view_of(tmp_path / "given").hidden == (
        str(packages / "tinytorch"),
        str(packages / "tito"),
    )


def test_a_hidden_copy_cannot_be_read(
    walls: None, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands for a wheel in site-packages: a copy of the answers beside other packages."""
    with tempfile.TemporaryDirectory() as folder:
        packages = Path(folder) / "site-packages"
        (packages / "tinytorch").mkdir(parents=True)
        answers = packages / "tinytorch" / "profiling.py"
        answers.write_text("answer = 42\n", encoding="utf-8")
        (packages / "neighbour.py").write_text("here = True\n", encoding="utf-8")
        for path in (Path(folder), packages):
            path.chmod(0o755)
        monkeypatch.setattr(sys, "path", [*sys.path, str(packages)])
        with Zygote(given, Level.NAMESPACES, SMALL, AGENT) as zygote, zygote.spawn() as sandbox:
            assert said(sandbox, "import neighbour\nprint(neighbour.here)") == "True"
            assert "FileNotFoundError" in said(sandbox, f"open({str(answers)!r})")
            assert "given" in said(sandbox, "import tinytorch\nprint(tinytorch.__file__)")


def test_landlock_reads_around_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a/hidden/x", "a/b/y", "c/z"):
        (tmp_path / name).mkdir(parents=True)
    settings = {"folders": [str(tmp_path)], "hidden": [str(tmp_path / "a" / "hidden")]}
    paths = ReadablePaths(settings)
    names = {os.readlink(f"/proc/self/fd/{each}") for each in paths.readable}
    listed = {os.readlink(f"/proc/self/fd/{each}") for each in paths.listable}
    assert names == {str(tmp_path / "a" / "b"), str(tmp_path / "c")}
    assert listed == {str(tmp_path), str(tmp_path / "a")}
    for each in (*paths.readable, *paths.listable, *paths.devices):
        os.close(each)


def test_a_course_that_every_program_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert view.course_in_view() is None
    monkeypatch.setattr(view, "_SYSTEM", (str(view._COURSE.parent),))
    assert view.course_in_view() == str(view._COURSE.parent)


def test_an_older_linux_locks_mount_by_mount(
    walls: None, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before Linux 5.12 there is no call that locks a whole tree."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        inside = Path(folder) / "inside"
        shutil.copytree(view.INSIDE, inside)
        linux = inside / "linux.py"
        source = linux.read_text(encoding="utf-8")
        assert "_MOUNT_SETATTR = 442" in source
        linux.write_text(source.replace("_MOUNT_SETATTR = 442", "_MOUNT_SETATTR = 9999"))
        for module in (view, zygote_module):
            monkeypatch.setattr(module, "INSIDE", inside)
        with Zygote(given, Level.NAMESPACES, SMALL, AGENT) as zygote, zygote.spawn() as sandbox:
            for place in ("/usr/x", str(given / "x"), f"{sys.prefix}/x"):
                assert "Error" in said(sandbox, f"open({place!r}, 'w')")
            lines = f"[m for m in open('/proc/self/mounts') if m.split()[1] == {str(given)!r}]"
            shown = [
                line.split() for line in said(sandbox, f"print(*{lines})").splitlines() if line
            ]
            assert shown
            assert all("ro" in line[3].split(",") for line in shown)
