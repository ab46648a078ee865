"""The doctor sees what is missing, says what it means, and names the cure."""

import io
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tests.tito.checkout import ROOT
from tito import doctor
from tito.course import Course, Layout, find_course
from tito.doctor import Finding, Level, Pin, compare_packages, examine, pinned, show
from tito.grading.sandbox import facts
from tito.grading.sandbox.facts import Fact

LOCK = """numpy==2.0.0 \\
    --hash=sha256:00
    # via x
pywin32==9 ; sys_platform == 'win32' \\
    --hash=sha256:01
no-such-package==1.0 \\
    --hash=sha256:02
ipython[all]==1.2.3
"""


def of(findings: list[Finding], subject: str) -> Finding:
    return next(each for each in findings if each.subject == subject)


def probe(name: str, course: Course) -> list[Finding]:
    return list(getattr(doctor, f"_{name}")(course))


@pytest.fixture
def here() -> Course:
    return find_course(ROOT)


def test_looks_at_everything_and_explains_each_lack(here: Course) -> None:
    findings = examine(here)
    assert {each.subject for each in findings} >= {
        "Python",
        "packages",
        "BLAS",
        "isolation",
        "Chromium",
        "disk",
        "clock",
        "load",
    }
    for each in findings:
        assert each.found
        if each.level is Level.PROBLEM:
            assert each.meaning
            assert each.fix
        if each.level is Level.NOTE:
            assert each.meaning


def test_a_students_folder_needs_neither_bwrap_nor_chromium(here: Course) -> None:
    subjects = {each.subject for each in examine(Course(here.root, Layout.BUNDLE))}
    assert not subjects & {"isolation", "Chromium"}


def test_the_lock_is_read_with_its_conditions() -> None:
    assert pinned(LOCK) == [
        Pin("numpy", "2.0.0", False),
        Pin("pywin32", "9", True),
        Pin("no-such-package", "1.0", False),
        Pin("ipython", "1.2.3", False),
    ]


def test_missing_and_other_packages_are_told(tmp_path: Path) -> None:
    missing, other = compare_packages(pinned(LOCK))
    assert missing == ["no-such-package"]
    assert any(each.startswith("numpy ") and "(tested: 2.0.0)" in each for each in other)
    course = Course(tmp_path, Layout.BUNDLE)
    assert probe("packages", course)[0].level is Level.NOTE  # no lock to compare with
    (tmp_path / "requirements.lock").write_text(LOCK)
    found = probe("packages", course)
    assert [each.level for each in found] == [Level.PROBLEM, Level.NOTE]
    assert "no-such-package" in found[0].found


def test_each_part_of_isolation_is_told(here: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    found = [
        Fact("isolation", False, "grading uses landlock", "Weaker walls.", "Allow namespaces."),
        Fact("Landlock", True, "version 7"),
    ]
    monkeypatch.setattr(facts, "facts", lambda: iter(found))
    first, second = probe("isolation", here)
    assert (first.level, first.fix) == (Level.NOTE, "Allow namespaces.")
    assert (second.level, second.found) == (Level.GOOD, "version 7")
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    [elsewhere] = probe("isolation", here)
    assert "is not Linux" in elsewhere.found


def test_a_students_folder_has_no_grading_to_ask(
    here: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_GRADING_FACTS", "tito.no_such_module")
    assert probe("isolation", Course(here.root, Layout.BUNDLE)) == []
    with pytest.raises(ModuleNotFoundError):
        probe("isolation", here)


def test_a_missing_chromium_and_one_named_by_hand(
    here: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    assert probe("chromium", here)[0].level is Level.NOTE
    monkeypatch.setenv("BROWSER_PATH", "/opt/chrome")
    assert probe("chromium", here)[0].found == "/opt/chrome"


def test_a_full_or_unwritable_disk_is_a_problem(
    here: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 20))
    assert probe("disk", here)[0].level is Level.PROBLEM
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 40))
    assert probe("disk", here)[0].level is Level.GOOD
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written" in probe("disk", here)[0].found


def test_a_chosen_blas_kernel_a_coarse_clock_and_a_busy_machine_are_noted(
    here: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert "Prescott" in probe("blas", here)[0].found
    monkeypatch.setattr(doctor, "smallest_step_ns", lambda: 16_000_000)
    assert probe("clock", here)[0].level is Level.NOTE
    monkeypatch.setattr(os, "getloadavg", lambda: (900.0, 0.0, 0.0))
    assert probe("load", here)[0].level is Level.NOTE
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert probe("load", here)[0].level is Level.GOOD


def test_the_clocks_step_is_found_even_when_it_is_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = iter([reading // 5_000 * 700 for reading in range(100_000)])
    monkeypatch.setattr(doctor.time, "perf_counter_ns", lambda: next(shown))
    assert doctor.smallest_step_ns() == 700


def test_only_problems_make_it_say_no() -> None:
    screen = Console(file=io.StringIO(), width=120)
    good = Finding("a", Level.GOOD, "fine")
    note = Finding("b", Level.NOTE, "so so", "means little")
    bad = Finding("c", Level.PROBLEM, "broken", "means much", "mend it")
    assert show([good, note], screen) is True
    assert show([good, bad], screen) is False
    told = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "mend it" in told
    assert "1 to mend" in told
