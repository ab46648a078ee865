"""A forked process that answers timing requests, without the walls of a sandbox.

It stands in for a sandbox where the code is our own: to measure how well the speed verdicts decide,
and to test them. Its two ends trust each other, so they speak pickle.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import select
import signal
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tito.grading.judge.speed import Program
from tito.grading.judge.speed_clock import CpuClock
from tito.grading.judge.speed_sandbox import StoppedSandbox
from tito.testing import speed_calls
from tito.testing.speed_pairs import Inputs

CALL_S = 60.0
_PARENT_DEATH_SIGNAL = 1  # of prctl(2); a stopped child would outlive its parent


class ForkedSandbox:
    """A child of this process that runs one function on request.

    Args:
        make: Makes the function; called in the child.
    """

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        requests, self._writer = os.pipe()
        self._reader, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self._writer)
                os.close(self._reader)
                _serve(make, requests, answers)
            finally:
                os._exit(0)
        os.close(requests)
        os.close(answers)
        self._clock = CpuClock(self.pid)

    def send(self, frame: bytes, deadline: float) -> None:
        _write(self._writer, frame)

    def receive(self, deadline: float) -> bytes:
        return _read_frame(self._reader, deadline)

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def cpu_ns(self) -> int:
        return self._clock.read()

    def processes(self) -> int:
        return 1 + sum(1 for _ in descendants(self.pid))

    def __enter__(self) -> ForkedSandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pid in family(self.pid):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._writer)
        os.close(self._reader)


@contextmanager
def forked_program(make: Callable[[], Callable[..., Any]]) -> Iterator[Program]:
    """A program whose function `make` makes, in a child of this process."""
    with ForkedSandbox(make) as child:
        sandbox = StoppedSandbox(child)

        def ask(kind: str, inputs: Inputs) -> Any:
            deadline = time.monotonic() + CALL_S
            sandbox.send(pickle.dumps((kind, inputs), protocol=5), deadline)
            worked, value = pickle.loads(sandbox.receive(deadline))
            if not worked:
                raise RuntimeError(value)
            return value

        yield Program(
            sandbox,
            run=lambda inputs: ask("run", inputs),
            again=lambda inputs: ask("again", inputs),
        )


def descendants(pid: int) -> Iterator[int]:
    """The children of a process and theirs; quick, for it looks at no other process."""
    try:
        lists = [each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children")]
    except (FileNotFoundError, ProcessLookupError):
        return  # it has ended meanwhile
    for child in map(int, " ".join(lists).split()):
        yield child
        yield from descendants(child)


def family(pid: int) -> list[int]:
    """A process and all that descend from it or share its session."""
    parents: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if fields[0] != "Z":
            parents[int(entry.name)] = (int(fields[1]), int(fields[3]))
    found = {pid}
    while True:
        more = {each for each, kin in parents.items() if found & set(kin)} | found
        if more == found:
            return sorted(found)
        found = more


def _serve(make: Callable[[], Callable[..., Any]], requests: int, answers: int) -> None:
    os.setsid()
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    gc.collect()
    gc.freeze()
    fn = make()
    while True:
        try:
            kind, inputs = pickle.loads(_read_frame(requests, float("inf")))
        except EOFError:
            return
        try:
            if kind == "run":
                answer = (True, speed_calls.run_all(fn, inputs))
            else:
                answer = (True, speed_calls.answer_again(inputs))
        except Exception as error:
            answer = (False, f"{type(error).__name__}: {error}")
        _write(answers, pickle.dumps(answer, protocol=5))


def _write(descriptor: int, frame: bytes) -> None:
    rest = memoryview(struct.pack("<I", len(frame)) + frame)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_frame(descriptor: int, deadline: float) -> bytes:
    (length,) = struct.unpack("<I", _read(descriptor, 4, deadline))
    return _read(descriptor, length, deadline)


def _read(descriptor: int, count: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        left_s = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], left_s)[0]:
            raise TimeoutError("no answer before the deadline")
        part = os.read(descriptor, min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other end is closed")
        parts += part
    return bytes(parts)
