"""The life of a sandbox's first process, from the fork to its end."""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
import tempfile
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from . import frames
from .confine import Confinement
from .offspring import tell
from .place import Place

if TYPE_CHECKING:
    from .shell import Shell


def run_child(
    confinement: Confinement,
    shell: Shell | None,
    agent: ModuleType,
    place: Place,
    pipes: tuple[int, int, socket.socket],
) -> NoReturn:
    """Build the walls, then serve the grader until it closes the pipe.

    Args:
        confinement: The walls.
        shell: Where cells run; None for a trial that runs none.
        agent: The module whose `serve` answers requests.
        place: What it has to itself.
        pipes: For requests, for answers, and for telling that the walls are up.
    """
    incoming, outgoing, control = pipes
    try:
        keep = [incoming, outgoing, control.fileno()]
        captured = confinement.apply(place, keep)
        _become_fresh(place.home)
        if shell is not None:
            shell.capture(captured)
    except BaseException:
        tell(control, {"kind": "failed", "why": traceback.format_exc()})
        os._exit(1)
    tell(control, {"kind": "ready"})
    control.close()
    try:
        receive = functools.partial(frames.receive, incoming)
        agent.serve(shell, receive, functools.partial(frames.send, outgoing))
    except EOFError:
        os._exit(0)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)


def _become_fresh(home: str) -> None:
    """Forget what all children of one zygote would share."""
    os.environ["HOME"] = os.environ["TMPDIR"] = home
    tempfile.tempdir = None
    sys.path.insert(0, "")  # files beside a notebook can be imported, as in Jupyter
    signal.signal(signal.SIGINT, signal.default_int_handler)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
