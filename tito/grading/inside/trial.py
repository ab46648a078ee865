"""A trial from within: whether the walls let an honest program work, and keep it in."""

from __future__ import annotations

import importlib
import json
import os
import socket
from collections.abc import Callable
from typing import Any

_NEVER_PRELOADED = "colorsys"  # the interpreter's own files must stay readable


def serve(shell: Any, receive: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
    """Answer one request: what is wrong with this sandbox, or nothing.

    Args:
        shell: Not used.
        receive: Waits for JSON with `walls` (whether there should be some) and `secret`, a file,
            and `grader`, a process.
        send: Takes the answer, as text.
    """
    request = json.loads(receive())
    send("; ".join([*_too_tight(), *(_too_loose(request) if request["walls"] else [])]).encode())


def _too_tight() -> list[str]:
    wrong = []
    for module in (_NEVER_PRELOADED, "numpy"):
        try:
            importlib.import_module(module)
        except (OSError, ImportError) as error:
            wrong.append(f"its user cannot import {module} ({error})")
    try:
        with open(os.path.join(os.environ["HOME"], "trial"), "wb") as file:
            file.write(b"1")
    except OSError as error:
        wrong.append(f"it cannot write to its own folder ({error.strerror})")
    return wrong


def _too_loose(request: dict[str, Any]) -> list[str]:
    found = {
        "it can read a file that it should not see": lambda: open(request["secret"], "rb").close(),
        "it can make a network socket": lambda: socket.socket(socket.AF_INET).close(),
        "it can see the processes of others": lambda: os.listdir(f"/proc/{request['grader']}"),
    }
    return [what for what, attempt in found.items() if _succeeds(attempt)]


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
