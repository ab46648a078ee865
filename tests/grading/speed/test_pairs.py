"""The protocol, on clocks that are written down."""

from __future__ import annotations

import itertools
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest

from tests.grading.speed.scripted import MS, arrays, scripted, task
from tito.testing import speed_pairs
from tito.testing.speed_pairs import (
    REQUEST_BYTES,
    Pair,
    Task,
    TooSlowError,
    best_of_attempts,
    draw,
    log_ratios,
    measure,
    planned,
)
from tito.testing.speed_statistics import Finding, Verdict


def finding(verdict: Verdict, ratio: float = 1.0) -> Finding:
    return Finding(ratio, ratio * 0.95, ratio * 1.05, 15, verdict)


def test_the_ratio_is_baseline_time_over_candidate_time() -> None:
    sides, _ = scripted(10 * MS, 30 * MS)
    found = measure(sides, task(2.0))
    assert (found.ratio, found.verdict, found.pairs) == (pytest.approx(3.0), Verdict.ABOVE, 15)


def test_too_slow_is_below() -> None:
    sides, _ = scripted(10 * MS, 17 * MS)
    assert measure(sides, task(2.0)).verdict is Verdict.BELOW


def test_transport_is_no_work() -> None:
    sides, _ = scripted(10 * MS, 30 * MS, transport_ns=20 * MS)
    assert measure(sides, task(2.0)).ratio == pytest.approx(3.0)


def test_both_sides_get_the_same_fresh_input_in_the_order_abba() -> None:
    sides, log = scripted(10 * MS, 30 * MS)
    measure(sides, task(2.0))
    calls = [(name, inputs) for name, kind, inputs in log if kind == "call"][-30:]
    for at in range(0, 30, 2):
        (first, one), (second, other) = calls[at], calls[at + 1]
        wanted = ("baseline", "candidate") if at % 4 == 0 else ("candidate", "baseline")
        assert (first, second) == wanted
        assert one == other
    asked = [number for _, inputs in calls[::2] for (number,) in inputs]
    assert len(set(asked)) == len(asked)


def test_two_measurements_share_no_input() -> None:
    asked: list[set[object]] = []
    for _ in range(2):
        sides, log = scripted(10 * MS, 30 * MS)
        measure(sides, task(2.0))
        asked.append({number for _, _, inputs in log for (number,) in inputs})
    assert not asked[0] & asked[1]


def test_what_the_first_side_changes_the_second_never_sees() -> None:
    made = draw(Task(arrays, 2.0, print), 1, seed=5)
    made[0][0][:] = 0
    again = draw(Task(arrays, 2.0, print), 1, seed=5)
    assert not np.any(made[0][0])
    assert np.all(again[0][0])


def test_only_the_baseline_decides_how_many_calls_are_measured() -> None:
    """A candidate that pretends to be slow at first must not get short, noisy requests."""
    sides, log = scripted(lambda request: 500 * MS if request < 4 else 0.1 * MS, 0.2 * MS)
    measure(sides, task(2.0))
    counts = {len(inputs) for name, kind, inputs in log if name == "candidate" and kind == "call"}
    assert min(counts) * 0.2 * MS >= 16 * MS


def test_only_the_baseline_tells_what_a_request_costs_without_work() -> None:
    """A candidate that makes empty requests dear would have its own work taken off."""
    sides, log = scripted(10 * MS, 30 * MS)
    measure(sides, task(2.0))
    assert {name for name, kind, _ in log if kind == "empty"} == {"baseline"}


def test_short_calls_are_repeated_on_inputs_that_all_differ() -> None:
    sides, log = scripted(20_000.0, 50_000.0)
    measure(sides, task(2.0))
    inputs = log[-1][2]
    assert len(inputs) * 50_000 >= 16 * MS
    assert len({number for (number,) in inputs}) == len(inputs)


def test_large_inputs_go_in_several_requests() -> None:
    sides, log = scripted(50_000.0, 125_000.0)
    measure(sides, Task(arrays, 2.0, lambda output, expected: None))
    assert all(len(inputs) * 32_768 <= REQUEST_BYTES for _, _, inputs in log)
    plan = planned(sides.baseline, Task(arrays, 2.0, print))
    assert plan.calls > 128
    assert plan.chunk == plan.calls // 3 + (plan.calls % 3 > 0)


def test_calls_too_short_to_be_measured_are_the_tests_own_error() -> None:
    sides, _ = scripted(500.0, 1_000.0)
    with pytest.raises(ValueError, match="more to do"):
        measure(sides, task(2.0))


def test_arguments_dearer_to_move_than_the_work_are_the_tests_own_error() -> None:
    sides, _ = scripted(10 * MS, 20 * MS, transport_ns=100 * MS)
    with pytest.raises(ValueError, match="more to do"):
        measure(sides, task(2.0))


def test_a_wrong_answer_ends_the_measurement_however_fast() -> None:
    sides, _ = scripted(1 * MS, 30 * MS, answers=lambda x: x * 2 + 0.01)
    with pytest.raises(AssertionError, match="the timed output is"):
        measure(sides, task(2.0))


def test_every_output_of_a_request_is_checked() -> None:
    count = itertools.count()
    sides, _ = scripted(
        20_000.0, 50_000.0, answers=lambda x: x * 2 if next(count) % 100 != 99 else 0.0
    )
    with pytest.raises(AssertionError, match="the timed output"):
        measure(sides, task(2.0))


def test_missing_outputs_are_noticed() -> None:
    sides, _ = scripted(10 * MS, 30 * MS)
    whole = sides.candidate.call

    def short(inputs):  # type: ignore[no-untyped-def]
        answer = whole(inputs)
        answer.outputs.pop()
        return answer

    sides.candidate.call = short  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="expected one a call"):
        measure(sides, task(2.0))


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    slowness = lambda request: 1.0 if request < 12 else 5.0  # noqa: E731
    sides, _ = scripted(lambda n: 10 * MS * slowness(n), lambda n: 23 * MS * slowness(n - 3))
    assert measure(sides, task(2.0)).ratio == pytest.approx(2.3)


def test_transport_that_grows_dearer_meanwhile_is_taken_off_as_it_is_then() -> None:
    pairs = [Pair(30 * MS + n * MS, 10 * MS + n * MS, n * MS) for n in range(15)]
    assert np.exp(log_ratios(pairs))[2:-2] == pytest.approx([3.0] * 11)


def test_a_candidate_faster_than_transport_noise_is_just_fast() -> None:
    assert math.isfinite(log_ratios([Pair(30 * MS, 1 * MS, 2 * MS)])[0])


def test_an_input_that_is_no_tuple_is_refused() -> None:
    with pytest.raises(TypeError, match=r"return \(x,\)"):
        draw(Task(lambda rng: [1.0], 2.0, print), 1, seed=0)  # type: ignore[arg-type,return-value]


def test_no_time_for_the_first_look_is_a_failure() -> None:
    sides, _ = scripted(10 * MS, 30 * MS)
    with pytest.raises(TooSlowError, match="only 0 of the 15 pairs"):
        measure(sides, task(2.0, until=time.monotonic() - 1))


class TestTimeIsOverEarly:
    @pytest.fixture(autouse=True)
    def one_second_a_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = itertools.count()
        clock = SimpleNamespace(monotonic=lambda: float(next(seconds)))
        monkeypatch.setattr(speed_pairs, "time", clock)

    def test_fast_code_on_a_busy_machine_is_undecided(self) -> None:
        sides, _ = scripted(10 * MS, 30 * MS)
        found = measure(sides, task(2.0, until=9.5))
        assert (found.verdict, found.pairs) == (Verdict.UNDECIDED, 10)
        assert found.ratio == pytest.approx(3.0)

    def test_slow_code_is_not_saved_by_being_slow(self) -> None:
        sides, _ = scripted(10 * MS, 17 * MS)
        with pytest.raises(TooSlowError, match="only 10 of the 15 pairs"):
            measure(sides, task(2.0, until=9.5))

    def test_a_handful_of_pairs_says_nothing(self) -> None:
        sides, _ = scripted(10 * MS, 30 * MS)
        with pytest.raises(TooSlowError, match="only 4 of the 15 pairs"):
            measure(sides, task(2.0, until=3.5))


def test_to_fail_means_to_fail_three_times() -> None:
    tried: list[int] = []

    def attempt() -> Finding:
        tried.append(1)
        return finding(Verdict.BELOW, 1.9)

    found, number = best_of_attempts(attempt, 2.0, math.inf)
    assert (found.verdict, number, len(tried)) == (Verdict.BELOW, 3, 3)


@pytest.mark.parametrize("later", [Verdict.ABOVE, Verdict.UNDECIDED])
def test_one_attempt_that_is_not_below_is_enough(later: Verdict) -> None:
    rest = iter([finding(Verdict.BELOW, 1.9), finding(later, 2.1)])
    found, number = best_of_attempts(lambda: next(rest), 2.0, math.inf)
    assert (found.verdict, number) == (later, 2)


def test_a_clear_miss_is_not_measured_again() -> None:
    rest = iter([finding(Verdict.BELOW, 1.0)])
    assert best_of_attempts(lambda: next(rest), 2.0, math.inf)[1] == 1


def test_without_time_for_another_attempt_the_last_one_stands() -> None:
    rest = iter([finding(Verdict.BELOW, 1.9)])
    found, number = best_of_attempts(lambda: next(rest), 2.0, time.monotonic() - 1)
    assert (found.verdict, number) == (Verdict.BELOW, 1)
