"""Ending the process, the grader's or everybody's."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case
from tests.grading.attacks.submissions import POINTS

REST = sum(POINTS.values()) - POINTS["total"]
# Only `total` is spoilt: the others keep their points.
case = partial(Case, "killers", base="right", most=REST, least=REST)


def in_call(code: str) -> dict[str, str]:
    """A solution that does something each time it is called."""
    lines = "\n".join(f"    {line}" for line in code.strip().split("\n"))
    return {"total": f"def total(values):\n{lines}\n    return 0.0"}


CASES = [
    case(
        "exit_in_cell",
        "the cell ends the process",
        solutions={"total": "os._exit(0)"},
        says=("`total` ended",),
    ),
    case(
        "exit_in_call",
        "the function ends the process",
        solutions=in_call("os._exit(0)"),
        says=("`test_total`",),
    ),
    case("kill_self", "kill -9", solutions=in_call("os.kill(os.getpid(), 9)")),
    case("kill_group", "kill -9 0", solutions=in_call("os.kill(0, 9)"), deadly=True),
    case("kill_all", "kill -9 -1", solutions=in_call("os.kill(-1, 9)"), deadly=True),
    case(
        "kill_parents",
        "kill -9 of the parent, the first process and the grader",
        solutions=in_call(
            "for process in (os.getppid(), 1, int('@GRADER@')):\n"
            "    try:\n        os.kill(process, 9) if process else None\n"
            "    except OSError:\n        pass"
        ),
        deadly=True,
    ),
    case(
        "stop_parents",
        "the parent and the grader are stopped",
        solutions=in_call(
            "for process in (os.getppid(), int('@GRADER@')):\n"
            "    try:\n        os.kill(process, 19) if process else None\n"
            "    except OSError:\n        pass"
        ),
        deadly=True,
    ),
    case("segfault", "a null pointer", solutions=in_call("ctypes.string_at(0)")),
    case("abort", "abort()", solutions=in_call("os.abort()")),
    case("sys_exit_in_cell", "sys.exit in a cell", solutions={"total": "sys.exit(0)"}),
    case("exit_word", "exit() of the shell", solutions={"total": "exit()"}),
    case("sys_exit_in_call", "sys.exit in a call", solutions=in_call("sys.exit(0)")),
    case(
        "keyboard_interrupt",
        "an interrupt that nobody made",
        solutions=in_call("raise KeyboardInterrupt"),
    ),
    case("close_all", "all descriptors are closed", solutions=in_call("os.closerange(0, 256)")),
    case(
        "close_all_in_cell",
        "all descriptors are closed in a cell",
        solutions={"total": "os.closerange(0, 256)"},
    ),
    case("exec", "another program", solutions=in_call("os.execv('/bin/true', ['true'])")),
    case(
        "exec_that_stays",
        "another program that keeps the pipes open",
        solutions=in_call("os.execv('/bin/sleep', ['sleep', '60'])"),
    ),
    case(
        "heap",
        "the interpreter's memory is overwritten",
        solutions=in_call("ctypes.memset(id(object()) - 4096, 0x41, 8192)\ngc = [[]] * 9"),
        least=0,
    ),
    case(
        "none_is_freed",
        "None loses all its references",
        solutions=in_call(
            "for _ in range(10):\n    ctypes.pythonapi.Py_DecRef(ctypes.py_object(0))"
        ),
        least=0,
    ),
    case(
        "resource_limits",
        "limits lowered until nothing works",
        solutions=in_call(
            "import resource\nfor name in ('NOFILE', 'AS', 'CPU', 'FSIZE', 'NPROC', 'STACK'):\n"
            "    resource.setrlimit(getattr(resource, 'RLIMIT_' + name), (1, 1))"
        ),
    ),
    case(
        "shell_shutdown",
        "the shell is told to end",
        solutions={
            "total": (
                "shell = get_ipython()\nshell.ask_exit()\n"
                "getattr(shell, 'atexit_operations', lambda: None)()\n"
                "kernel = getattr(shell, 'kernel', None)\n"
                "kernel.io_loop.stop() if kernel else None"
            )
        },
        least=0,
    ),
    case(
        "each_cell",
        "every cell ends its process",
        solutions=dict.fromkeys(POINTS, "os._exit(1)"),
        most=0,
        least=0,
        says=("`total` ended",),
    ),
    case(
        "each_call",
        "every call ends its process",
        solutions={
            "total": "def total(values):\n    os._exit(1)",
            "scaled": "def scaled(values):\n    os._exit(1)",
            "timed": "def timed(work, clock):\n    os._exit(1)",
        },
        most=POINTS["tally"] + POINTS["pruned"],
        least=0,
    ),
    case(
        "in_callback",
        "the process ends while the test's function runs",
        solutions={
            "timed": (
                "import threading\ndef timed(work, clock):\n"
                "    threading.Timer(0.05, os._exit, (0,)).start()\n"
                "    while True:\n        clock()"
            )
        },
        most=REST + POINTS["total"] - POINTS["timed"],
        least=REST + POINTS["total"] - POINTS["timed"],
    ),
]
