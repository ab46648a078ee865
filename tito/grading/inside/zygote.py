"""The zygote: a clean warm process that forks a sandbox whenever the grader asks for one.

No student's code runs in it, and it knows nothing worth stealing. Requests come over a socket,
each with the descriptors of two pipes and of a socket on which that sandbox' fate is told:
`started` (with a descriptor of the process), `ready` or `failed`, `ended`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import select
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

from . import linux, walls
from .child import run_child
from .confine import Confinement
from .offspring import Offspring, tell
from .place import Place, remove_tree

if TYPE_CHECKING:
    from .shell import Shell

_REQUEST_BYTES = 1 << 16
_DESCRIPTORS = 3
_OWN_SCRATCH_BYTES = 64 << 20


def main(words: str) -> None:
    """Enter the walls, import everything, serve until the grader is gone.

    Args:
        words: Settings as JSON; `tito.grading.sandbox.zygote` writes them.
    """
    try:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGTERM)
        Zygote(json.loads(words)).serve()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)


class Zygote:
    """The warm process.

    Args:
        settings: What `main` was given.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        os.umask(0o022)
        self._settings = settings
        self._namespaces = settings["level"] == "namespaces"
        self._children: dict[int, Offspring] = {}
        self._count = 0
        self._requests = socket.socket(fileno=settings["socket"])
        if self._namespaces:
            walls.enter_view(settings["view"])
            walls.private_folders(_OWN_SCRATCH_BYTES, settings["view"]["folders"])
            self._own_list = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        else:
            linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        os.chdir(os.environ["HOME"])
        before, after = settings["path"]
        sys.path[:] = [*before, *sys.path[1:], *after]
        sys.prefix = sys.exec_prefix = settings["prefix"]
        self._shell: Shell | None = None
        if settings["warm"]:
            preload = importlib.import_module("inside.preload")  # not before the path is set
            self._shell = preload.everything(settings["limits"]["printed"], settings["preload"])
        self._agent = importlib.import_module(settings["agent"])
        self._confinement = Confinement.of(settings)

    def serve(self) -> None:
        """Answer requests until the grader closes the socket; then end every child."""
        _refuse_threads()
        signal.signal(signal.SIGTERM, lambda *_: self._requests.shutdown(socket.SHUT_RD))
        gc.collect()
        gc.freeze()  # children share these pages
        self._requests.send(b"ready")
        poller = select.poll()
        poller.register(self._requests, select.POLLIN)
        open_for_requests = True
        while open_for_requests or self._children:
            ready = {descriptor for descriptor, _ in poller.poll()}
            asked = self._requests.fileno() in ready
            for descriptor in ready - {self._requests.fileno()}:
                self._attend(descriptor, poller)
            if asked and not self._accept(poller):
                open_for_requests = False
                poller.unregister(self._requests)
                self._end_all()
        if self._settings["homes"]:
            remove_tree(self._settings["homes"])

    def _accept(self, poller: select.poll) -> bool:
        """Start a child for a request; whether there may be more of them."""
        words, descriptors, _, _ = socket.recv_fds(
            self._requests, _REQUEST_BYTES, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
        )
        if not words:
            return False
        control = socket.socket(fileno=descriptors[2])
        try:
            child = self._fork(descriptors[0], descriptors[1], control)
        except OSError as error:
            tell(control, {"kind": "failed", "why": f"it could not be started: {error}"})
            control.close()
        else:
            self._children[child.descriptor] = child
            self._children[control.fileno()] = child
            poller.register(child.descriptor, select.POLLIN)
            poller.register(control, select.POLLIN)
        for descriptor in descriptors[:2]:
            os.close(descriptor)
        return True

    def _fork(self, incoming: int, outgoing: int, control: socket.socket) -> Offspring:
        self._count += 1
        name = f"{self._settings['name']}-{self._count}"
        place = Place(self._settings, name, {each.place.user for each in self._children.values()})
        try:
            pid = self._divide()
        except OSError:
            place.clear()
            raise
        if pid == 0:
            pipes = (incoming, outgoing, control)
            run_child(self._confinement, self._shell, self._agent, place, pipes)
        child = Offspring(pid, control, place)
        tell(control, {"kind": "started"}, [child.descriptor])
        return child

    def _divide(self) -> int:
        """Fork; the child is the first process of a new process list where there are such."""
        if not self._namespaces:
            return os.fork()
        linux.unshare(linux.CLONE_NEWPID)
        pid = -1
        try:
            pid = os.fork()
        finally:
            if pid != 0:  # the next child gets a list of its own
                linux.setns(self._own_list, linux.CLONE_NEWPID)
        return pid

    def _attend(self, descriptor: int, poller: select.poll) -> None:
        """A child ended, or the grader left it alone."""
        child = self._children.get(descriptor)
        if child is None:
            return
        poller.unregister(descriptor)
        del self._children[descriptor]
        if descriptor != child.descriptor:
            child.kill()
            return
        control = child.control.fileno()
        if self._children.pop(control, None) is not None:
            poller.unregister(control)
        siblings = {each.pid for each in self._children.values()}
        child.bury(None if self._namespaces else siblings)

    def _end_all(self) -> None:
        for child in set(self._children.values()):
            child.kill()


def _refuse_threads() -> None:
    """A fork copies only the thread that calls it, and what others held stays locked for ever."""
    with open("/proc/self/status", encoding="ascii") as status:
        found = re.search(r"^Threads:\s*(\d+)", status.read(), re.MULTILINE)
    if found is None or int(found[1]) != 1:
        raise RuntimeError(
            f"The zygote has {found[1] if found else 'an unknown number of'} threads and must "
            "have one: a package that it imports starts some."
        )
