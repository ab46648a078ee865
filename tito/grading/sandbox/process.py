"""One sandbox, as the grader holds it: frames, deadlines, signals, and what it used."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from dataclasses import dataclass
from types import TracebackType

from tito.grading.sandbox.census import members, offspring
from tito.grading.sandbox.errors import DeadlineError, ProtocolError, SandboxEndedError
from tito.grading.sandbox.fate import told
from tito.grading.sandbox.levels import Level

LARGEST_FRAME = 64 << 20
_LENGTH = struct.Struct("<I")
_CHUNK = 1 << 20
_END_S = 30.0
_ROUNDS = 20


@dataclass(frozen=True)
class Usage:
    """What a sandbox used.

    Attributes:
        cpu_ns: CPU time of its first process and of those that this one waited for.
        peak_bytes: The most memory it held: of all its processes where there are control groups,
            else of its largest one.
    """

    cpu_ns: int
    peak_bytes: int


class Sandbox:
    """A student's process behind walls; use it in a `with` statement.

    Every method is safe after its end: sending and receiving raise `SandboxEndedError`, the others
    do nothing or tell the last value.

    Args:
        level: The walls.
        process: A descriptor of its first process.
        pipes: To its process, and from it.
        control: Where the zygote tells its end.
    """

    def __init__(
        self, level: Level, process: int, pipes: tuple[int, int], control: socket.socket
    ) -> None:
        self.level = level
        self.pid = _number(process)
        self._process = process
        self._to, self._from = pipes
        self._control = control
        self._gathered = bytearray()
        self._broken = ""
        self._cpu_ns = 0
        self._usage: Usage | None = None
        for descriptor in pipes:
            os.set_blocking(descriptor, False)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, frame: bytes, deadline: float) -> None:
        """Write one frame.

        Args:
            frame: At most 64 MB.
            deadline: A value of `time.monotonic()`.

        Raises:
            DeadlineError: The sandbox did not take all of it in time; it can no longer be used.
            SandboxEndedError: Its process is gone.
            ValueError: The frame is too long.
        """
        if len(frame) > LARGEST_FRAME:
            raise ValueError(f"a frame holds at most {LARGEST_FRAME} bytes, not {len(frame)}")
        self._refuse_broken()
        left = memoryview(_LENGTH.pack(len(frame)) + frame)
        while left:
            try:
                self._wait(self._to, select.POLLOUT, deadline)
                left = left[os.write(self._to, left[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._ended() from None
            except DeadlineError:
                self._broken = "it took only a part of a frame"
                raise

    def receive(self, deadline: float) -> bytes:
        """Wait for one frame. After a `DeadlineError` it may be asked for again.

        Args:
            deadline: A value of `time.monotonic()`.

        Raises:
            DeadlineError: It did not come in time.
            ProtocolError: It announces more than 64 MB; the sandbox can no longer be used.
            SandboxEndedError: Its process is gone.
        """
        self._refuse_broken()
        while (frame := self._whole_frame()) is None:
            self._wait(self._from, select.POLLIN, deadline)
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(self._from, _CHUNK)
                if not chunk:
                    raise self._ended()
                self._gathered += chunk
        return frame

    def interrupt(self) -> None:
        """Send SIGINT to the student's process: a running cell gets a KeyboardInterrupt."""
        self._signal(signal.SIGINT)

    def pause(self) -> None:
        """Stop all of its processes until `resume`."""
        self._signal(signal.SIGSTOP)
        stopped = {self.pid}
        for _ in range(_ROUNDS):  # those that were not stopped yet may have started others
            others = self._members() - stopped
            if not others:
                return
            _signal_all(others, signal.SIGSTOP)
            stopped |= others

    def resume(self) -> None:
        """Let its processes go on."""
        _signal_all(self._members() - {self.pid}, signal.SIGCONT)
        self._signal(signal.SIGCONT)

    def cpu_ns(self) -> int:
        """CPU time of the student's process, read from outside."""
        if self._usage is not None:
            return self._usage.cpu_ns
        with contextlib.suppress(OSError):
            spent = time.clock_gettime_ns((~self.pid << 3) | 2)
            if self._alive():
                self._cpu_ns = spent
        return self._cpu_ns

    def processes(self) -> int:
        """How many processes live in it."""
        return len(self._members())

    def close(self) -> Usage:
        """Kill everything in it; returns what it used."""
        if self._usage is None:
            seen_ns = self.cpu_ns()
            self._signal(signal.SIGKILL)
            news, _ = told(self._control, {"ended"}, time.monotonic() + _END_S)
            for descriptor in (self._to, self._from, self._process):
                os.close(descriptor)
            self._control.close()
            self._usage = Usage(
                max(seen_ns, int(news.get("cpu_ns", 0))), int(news.get("peak_bytes", 0))
            )
            self._gathered.clear()
        return self._usage

    def _whole_frame(self) -> bytes | None:
        """The next frame, if all of it has come."""
        start = _LENGTH.size
        if len(self._gathered) < start:
            return None
        (length,) = _LENGTH.unpack_from(self._gathered)
        if length > LARGEST_FRAME:
            self._broken = f"it announced a frame of {length} bytes"
            raise ProtocolError(f"{self._broken}, and {LARGEST_FRAME} are allowed")
        if len(self._gathered) < start + length:
            return None
        frame = bytes(memoryview(self._gathered)[start : start + length])
        del self._gathered[: start + length]
        return frame

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Wait until a pipe is ready, not longer than the process lives."""
        poller = select.poll()
        poller.register(descriptor, event)
        poller.register(self._process, select.POLLIN)
        left_ms = max(0.0, deadline - time.monotonic()) * 1000
        ready = {found for found, _ in poller.poll(left_ms)}
        if descriptor in ready:
            return
        if self._process in ready:
            raise self._ended()
        raise DeadlineError("the sandbox did not answer in time")

    def _refuse_broken(self) -> None:
        if self._usage is not None:
            raise SandboxEndedError("the sandbox is closed")
        if self._broken:
            raise SandboxEndedError(f"the sandbox can no longer be used: {self._broken}")

    def _ended(self) -> SandboxEndedError:
        self._broken = "its process has ended"
        return SandboxEndedError("the student's process has ended")

    def _alive(self) -> bool:
        return self._usage is None and not select.select([self._process], [], [], 0)[0]

    def _members(self) -> set[int]:
        if self._usage is not None:
            return set()
        return (offspring if self.level is Level.NAMESPACES else members)(self.pid)

    def _signal(self, number: signal.Signals) -> None:
        if self._usage is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, number)


def _signal_all(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _number(process: int) -> int:
    """A process' number, as this side sees it."""
    with open(f"/proc/self/fdinfo/{process}", encoding="ascii") as stream:
        words = dict(line.split(":", 1) for line in stream)
    return int(words["Pid"])
