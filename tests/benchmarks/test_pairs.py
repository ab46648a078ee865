"""The comparison must see a difference that is there, and none that is not."""

import gc

import numpy as np
import pytest

from benchmarks.case import assert_same
from benchmarks.pairs import calibrated_calls, compare


class Machine:
    """A clock that only moves when work is done, and slows down when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slowness = 1.0
        self.log: list[str] = []

    def work(self, name: str, seconds: float) -> None:
        self.now_s += seconds * self.slowness
        self.log.append(name)

    def clock(self) -> float:
        return self.now_s


def test_the_ratio_is_peer_time_over_our_time() -> None:
    machine = Machine()
    result = compare(
        lambda: machine.work("ours", 1e-3),
        lambda: machine.work("peer", 3e-3),
        pairs=7,
        clock=machine.clock,
    )
    assert result.ratio == pytest.approx(3.0)
    assert result.spread == pytest.approx((3.0, 3.0))
    assert len(result.ours_s) == len(result.peer_s) == 7


def test_a_machine_that_slows_down_half_way_changes_no_ratio() -> None:
    machine = Machine()

    def ours() -> None:
        machine.slowness = 1.0 if len(machine.log) < 500 else 5.0
        machine.work("ours", 1e-3)

    def peer() -> None:
        machine.work("peer", 2e-3)

    result = compare(ours, peer, pairs=31, clock=machine.clock)
    assert max(result.ours_s) > 4 * min(result.ours_s)  # it did slow down
    assert result.ratio == pytest.approx(2.0, rel=1e-6)


def test_equal_sides_give_one_and_slower_ones_less() -> None:
    machine = Machine()
    same = compare(
        lambda: machine.work("a", 1e-3), lambda: machine.work("b", 1e-3), clock=machine.clock
    )
    assert same.ratio == pytest.approx(1.0)
    slower = compare(
        lambda: machine.work("a", 4e-3), lambda: machine.work("b", 1e-3), clock=machine.clock
    )
    assert slower.ratio == pytest.approx(0.25)


def test_the_sides_take_turns_at_going_first() -> None:
    machine = Machine()
    compare(
        lambda: machine.work("ours", 0.1),
        lambda: machine.work("peer", 0.1),
        pairs=4,
        batch_s=0.1,
        clock=machine.clock,
    )
    firsts = machine.log[-8::2]  # four pairs of one call each
    assert firsts[0] == firsts[2] != firsts[1] == firsts[3]


def test_batches_are_long_enough_and_slow_calls_run_once() -> None:
    machine = Machine()
    assert calibrated_calls(lambda: machine.work("x", 1e-6), 0.02, machine.clock) == 20_000
    machine.log.clear()
    assert calibrated_calls(lambda: machine.work("x", 3.0), 0.02, machine.clock) == 1
    assert len(machine.log) == 1  # no warm-up of three, which would take as long as the measuring


def test_the_garbage_collector_comes_back_also_after_an_error() -> None:
    def breaks() -> None:
        if not gc.isenabled():
            raise RuntimeError("while measuring")

    machine = Machine()
    with pytest.raises(RuntimeError, match="while measuring"):
        compare(
            lambda: (machine.work("x", 0.1), breaks()),
            lambda: machine.work("y", 0.1),
            clock=machine.clock,
        )
    assert gc.isenabled()


def test_sides_that_compute_something_else_are_not_compared() -> None:
    assert_same([1.0, 2.0], np.array([1.0, 2.00001]), "numbers")
    with pytest.raises(AssertionError, match="losses differ"):
        assert_same([1.0, 2.0], np.array([1.0, 2.1]), "losses")
