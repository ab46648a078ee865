"""The table and the record say what was measured, missed goals and earlier attempts too."""

import json
from pathlib import Path

import pytest

from benchmarks.case import Case
from benchmarks.pairs import Comparison
from benchmarks.report import duration, is_met, table, write_record

HOST = {
    "processor": "A processor",
    "numpy": "2.4",
    "torch": "2.13",
    "torch_threads": 1,
    "openblas_coretype": None,
    "thread_pools": [{"library": "openblas", "architecture": "Haswell", "threads": 1}],
}


def case(goal: float | None) -> Case:
    return Case("a + b", goal, lambda: None, lambda: None, peer_name="abacus")


def times_faster(ratio: float) -> Comparison:
    return Comparison([1e-6] * 5, [ratio * 1e-6] * 5, 7, 8)


@pytest.mark.parametrize(
    ("goal", "ratios", "met"),
    [(2.0, [2.0], True), (2.0, [1.9], False), (2.0, [1.9, 2.1], True), (None, [0.1], True)],
)
def test_the_last_attempt_counts(goal: float | None, ratios: list[float], met: bool) -> None:
    assert is_met(case(goal), [times_faster(ratio) for ratio in ratios]) is met


def test_nothing_measured_meets_nothing() -> None:
    assert not is_met(case(None), [])


def test_the_table_names_goal_spread_threads_and_blas() -> None:
    text = table([(case(2.0), [times_faster(1.5), times_faster(2.5)])], HOST)
    assert "openblas Haswell x1" in text
    assert "OPENBLAS_CORETYPE=(not set)" in text
    assert text.splitlines()[-1].split("  ")[0] == "a + b"
    assert "abacus" in text
    assert "2.50" in text
    assert "2.50-2.50" in text
    assert ">= 2" in text
    assert "pass (attempt 2)" in text


def test_a_missed_goal_is_shown() -> None:
    assert "FAIL" in table([(case(2.0), [times_faster(1.0)])], HOST)


def test_the_record_keeps_every_sample_of_every_attempt(tmp_path: Path) -> None:
    path = tmp_path / "results" / "here.json"
    write_record(path, [(case(2.0), [times_faster(1.5), times_faster(2.5)])], HOST)
    record = json.loads(path.read_text(encoding="utf-8"))
    (entry,) = record["cases"]
    assert [attempt["ratio"] for attempt in entry["attempts"]] == [1.5, 2.5]
    assert entry["attempts"][0]["peer_s"] == [1.5e-6] * 5
    assert entry["met"] is True
    assert entry["peer"] == "abacus"
    assert record["host"] == HOST
    assert [each.name for each in path.parent.iterdir()] == ["here.json"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.0, "2 s"), (0.0123, "12.3 ms"), (4.5e-6, "4.5 us"), (3e-8, "30 ns")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
