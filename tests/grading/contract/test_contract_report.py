"""The contract's table: in the terminal, as a file, in the documentation."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.grading.small_course import FILES, LESSON, small_course
from tito.grading.contract import BLANK, MUTANT, REFERENCE, VARIANT, Case, Outcome
from tito.grading.contract_report import as_csv, as_page, in_order, run_contracts

ALL = frozenset({"test_a", "test_b"})


def outcome(name: str, kind: str, lost: frozenset[str], must_lose: frozenset[str]) -> Outcome:
    case = Case(name, kind, "Something | odd.", must_lose)
    return Outcome(case, lost, 2.0 - len(lost), 2.0, 0.5, {"test_a": "AssertionError: no"})


KEPT = [
    outcome("v", VARIANT, frozenset(), frozenset()),
    outcome("m", MUTANT, frozenset({"test_a"}), frozenset({"test_a"})),
    outcome("reference", REFERENCE, frozenset(), frozenset()),
    outcome("blank", BLANK, ALL, ALL),
]
BROKEN = outcome("bad", VARIANT, frozenset({"test_a"}), frozenset())


def test_outcomes_are_ordered_by_kind_and_name() -> None:
    assert [o.case.name for o in in_order(KEPT)] == ["blank", "reference", "m", "v"]


def test_the_file_has_a_line_a_run() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv({LESSON: [*KEPT, BROKEN]}))))
    assert [row["run"] for row in rows] == ["v", "m", "reference", "blank", "bad"]
    assert rows[1]["loses"] == "test_a"
    assert rows[3]["points"] == "0"
    assert rows[4]["verdict"] == "loses test_a (AssertionError: no)"


def test_the_page_counts_and_lists_every_run() -> None:
    page = as_page(LESSON, [*KEPT, BROKEN])
    assert page.startswith("# The contract of lesson 14 profiling\n")
    assert "5 runs: variant 2, mutant 1, reference 1, blank 1." in page
    assert "| `m`: Something \\| odd | mutant | 1 / 2 | test_a |" in page
    assert "**broken:** loses test_a" in page


def test_the_command_writes_its_table_and_says_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tito.grading.contract._CELL_S", 1.0)
    course = small_course(tmp_path / "course")
    variants = (FILES / "variants.toml").read_text(encoding="utf-8")
    broken = variants.replace("np.median(samples)", "np.mean(samples)")
    (course.text(LESSON).parent / "variants.toml").write_text(broken, encoding="utf-8")
    console = Console(file=io.StringIO(), width=100)
    assert run_contracts(course, [LESSON], console, update_docs=True) is False
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "The contract is broken in 1 of 17 runs." in said
    written = (course.root / "gradebook" / "contract.csv").read_text(encoding="utf-8")
    assert written.count("\n") == 18
    page = (course.root / "docs" / "contract" / f"{LESSON.folder}.md").read_text(encoding="utf-8")
    assert "**broken:** loses test_middle" in page
