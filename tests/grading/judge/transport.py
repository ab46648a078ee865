"""Sandboxes without walls, for the tests of the judge: a fork and two pipes."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import sys
import time
import traceback
import types
from typing import Any

from tito.grading.inside import agent
from tito.grading.sandbox.errors import DeadlineError, ProtocolError, SandboxEndedError

_LENGTH = struct.Struct("<I")
_LARGEST = 64 << 20


class SmallShell:
    """Runs cells without IPython."""

    def __init__(self) -> None:
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        self.namespace: dict[str, Any] = vars(main)
        self._count = 0

    def run(self, source: str, show: Any) -> dict[str, Any]:
        self._count += 1
        reply = {"status": "ok", "execution_count": self._count, "ename": "", "evalue": ""}
        try:
            exec(compile(source, f"<student {self._count}>", "exec"), self.namespace)
        except BaseException as error:
            reply |= {"status": "error", "ename": type(error).__name__, "evalue": str(error)}
            lines = traceback.format_exception(error)
            show({"msg_type": "error", "content": {**reply, "traceback": lines}})
        return reply


class ForkedSandbox:
    """A child with the interface of `Sandbox`."""

    def __init__(self, shell: Any = SmallShell, raw: Any = None) -> None:
        self._from, to_parent = os.pipe()
        from_parent, self._to = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._from)
            os.close(self._to)
            _child(from_parent, to_parent, shell, raw)
        os.close(to_parent)
        os.close(from_parent)
        self._open = True

    def send(self, frame: bytes, deadline: float) -> None:
        left = memoryview(_LENGTH.pack(len(frame)) + frame)
        while left:
            if not select.select([], [self._to], [], max(0, deadline - time.monotonic()))[1]:
                raise DeadlineError
            try:
                left = left[os.write(self._to, left[: 1 << 16]) :]
            except BrokenPipeError as error:
                raise SandboxEndedError from error

    def receive(self, deadline: float) -> bytes:
        (length,) = _LENGTH.unpack(self._read(4, deadline))
        if length > _LARGEST:
            raise ProtocolError(f"a frame of {length} bytes")
        return self._read(length, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
        parts = []
        while count:
            if not select.select([self._from], [], [], max(0, deadline - time.monotonic()))[0]:
                raise DeadlineError
            part = os.read(self._from, min(count, 1 << 20))
            if not part:
                raise SandboxEndedError
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def interrupt(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def processes(self) -> int:
        return 1

    def close(self) -> None:
        if self._open:
            self._open = False
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._from)
            os.close(self._to)

    def __enter__(self) -> ForkedSandbox:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ForkedZygote:
    """Spawns such sandboxes, and counts them."""

    def __init__(self, shell: Any = SmallShell) -> None:
        self.spawned = 0
        self._shell = shell

    def spawn(self) -> ForkedSandbox:
        self.spawned += 1
        return ForkedSandbox(self._shell)


def _alone(source: int, target: int) -> tuple[int, int]:
    """Keep the two pipes and nothing else of the parent's files: hostile cells write to all."""
    source, target = os.dup(source), os.dup(target)
    high = [fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in (source, target)]
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.closerange(3, 100)
    for place, each in enumerate(high, start=3):
        os.dup2(each, place)
    os.closerange(5, 4096)
    return 3, 4


def _child(source: int, target: int, shell: Any, raw: Any) -> None:
    """The child's life; it never returns."""

    def read(count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = os.read(source, count - len(parts))
            if not part:
                raise EOFError
            parts += part
        return parts

    def receive() -> bytes:
        (length,) = _LENGTH.unpack(read(4))
        return read(length)

    def send(frame: bytes) -> None:
        left = memoryview(_LENGTH.pack(len(frame)) + frame)
        while left:
            left = left[os.write(target, left) :]

    try:
        os.setpgid(0, 0)
        source, target = _alone(source, target)
        sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        for number in (signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if raw is not None:
            raw(receive, send)
        else:
            agent.serve(shell(), receive, send)
    except BaseException:
        os._exit(3)
    os._exit(0)
