"""The child process of `tito check`: runs a notebook's cells and reports one verdict a line.

Started as `python -m tito.lessons.check_worker FD`; reads its orders as JSON from standard input
and writes JSON lines to the file descriptor FD. What the cells print goes nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any, TextIO

_LONGEST_MESSAGE = 4_000


class CellDeadlineError(BaseException):
    """The cell ran too long. Not an Exception, so that a student's handler does not catch it."""


def main(report: TextIO, orders: dict[str, Any]) -> None:
    """Run the ordered cells one after the other in one namespace.

    Args:
        report: Where verdicts go.
        orders: `cells`, a list of `{"index", "source"}`, and `deadline_s`.
    """
    shell = _shell()
    signal.signal(signal.SIGALRM, _on_alarm)
    for cell in orders["cells"]:
        _say(report, {"event": "start", "index": cell["index"]})
        seeds_before, parts_before = _seeds(), len(_parts_failed())
        started = time.perf_counter()
        # The second figure repeats the alarm, in case the cell swallows the first one.
        signal.setitimer(signal.ITIMER_REAL, orders["deadline_s"], 1.0)
        try:
            error = _run(shell, cell["source"])
        except CellDeadlineError as late:  # the alarm rang in IPython's own lines
            error = late
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        parts = _parts_failed()[parts_before:]
        verdict = {"event": "end", "index": cell["index"], **_described(error, parts)}
        verdict["seconds"] = time.perf_counter() - started
        verdict["seeds"] = {k: v for k, v in _seeds().items() if seeds_before.get(k) != v}
        _say(report, verdict)


def _shell() -> Any:
    """An IPython shell that keeps no history and shows nothing."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.ast_node_interactivity = "none"
    config.InteractiveShell.colors = "NoColor"
    return InteractiveShell.instance(config=config)


def _run(shell: Any, source: str) -> BaseException | None:
    result = shell.run_cell(source, store_history=False, silent=True)
    error: BaseException | None = result.error_before_exec or result.error_in_exec
    return error


def _on_alarm(number: int, frame: FrameType | None) -> None:
    raise CellDeadlineError


def _described(error: BaseException | None, parts: list[str]) -> dict[str, Any]:
    """What the parent needs to know of an error, or of parts that failed without one."""
    if error is None and not parts:
        return {"status": "passed"}
    if error is None:
        message = "; ".join(parts)[:_LONGEST_MESSAGE]
        return {"status": "failed", "error": "Part", "message": message, "line": None}
    if isinstance(error, CellDeadlineError):
        return {"status": "endless"}
    line = error.lineno if isinstance(error, SyntaxError) else _cell_line(error.__traceback__)
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception as broken:
        message = f"(its message cannot be read: {type(broken).__name__})"
    return {
        "status": "failed",
        "error": type(error).__name__,
        "message": message[:_LONGEST_MESSAGE],
        "line": line,
        "failed_import": isinstance(error, ImportError),
    }


def _cell_line(trace: TracebackType | None) -> int | None:
    """The cell's own line that was being run; frames below it are functions it called."""
    line: int | None = None
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "<module>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _seeds() -> dict[str, int]:
    testing = sys.modules.get("tito.testing")
    return testing.seeds_drawn() if testing is not None else {}


def _parts_failed() -> list[str]:
    testing = sys.modules.get("tito.testing")
    return testing.parts_failed() if testing is not None else []


def _say(report: TextIO, verdict: dict[str, Any]) -> None:
    report.write(json.dumps(verdict) + "\n")
    report.flush()


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as stream:
        main(stream, json.load(sys.stdin))
