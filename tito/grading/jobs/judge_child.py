"""A process for one submission, forked from a warm worker: whatever happens to it ends with it."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from types import FrameType

from tito.course import CourseError
from tito.grading.jobs.death import end_with_parent

MEMORY_BYTES = 4 << 30
_LARGEST_RESULT = 256 << 20
_GRACE_S = 2.0
_LOOK_S = 1.0
_HEADER_BYTES = 9
_PROGRESS, _RESULT, _ERROR = b"P", b"R", b"E"

Work = Callable[[Callable[[int, int], None]], bytes]


class JudgeChild:
    """Runs some work in a fork of this process; the result comes back over a pipe.

    Args:
        work: Is given a function that tells progress, and returns the result.

    Attributes:
        pipe: Becomes readable when there is something for `listen`.
        result: What the work returned; None before its end, and when it failed.
        error: Why there is no result.
        progress: Cells done, and all cells.
        ended: Whether it said its last word.
    """

    def __init__(self, work: Work) -> None:
        self.result: bytes | None = None
        self.error = ""
        self.progress = (0, 0)
        self.ended = False
        self._unread = bytearray()
        self._code: int | None = None
        self.pipe, writing = os.pipe()
        os.set_blocking(self.pipe, False)
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self.pipe)
            _live(work, writing, parent)
        os.close(writing)

    def listen(self) -> None:
        """Take what it has said so far."""
        try:
            while said := os.read(self.pipe, 1 << 20):
                self._unread += said
                self._take_frames()
                if len(self._unread) > _LARGEST_RESULT:
                    self.error = f"its result has more than {_LARGEST_RESULT >> 20} MB"
                    self.kill()
        except BlockingIOError:
            return
        self.ended = True
        if self.result is None and not self.error:
            self.error = f"the process that graded it {_described(self._wait())}"

    def kill(self) -> None:
        """End it, and everything in its session."""
        if self._code is None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                _signal_group(self._pid, number)
                if number == signal.SIGTERM:
                    self._wait_a_moment()
            self._wait()
        self.ended = True

    def close(self) -> None:
        """Make sure that it is gone, and close the pipe."""
        self.kill()
        os.close(self.pipe)

    def _take_frames(self) -> None:
        while len(self._unread) >= _HEADER_BYTES:
            size = int.from_bytes(self._unread[1:_HEADER_BYTES], "little")
            end = _HEADER_BYTES + size
            if len(self._unread) < end:
                return
            kind, content = bytes(self._unread[:1]), bytes(self._unread[_HEADER_BYTES:end])
            del self._unread[:end]
            if kind == _PROGRESS:
                done, total = content.split()
                self.progress = (int(done), int(total))
            elif kind == _RESULT:
                self.result = content
            else:
                self.error = content.decode("utf-8", "replace")

    def _wait_a_moment(self) -> None:
        """Let it clean up: until it closes its pipe, for a bounded time."""
        limit = time.monotonic() + _GRACE_S
        while time.monotonic() < limit and not self.ended:
            select.select([self.pipe], [], [], limit - time.monotonic())
            try:
                if not os.read(self.pipe, 1 << 20):
                    return
            except BlockingIOError:
                continue

    def _wait(self) -> int:
        if self._code is None:
            _, status = os.waitpid(self._pid, 0)
            self._code = os.waitstatus_to_exitcode(status)
        return self._code


def in_a_child(work: Work, limit_s: float) -> bytes:
    """Do some work in a fork of this process, and wait for its result.

    Raises:
        CourseError: It failed, or did not end in time.
    """
    limit = time.monotonic() + limit_s
    with closing(JudgeChild(work)) as child:
        while not child.ended:
            select.select([child.pipe], [], [], _LOOK_S)
            child.listen()
            if time.monotonic() > limit:
                raise CourseError(f"The judge did not end within {limit_s:.0f} s.")
    if child.result is None:
        raise CourseError(f"The judge failed: {child.error}.")
    return child.result


def _live(work: Work, pipe: int, parent: int) -> None:
    """The child's whole life; never returns."""
    code = 1
    try:
        _settle(parent)
        result = work(lambda done, total: _send(pipe, _PROGRESS, f"{done} {total}".encode()))
        _send(pipe, _RESULT, result)
        code = 0
    except SystemExit:
        code = 143
    except BaseException as error:  # told to the worker, which lives on
        lines = traceback.format_exc().splitlines()
        where = next((line.strip() for line in reversed(lines) if line.startswith("  File")), "")
        _send(pipe, _ERROR, f"{type(error).__name__}: {error} ({where})".encode())
    finally:
        os._exit(code)  # nothing of the worker's is closed or written twice


def _settle(parent: int) -> None:
    """A session and limits of its own, and an end when the worker ends."""
    os.setsid()
    signal.signal(signal.SIGTERM, _on_term)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(parent)
    if sys.platform == "linux":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, hard))


def _on_term(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)  # `with` blocks end what they began


def _send(pipe: int, kind: bytes, content: bytes) -> None:
    for part in (kind + len(content).to_bytes(_HEADER_BYTES - 1, "little"), content):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(pipe, rest) :]


def _signal_group(pid: int, number: signal.Signals) -> None:
    for target in (os.killpg, os.kill):  # the group exists only once the child has settled
        try:
            target(pid, number)
            return
        except ProcessLookupError:
            continue


def _described(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
