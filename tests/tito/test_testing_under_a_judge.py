"""`part`, `inside` and `counted` in a student's kernel, and what they ask of a judge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tito.testing
from tinytorch import Tensor
from tito.testing import Work, assert_close, counted, fresh, inside, part


class Judge:
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def inside(self, fn: Any, args: Any, kwargs: Any) -> Any:
        self.asked.append(("inside", fn, args, kwargs))
        return "from the sandbox"

    @contextmanager
    def counting(self, work: Work) -> Iterator[None]:
        work.macs += 5
        yield

    def part_failed(self, error: BaseException) -> None:
        self.asked.append(type(error).__name__)

    def part(self, points: float, what: str, failure: str) -> None:
        self.asked.append((points, what, failure))


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    made = Judge()
    monkeypatch.setattr(tito.testing, "judge_hooks", made)
    return made


def test_a_kernel_has_no_judge() -> None:
    assert tito.testing.judge_hooks is None
    assert inside(max, 3, 4) == 4
    assert inside(sorted, [2, 1], reverse=True) == [2, 1]


def test_a_part_in_a_kernel_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with part(2, "sums"):
        assert sum([1]) == 1
    with part(3, "products"):
        fresh("products", seed=7)
        assert_close(1.0, 2.0)
    with part(1, "nothing said"):
        raise KeyError
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "part passed: sums"
    assert second.startswith("part failed: products (AssertionError: the result is 1.0")
    assert "fresh('products', seed=7)" in second
    assert third == "part failed: nothing said (KeyError)"


def test_a_part_lets_the_end_of_everything_pass() -> None:
    with pytest.raises(KeyboardInterrupt), part(1, "interrupted"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("points", [0, -1, float("nan")])
def test_a_part_without_points_is_refused(points: float) -> None:
    with pytest.raises(ValueError, match="points > 0"), part(points, "nothing"):
        raise AssertionError("never reached")


def test_a_judge_is_told_of_parts(judge: Judge) -> None:
    with part(2, "good"):
        assert_close(1.0, 1.0)
    with part(1, "bad"):
        raise ValueError("no")
    assert judge.asked == [(2, "good", ""), "ValueError", (1, "bad", "ValueError: no")]


def test_a_judge_runs_what_is_inside(judge: Judge) -> None:
    assert inside(max, 3, key=None) == "from the sandbox"
    assert judge.asked == [("inside", max, (3,), {"key": None})]


def test_a_judge_adds_to_counted_work(judge: Judge) -> None:
    x = Tensor(np.ones((2, 3), np.float32))
    assert counted(lambda: x @ x.T).macs == 2 * 3 * 2 + 5


class Remote:
    """As a judge's handle: it knows the name of the type it stands for."""

    @staticmethod
    def remote_type(value: object) -> str:
        return "KVCache"


def test_a_handle_is_named_by_what_it_stands_for() -> None:
    with pytest.raises(AssertionError, match="of type KVCache; expected a number"):
        assert_close(Remote(), 1.0)
