"""The judge's verdict on speed: two sandboxes, pairs of calls, clocks read from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace

from tito.grading.judge.speed_clock import NoCpuClockError, why_no_cpu_clock
from tito.grading.judge.speed_sandbox import StoppedSandbox
from tito.grading.judge.speed_sides import Ask, SandboxSide
from tito.testing.speed import Speed
from tito.testing.speed_pairs import Plan, Sides, Task, best_of_attempts, measure, one_pair
from tito.testing.speed_statistics import Finding


@dataclass(frozen=True)
class Program:
    """A notebook's cells, run in a fresh sandbox up to the test, with one function to be timed.

    Attributes:
        sandbox: What its link sends and receives through.
        run: Asks the sandbox for `tito.testing.speed_calls.run_all(function, inputs)`.
        again: Asks it for `tito.testing.speed_calls.answer_again(inputs)`.
    """

    sandbox: StoppedSandbox
    run: Ask
    again: Ask


_SHARE = 0.7  # of the time there is

Open = Callable[[], AbstractContextManager[Program]]


@dataclass(frozen=True)
class Contest:
    """Two programs and their functions' names.

    Attributes:
        candidate: Opens the student's program; each attempt opens it anew.
        baseline: Opens the instructor's program.
        candidate_name: What feedback calls the student's function.
        baseline_name: What feedback calls the other one.
        isolation: The level of the sandboxes.
    """

    candidate: Open
    baseline: Open
    candidate_name: str
    baseline_name: str
    isolation: str


def judged(contest: Contest, task: Task) -> Speed:
    """Compare the two programs' functions.

    Args:
        contest: The programs.
        task: What is asked of the candidate; `task.until` bounds the whole.

    Returns:
        The measurement; `tito.testing.speed.verify` turns it into the test's verdict.

    Raises:
        AssertionError: An output is wrong or is no data, or helper processes were seen.
        NoCpuClockError: This system cannot read another process's clock.
    """
    why = why_no_cpu_clock()
    if why is not None:
        raise NoCpuClockError(why)

    now = time.monotonic()
    # The last pair is begun early enough to end in time, also beside a slow candidate.
    pairs = replace(task, until=now + _SHARE * (task.until - now))

    def attempt_once() -> Finding:
        with opened(contest) as sides:
            return measure(sides, pairs)

    finding, attempt = best_of_attempts(attempt_once, task.at_least, pairs.until)
    return Speed(
        contest.candidate_name,
        contest.baseline_name,
        task.at_least,
        finding,
        attempt,
        f"isolation: {contest.isolation}",
    )


def answers_agree(contest: Contest, task: Task) -> None:
    """Call both functions once and compare their answers; measure nothing.

    Raises:
        AssertionError: An output is wrong or is no data, or helper processes were seen.
    """
    with opened(contest) as sides:
        one_pair(sides, task, Plan(calls=1, chunk=1), baseline_first=True)


@contextmanager
def opened(contest: Contest) -> Iterator[Sides]:
    """Open both programs, stopped and watched."""
    with ExitStack() as stack:
        baseline = stack.enter_context(contest.baseline())
        candidate = stack.enter_context(contest.candidate())
        # The instructor's program has no helpers: as many processes as it has are right.
        allowed = baseline.sandbox.processes()
        for program in (baseline, candidate):
            stack.enter_context(program.sandbox)
            program.sandbox.begin(allowed)
        yield Sides(
            SandboxSide(candidate.sandbox, candidate.run, candidate.again, contest.candidate_name),
            SandboxSide(baseline.sandbox, baseline.run, baseline.again, contest.baseline_name),
        )
