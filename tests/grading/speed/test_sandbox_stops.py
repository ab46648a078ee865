"""A sandbox runs only while it owes an answer, and pays for all the time it takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tito.grading.judge.speed_sandbox import HelperProcessesError, StoppedSandbox
from tito.grading.judge.speed_sides import SandboxSide


class Recorded:
    """A sandbox that notes what is done to it; its clock moves as told."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.now_ns = 0
        self.work_ns = 10
        self.after_ns = 0
        self.count = 1

    def send(self, frame: bytes, deadline: float) -> None:
        self.log.append("send")

    def receive(self, deadline: float) -> bytes:
        self.log.append("receive")
        self.now_ns += self.work_ns
        return b"answer"

    def pause(self) -> None:
        self.log.append("pause")
        self.now_ns += self.after_ns  # until the signal has reached it

    def resume(self) -> None:
        self.log.append("resume")

    def cpu_ns(self) -> int:
        self.log.append("clock")
        return self.now_ns

    def processes(self) -> int:
        return self.count


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def stopped(recorded: Recorded) -> Iterator[StoppedSandbox]:
    with StoppedSandbox(recorded) as sandbox:
        yield sandbox


def test_before_it_begins_everything_is_passed_on(
    recorded: Recorded, stopped: StoppedSandbox
) -> None:
    stopped.send(b"", 0.0)
    assert stopped.receive(0.0) == b"answer"
    assert recorded.log == ["send", "receive"]


def test_it_runs_from_a_request_to_its_answer(recorded: Recorded, stopped: StoppedSandbox) -> None:
    stopped.begin(1)
    stopped.send(b"", 0.0)
    stopped.receive(0.0)
    assert recorded.log == ["pause", "clock", "resume", "send", "receive", "clock", "pause"]


def test_work_after_the_answer_is_charged_to_the_next_call(
    recorded: Recorded, stopped: StoppedSandbox
) -> None:
    stopped.begin(1)
    recorded.after_ns = 500
    ask = lambda inputs: [stopped.send(b"", 0.0), stopped.receive(0.0)][1:]  # noqa: E731
    side = SandboxSide(stopped, ask, ask, "f")
    assert side.call([(1,)]).cpu_ns == 10
    assert side.call([(1,)]).cpu_ns == 510


def test_a_lost_sandbox_is_stopped_too(recorded: Recorded, stopped: StoppedSandbox) -> None:
    stopped.begin(1)

    def lost(deadline: float) -> bytes:
        raise EOFError

    recorded.receive = lost  # type: ignore[method-assign]
    with pytest.raises(EOFError):
        stopped.receive(0.0)
    assert recorded.log[-1] == "pause"


def test_a_helper_from_before_is_found_at_the_start(
    recorded: Recorded, stopped: StoppedSandbox
) -> None:
    recorded.count = 2
    with pytest.raises(HelperProcessesError, match="not measured: helper processes"):
        stopped.begin(1)


def test_a_helper_that_outlives_its_request_is_found(
    recorded: Recorded, stopped: StoppedSandbox
) -> None:
    stopped.begin(1)
    stopped.send(b"", 0.0)
    recorded.count = 2
    with pytest.raises(HelperProcessesError, match="2 processes where 1 belong"):
        stopped.receive(0.0)


def test_what_is_no_data_is_not_measured(stopped: StoppedSandbox) -> None:
    class Lazy:
        def __array__(self) -> object:
            raise AssertionError("never evaluated")

    for answer in ([Lazy()], [[1.0, {"a": Lazy()}]], [(1, Lazy())]):
        side = SandboxSide(stopped, lambda inputs, a=answer: a, lambda inputs: [], "f")
        with pytest.raises(AssertionError, match="f returned an object that is no data"):
            side.call([(1,)])
    side = SandboxSide(stopped, lambda inputs: Lazy(), lambda inputs: [], "f")
    with pytest.raises(AssertionError, match="expected a list"):
        side.call([(1,)])
