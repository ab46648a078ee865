"""A sandbox that runs only while it owes an answer.

It stands between the judge's link and a sandbox. Until `begin` it passes everything on. From then
on the sandbox is stopped, runs from the moment a request is sent until its answer is here whole,
and is stopped again. All processor time it uses is charged to it, also what it uses between two
requests, before the signal to stop has reached it.
"""

from __future__ import annotations

import random
import threading
import time
from types import TracebackType
from typing import Protocol

_REST = (5.0, 20.0)  # between two looks at the processes, in times of what a look takes


class Controlled(Protocol):
    """What is needed of a sandbox."""

    def send(self, frame: bytes, deadline: float) -> None:
        """Send one frame."""

    def receive(self, deadline: float) -> bytes:
        """Wait for one frame."""

    def pause(self) -> None:
        """Stop the student's process where it is."""

    def resume(self) -> None:
        """Let it go on."""

    def cpu_ns(self) -> int:
        """Read the processor time of the student's process, from outside."""

    def processes(self) -> int:
        """Count the live processes in the sandbox, from outside."""


class HelperProcessesError(AssertionError):
    """Work may have been done where no clock was read."""


class StoppedSandbox:
    """Passes frames on to a sandbox; after `begin`, stops it between requests and watches it.

    Args:
        sandbox: The sandbox; whoever made it closes it.

    Attributes:
        spent_ns: Its processor time when its last answer was complete.
    """

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self._watch: _ProcessWatch | None = None
        self._is_stopped = False
        self.spent_ns = 0

    def begin(self, processes: int) -> None:
        """Stop the sandbox until the next request, and watch it from now on.

        Args:
            processes: How many processes a sandbox without helpers has.
        """
        self._sandbox.pause()
        self._is_stopped = True
        self.spent_ns = self._sandbox.cpu_ns()
        self._watch = _ProcessWatch(self._sandbox, processes)
        self._watch.look()

    def send(self, frame: bytes, deadline: float) -> None:
        """Send a frame; the sandbox runs from now on."""
        self._let_run()
        self._sandbox.send(frame, deadline)

    def receive(self, deadline: float) -> bytes:
        """Wait for a frame and stop the sandbox.

        Raises:
            HelperProcessesError: It has more processes than it should.
        """
        if self._watch is None:
            return self._sandbox.receive(deadline)
        self._let_run()
        try:
            frame = self._sandbox.receive(deadline)
        finally:
            self.spent_ns = self._sandbox.cpu_ns()
            self._sandbox.pause()
            self._is_stopped = True
            self._watch.rest()
        self._watch.look()
        return frame

    def _let_run(self) -> None:
        if self._watch is not None and self._is_stopped:
            self._is_stopped = False
            self._watch.wake()
            self._sandbox.resume()

    def processes(self) -> int:
        """Count the live processes in the sandbox, from outside."""
        return self._sandbox.processes()

    def end(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def __enter__(self) -> StoppedSandbox:
        """Nothing begins yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Watch no longer."""
        self.end()


class _ProcessWatch(threading.Thread):
    """Counts a sandbox's processes at random moments while it runs.

    A helper that is there when the answer is complete is counted then. The thread is for helpers
    that live only during a request.
    """

    def __init__(self, sandbox: Controlled, allowed: int) -> None:
        super().__init__(name="speed process watch", daemon=True)
        self._sandbox = sandbox
        self._allowed = allowed
        self._most = 0
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._random = random.SystemRandom()
        self.start()

    def wake(self) -> None:
        """Begin to count."""
        self._awake.set()

    def rest(self) -> None:
        """Count no more until woken."""
        self._awake.clear()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._awake.set()
        self.join()

    def look(self) -> None:
        """Count once.

        Raises:
            HelperProcessesError: There are, or have been, too many.
        """
        self._most = max(self._most, self._sandbox.processes())
        if self._most > self._allowed:
            raise HelperProcessesError(
                f"speed: not measured: helper processes ({self._most} processes where "
                f"{self._allowed} belong). What another process computes is not on the clock; "
                "do the work in the function itself."
            )

    def run(self) -> None:
        """Count while awake."""
        while self._awake.wait() and not self._closing.is_set():
            began_s = time.perf_counter()
            self._most = max(self._most, self._sandbox.processes())
            took_s = time.perf_counter() - began_s
            self._closing.wait(took_s * self._random.uniform(*_REST))
