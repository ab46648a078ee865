"""A kernel behind walls, and what its cells send back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from tito.course import CourseError
from tito.grading import confinement
from tito.grading.confinement import INSIDE, Isolation, Limits

Message = dict[str, Any]

_START_S = 60.0
_GRACE_S = 3.0  # an interrupted cell that has not ended by then is ended with its kernel
_STEP_MS = 200
_LARGEST_MESSAGE = 16 << 20


class KernelEndedError(Exception):
    """The kernel's process is gone, or had to be ended."""


class CellDeadlineError(Exception):
    """The cell ran too long; the kernel lives on when `interrupted` is true."""

    def __init__(self, interrupted: bool) -> None:
        super().__init__()
        self.interrupted = interrupted


class ConfinedKernel:
    """One kernel process; use it in a `with` statement.

    Args:
        given: The folder that its cells import from.
        isolation: How it is kept in.
        limits: What it may use.
        printed: How many characters a cell may print.
    """

    def __init__(self, given: Path, isolation: Isolation, limits: Limits, printed: int) -> None:
        self._given = given
        self._isolation = isolation
        self._limits = limits
        self._printed = printed

    def __enter__(self) -> ConfinedKernel:
        self._folder = _socket_folder()
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, _LARGEST_MESSAGE)
        try:
            self._process = self._launch()
            self._client = self._connect()
        except BaseException:
            self._clean_up()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean_up()

    def run(self, code: str, deadline_s: float) -> Iterator[Message]:
        """Run a cell and yield its messages; the last one is the reply with its `status`.

        Raises:
            CellDeadlineError: It ran longer than `deadline_s` seconds.
            KernelEndedError: Its process ended.
        """
        request = self._client.execute(code, store_history=True, stop_on_error=False)
        limit = time.monotonic() + deadline_s
        for message in self._messages(request, limit):
            yield message
            if message["msg_type"] == "execute_reply":
                return
        if self._process.poll() is not None:
            raise KernelEndedError
        raise CellDeadlineError(self._interrupt(request))

    def end(self) -> None:
        """End the kernel's process and everything it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _messages(self, request: str, limit: float) -> Iterator[Message]:
        """Messages of a request until its reply, its deadline or the kernel's end.

        The reply and the outputs come on two channels: the reply is held back until the outputs
        are through, or for a while at most.
        """
        reply: Message | None = None
        idle = False
        poller = zmq.Poller()
        for channel in (self._client.iopub_channel, self._client.shell_channel):
            poller.register(channel.socket, zmq.POLLIN)
        while not (idle and reply is not None) and time.monotonic() < limit:
            ready = dict(poller.poll(_STEP_MS))
            if not ready and self._process.poll() is not None:
                return
            if self._client.shell_channel.socket in ready:
                found = self._received(self._client.shell_channel)
                if reply is None and _answers(found, request, "execute_reply"):
                    reply = found
                    limit = min(limit, time.monotonic() + _GRACE_S)
            if self._client.iopub_channel.socket in ready:
                found = self._received(self._client.iopub_channel)
                if found is not None and found["parent_header"].get("msg_id") == request:
                    yield found
                    idle = idle or _is_idle(found)
        if reply is not None:
            yield reply

    def _received(self, channel: Any) -> Message | None:
        """One message; None for bytes that are none, which a hostile kernel may send."""
        try:
            message = channel.get_msg(timeout=0)
            if isinstance(message["content"], dict) and isinstance(message["parent_header"], dict):
                return dict(message)
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        return None

    def _interrupt(self, request: str) -> bool:
        """Interrupt the running cell; whether it then ended by itself."""
        channel = self._client.control_channel
        channel.send(self._client.session.msg("interrupt_request", content={}))
        for message in self._messages(request, time.monotonic() + _GRACE_S):
            if message["msg_type"] == "execute_reply":
                return True
        self.end()
        return False

    def _launch(self) -> subprocess.Popen[bytes]:
        connection = self._folder / "kernel.json"
        write_connection_file(str(connection), transport="ipc", ip=str(self._folder / "socket"))
        program = [sys.executable, "-P", str(INSIDE / "kernel.py"), str(connection)]
        walls = self._isolation is Isolation.BUBBLEWRAP
        uid = confinement.sandbox_uid() if walls else None
        if uid is not None:
            os.chown(self._folder, uid, uid)
            os.chown(connection, uid, uid)
        home = "/home/student" if walls else str(self._folder)
        return subprocess.Popen(
            confinement.command(
                [*program, str(self._printed)],
                self._isolation,
                self._limits,
                self._given,
                self._folder,
            ),
            env=confinement.environment(self._given, home),
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _connect(self) -> BlockingKernelClient:
        client = BlockingKernelClient(context=self._context)
        client.load_connection_file(str(self._folder / "kernel.json"))
        client.start_channels(stdin=False, hb=False)
        limit = time.monotonic() + _START_S
        request = client.kernel_info()
        while time.monotonic() < limit and self._process.poll() is None:
            if not client.shell_channel.socket.poll(_STEP_MS):
                continue
            if _answers(self._received(client.shell_channel), request, "kernel_info_reply"):
                return client
        raise CourseError(
            f"The kernel did not start behind its walls (isolation {self._isolation.value}).",
            "Run `tito doctor`; it says what is missing.",
        )

    def _clean_up(self) -> None:
        if hasattr(self, "_process"):
            self.end()
        self._context.destroy(linger=0)
        shutil.rmtree(self._folder, ignore_errors=True)


def _socket_folder() -> Path:
    """A private folder with a short name: a socket's path may have 103 characters on macOS."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="tito-", dir=usual if len(usual) < 60 else "/tmp"))


def _answers(message: Message | None, request: str, kind: str) -> bool:
    return (
        message is not None
        and message["msg_type"] == kind
        and message["parent_header"].get("msg_id") == request
    )


def _is_idle(message: Message) -> bool:
    state = message["content"].get("execution_state")
    return bool(message["msg_type"] == "status" and state == "idle")
