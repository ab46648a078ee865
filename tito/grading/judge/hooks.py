"""What `tito.testing` finds in the judge's process while a graded cell runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import Any

import tito.testing
from tinytorch import nn
from tito.grading.judge.link import Link

Speedup = Callable[..., Any]


@dataclass
class Parts:
    """The parts of one test cell so far, and what was wrong with those that failed."""

    passed: float = 0.0
    points: float = 0.0
    failures: list[str] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the cell's points that was earned; all of them when it has no parts."""
        return self.passed / self.points if self.points else 1.0


class JudgeHooks:
    """The judge as `tito.testing` knows it.

    Args:
        link: Leads to the student's process.
        speedup: Measures speed; see `tito.testing.speedup`.
    """

    def __init__(self, link: Link, speedup: Speedup) -> None:
        self.parts = Parts()
        self.speedup = speedup
        self._link = link

    def inside(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function in the student's process.

        Raises:
            TypeError: The function is the judge's own, and does not exist there.
        """
        if isinstance(fn, MethodType) and isinstance(fn.__self__, nn.Module):
            return self._link.ask("call", fn, args, kwargs)
        if isinstance(fn, (FunctionType, MethodType)) and self._link.is_the_judges(fn):
            raise TypeError(
                f"inside() cannot take {fn.__name__}, which a test cell made: it exists only in "
                "the judge. Define it in a read-only cell (a grade_id and no points)."
            )
        return self._link.ask("call", fn, args, kwargs)

    def counting(self, work: Any) -> AbstractContextManager[None]:
        """Add what the student's process says it did through the backend to `work`."""
        return self._link.counting(work)

    def part_failed(self, error: BaseException) -> None:
        """Keep a part's error, for its traceback."""
        self.parts.errors.append(error)

    def part(self, points: float, what: str, failure: str) -> None:
        """Count a part of the test cell; `failure` is empty when it passed."""
        self.parts.points += points
        if failure:
            self.parts.failures.append(f"{what}: {failure}")
        else:
            self.parts.passed += points


@contextmanager
def hooked(hooks: JudgeHooks) -> Iterator[JudgeHooks]:
    """Let `tito.testing` find the judge, for as long as a graded cell runs."""
    before = tito.testing.judge_hooks
    tito.testing.judge_hooks = hooks
    try:
        yield hooks
    finally:
        tito.testing.judge_hooks = before
