"""The warm process from which sandboxes are forked, as the grader starts and asks it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tito.course import CourseError
from tito.grading.sandbox import cgroups
from tito.grading.sandbox.environment import environment
from tito.grading.sandbox.fate import told
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.limits import Limits
from tito.grading.sandbox.process import Sandbox
from tito.grading.sandbox.users import BLOCK, UserBlock
from tito.grading.sandbox.view import INSIDE, view_of

PRELOADED = ("plotly.graph_objects", "ipywidgets", "anywidget", "tinytorch.dashboards")
# Importing these compiles, which takes seconds; children of the zygote find it done.
COMPILED = {
    "CompiledStep": "tinytorch.models.compiled_step",
    "CompiledInt8Step": "tinytorch.kernels.compiled.int8_ready",
    "int8_matmul": "tinytorch.kernels.compiled.int8_ready",
    "Int8Linear": "tinytorch.kernels.compiled.int8_ready",
}
_USUAL = Limits()
_START_S = 240.0  # compiled kernels take their time on a busy machine
_SPAWN_S = 60.0
_END_S = 10.0
_HOME = "/home/student"
_DOCTOR = "Run `tito doctor`; it says what is missing."


def needed_by(lesson: str) -> tuple[str, ...]:
    """The packages worth importing before a lesson's submissions do.

    Args:
        lesson: Its text.
    """
    known = {_word(name): name for name in PRELOADED} | COMPILED
    return tuple(dict.fromkeys(name for word, name in known.items() if word in lesson))


def _word(package: str) -> str:
    """What a text that uses a package must hold."""
    top, _, part = package.partition(".")
    return part if top == "tinytorch" else top


class Zygote:
    """A clean process with everything imported; use it in a `with` statement.

    It ends with the thread that made it. It may be asked by children of this process, too.

    Args:
        given: The folder with the packages that submissions may import.
        level: The walls around each sandbox.
        limits: What each may use.
        agent: The module whose `serve(shell, receive, send)` answers in a sandbox.
        warm: Whether to import the given packages and make a shell; without, `shell` is None.
        preload: Packages to import beside them, where they are installed.

    Raises:
        CourseError: It does not start; the message has its own words.
    """

    def __init__(
        self,
        given: Path,
        level: Level,
        limits: Limits = _USUAL,
        agent: str = "inside.agent",
        warm: bool = True,
        preload: Sequence[str] = PRELOADED,
    ) -> None:
        self.level = level
        self._maker = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._homes: str | None = None
        self._users: UserBlock | None = None
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with theirs, contextlib.ExitStack() as held:
                settings = self._settings(given.resolve(), limits, held)
                settings |= {"agent": agent, "warm": warm, "preload": list(preload)}
                settings["socket"] = theirs.fileno()
                self._process = self._launch(settings, theirs.fileno())
            self._await_ready()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that was started; the zygote itself, or who waits for it."""
        return self._process.pid if self._process else 0

    def __enter__(self) -> Zygote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def spawn(self) -> Sandbox:
        """Start a sandbox; takes milliseconds.

        Raises:
            CourseError: The zygote has ended, or the walls cannot be built.
        """
        incoming, to_child = os.pipe()
        from_child, outgoing = os.pipe()
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = -1
        try:
            with contextlib.suppress(BrokenPipeError), theirs:
                passed = [incoming, outgoing, theirs.fileno()]
                socket.send_fds(self._requests, [b"spawn"], passed)
            process = self._await_walls(control)
        except BaseException:
            for descriptor in (to_child, from_child, process):
                if descriptor >= 0:
                    os.close(descriptor)
            control.close()
            raise
        finally:
            os.close(incoming)
            os.close(outgoing)
        return Sandbox(self.level, process, (to_child, from_child), control)

    def close(self) -> None:
        """End it and all of its sandboxes; in a child of this process, only let go of it."""
        self._requests.close()
        if os.getpid() != self._maker:
            return
        if self._process is not None:
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._homes is not None:
            shutil.rmtree(self._homes, ignore_errors=True)
        if self._users is not None:
            self._users.release()
        self._said.close()

    def _settings(self, given: Path, limits: Limits, held: contextlib.ExitStack) -> dict[str, Any]:
        """What the zygote must know; `held` keeps open what it inherits."""
        view = view_of(given)
        if os.geteuid() == 0 and self.level is not Level.PROCESS:
            self._users = UserBlock()
        if self.level is not Level.NAMESPACES:
            self._homes = tempfile.mkdtemp(prefix=f"tito-sandboxes-{os.getpid()}-")
            os.chmod(self._homes, 0o711)
        return {
            "level": self.level.value,
            "name": f"tito-{os.getpid()}-{time.monotonic_ns()}",
            "path": view.path,
            "prefix": sys.prefix,
            "view": {"folders": view.folders, "links": view.links, "hidden": view.hidden},
            "limits": dataclasses.asdict(limits),
            "users": [self._users.first, BLOCK] if self._users else None,
            "homes": self._homes,
            "groups": [_group(each, limits, held) for each in cgroups.hierarchies()],
        }

    def _launch(self, settings: dict[str, Any], requests: int) -> subprocess.Popen[bytes]:
        inherited = [requests, *(group["descriptor"] for group in settings["groups"])]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(INSIDE), json.dumps(settings)],
            env=environment(self._homes or _HOME),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            pass_fds=inherited,
            start_new_session=True,
        )

    def _await_ready(self) -> None:
        self._requests.settimeout(_START_S)
        try:
            answer = self._requests.recv(16)
        except (TimeoutError, ConnectionResetError):
            answer = b""
        self._requests.settimeout(None)
        if answer != b"ready":
            raise CourseError(
                f"The sandbox' zygote did not start (isolation {self.level.value}). "
                f"It said: {self._words()}",
                _DOCTOR,
            )

    def _await_walls(self, control: socket.socket) -> int:
        """Wait until a sandbox is ready; returns a descriptor of its process."""
        limit = time.monotonic() + _SPAWN_S
        process = -1
        ready = False
        while process < 0 or not ready:
            news, found = told(control, {"started", "ready", "failed"}, limit)
            process = max(process, found)
            ready = ready or news.get("kind") == "ready"
            if not news or news["kind"] == "failed":
                if process >= 0:
                    os.close(process)
                why = news["why"] if news else f"the zygote has ended. It said: {self._words()}"
                raise CourseError(f"A sandbox could not be started: {why}", _DOCTOR)
        return process

    def _words(self) -> str:
        """What the zygote wrote before it ended."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace").strip()[-4000:] or "nothing"


def _group(
    hierarchy: cgroups.Hierarchy, limits: Limits, held: contextlib.ExitStack
) -> dict[str, Any]:
    """A hierarchy, as the zygote makes leaves in it."""
    cgroups.sweep(hierarchy.folder)
    descriptor = os.open(hierarchy.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return {
        "descriptor": descriptor,
        "values": hierarchy.values(limits),
        "peak": hierarchy.peak,
    }
