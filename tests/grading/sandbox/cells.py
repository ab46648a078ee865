"""Cells in a sandbox without the judge: a small agent, and what its answers say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tito.grading.sandbox.process import Sandbox

AGENT = "cell_agent"
_SOURCE = """
import json


def serve(shell, receive, send):
    while True:
        shown = []
        source = receive().decode()
        reply = shell.run(source, shown.append)
        send(json.dumps({"reply": reply, "shown": shown}).encode())
"""
WAIT_S = 60.0


def write_agent(given: Path) -> None:
    (given / f"{AGENT}.py").write_text(_SOURCE, encoding="utf-8")


def run(sandbox: Sandbox, source: str, seconds: float = WAIT_S) -> dict[str, Any]:
    """Run a cell; its `reply` and what was `shown`."""
    sandbox.send(source.encode(), time.monotonic() + seconds)
    return dict(json.loads(sandbox.receive(time.monotonic() + seconds)))


def said(sandbox: Sandbox, source: str, seconds: float = WAIT_S) -> str:
    """What a cell prints, or the name and message of its error."""
    words = []
    for message in run(sandbox, source, seconds)["shown"]:
        content = message["content"]
        if message["msg_type"] == "stream":
            words.append(content["text"])
        elif message["msg_type"] == "error":
            words.append(f"{content['ename']}: {content['evalue']}")
    return "".join(words).strip()


def run_cells(sandbox: Sandbox, sources: list[str]) -> list[str]:
    return [said(sandbox, source) for source in sources]
