"""Sides whose times are written down, so that the protocol can be tested without any clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tito.testing.speed import same
from tito.testing.speed_pairs import Inputs, Sides, Task, TimedCall

MS = 1_000_000


@dataclass
class Scripted:
    """A side on a clock of its own.

    Attributes:
        name: Its name in the log.
        log: All requests of both sides, in order.
        work_ns: What one call takes, given how many requests it has answered.
        transport_ns: What a request takes without the work.
        answers: What it computes.
    """

    name: str
    log: list[tuple[str, str, list[Any]]]
    work_ns: Callable[[int], float]
    transport_ns: int = 0
    answers: Callable[[Any], Any] = lambda x: x * 2
    requests: int = 0
    last: list[Any] = field(default_factory=list)

    def call(self, inputs: Inputs) -> TimedCall:
        self.log.append((self.name, "call", list(inputs)))
        self.requests += 1
        self.last = [self.answers(*arguments) for arguments in inputs]
        work_ns = int(self.work_ns(self.requests) * len(inputs))
        return TimedCall(list(self.last), work_ns + self.transport_ns)

    def empty(self, inputs: Inputs) -> TimedCall:
        self.log.append((self.name, "empty", list(inputs)))
        return TimedCall(self.last[: len(inputs)], self.transport_ns)


def scripted(
    candidate_ns: Callable[[int], float] | float,
    baseline_ns: Callable[[int], float] | float,
    transport_ns: int = 0,
    answers: Callable[[Any], Any] = lambda x: x * 2,
) -> tuple[Sides, list[tuple[str, str, list[Any]]]]:
    """Two sides and the log they share."""
    log: list[tuple[str, str, list[Any]]] = []

    def times(given: Callable[[int], float] | float) -> Callable[[int], float]:
        return given if callable(given) else lambda request: given

    candidate = Scripted("candidate", log, times(candidate_ns), transport_ns, answers)
    baseline = Scripted("baseline", log, times(baseline_ns), transport_ns)
    return Sides(candidate, baseline), log


def task(at_least: float = 2.0, **options: Any) -> Task:
    """A task whose inputs are single numbers."""
    options.setdefault("check", same)
    return Task(lambda rng: (float(rng.standard_normal()),), at_least, **options)


def arrays(rng: np.random.Generator) -> tuple[Any, ...]:
    """Inputs of 32 kB."""
    return (rng.standard_normal(4096),)
