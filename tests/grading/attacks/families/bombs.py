"""Using up memory, processes, disk, output and time."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case
from tests.grading.attacks.submissions import POINTS

case = partial(Case, "bombs")

REST = sum(POINTS.values())
# All sizes are bounded: where a wall is missing, the machine survives and the case is reported.

CASES = [
    case(
        "memory",
        "eight gigabytes in one process",
        early=r"""
blocks = []
for _ in range(128):
    blocks.append(bytearray(b"x") * (64 << 20))
reached("8 GB of memory")
""",
        base="right",
        most=REST,
        deadly=True,
    ),
    case(
        "memory_of_many",
        "six gigabytes in twelve processes",
        early=r"""
for _ in range(12):
    if os.fork() == 0:
        marked()
        block = bytearray(b"x") * (512 << 20)
        time.sleep(60)
        os._exit(0)
""",
        deadly=True,
    ),
    case(
        "processes",
        "processes that double, twelve times",
        early=r"""
marked()
def double(times):
    for _ in range(times):
        try:
            os.fork()
        except OSError:
            break
if os.fork() == 0:
    double(12)
    time.sleep(60)
    os._exit(0)
""",
        deadly=True,
    ),
    case(
        "processes_in_call",
        "a call that leaves hundreds of sleeping sessions",
        solutions={
            "total": r"""
def total(values):
    for _ in range(600):
        try:
            if os.fork() == 0:
                os.setsid()
                marked()
                time.sleep(60)
                os._exit(0)
        except OSError:
            break
    return 0.0
"""
        },
        deadly=True,
    ),
    case(
        "threads",
        "two thousand threads",
        early=r"""
import threading
for _ in range(2000):
    try:
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    except RuntimeError:
        break
""",
        deadly=True,
    ),
    case(
        "disk",
        "two gigabytes of files",
        early=r"""
import tempfile
for folder in {os.getcwd(), tempfile.gettempdir(), "/dev/shm", "/tmp", "/var/tmp"}:
    written = 0
    try:
        for number in range(34):
            with open(os.path.join(folder, f"@TOKEN@-{number}"), "wb") as file:
                written += file.write(b"x" * (60 << 20))
    except OSError as error:
        print(type(error).__name__)
    if written > 1_500_000_000:
        reached("2 GB of files in " + folder)
""",
        deadly=True,
    ),
    case(
        "many_files",
        "a hundred thousand empty files",
        early=r"""
try:
    for number in range(100_000):
        os.close(os.open(f"/tmp/@TOKEN@-{number}", os.O_CREAT | os.O_WRONLY))
except OSError as error:
    print(type(error).__name__)
""",
        deadly=True,
    ),
    case(
        "output",
        "half a gigabyte of text in one piece and in many",
        early=r"""
print("x" * 400_000_000)
for _ in range(200_000):
    print("y" * 500)
os.write(1, b"z" * 50_000_000)
""",
    ),
    case(
        "output_without_end",
        "a cell that never stops printing",
        solutions={"total": "while True:\n    print('and on')"},
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
        says=("`total` stopped",),
    ),
    case(
        "printing_in_calls",
        "calls of tests print without bound",
        solutions={
            "total": "def total(values):\n    print('x' * 100_000_000)\n    return 0.0",
            "scaled": (
                "def scaled(values):\n    for _ in range(100_000): print('x' * 100)\n"
                "    return values * 0"
            ),
        },
    ),
    case(
        "displays",
        "huge displays, and very many",
        early=r"""
from IPython.display import HTML, display, update_display, clear_output
display(HTML("<b>" + "x" * 100_000_000 + "</b>"))
for _ in range(3_000):
    display({"application/json": list(range(100))}, raw=True)
handle = display(HTML("x"), display_id=True)
for _ in range(500):
    handle.update(HTML("y" * 20_000))
    clear_output(wait=True)
""",
    ),
    case(
        "display_nested",
        "a display nested a hundred thousand deep",
        early=r"""
from IPython.display import display
deep = "x"
for _ in range(100_000):
    deep = [deep]
try:
    display({"application/json": deep}, raw=True)
except RecursionError:
    print("too deep")
""",
    ),
    case(
        "exception_text",
        "an error with a text of a hundred megabytes",
        early="raise ValueError('x' * 100_000_000)",
        solutions={"total": "def total(values):\n    raise ValueError('x' * 100_000_000)"},
    ),
    case(
        "exception_chain",
        "an error with ten thousand causes",
        early=r"""
error = ValueError("first")
for number in range(10_000):
    newer = ValueError(number)
    newer.__cause__ = error
    error = newer
""",
        solutions={
            "total": "def total(values):\n    raise error",
            "scaled": "def scaled(values):\n    return scaled(values)",
        },
    ),
    case(
        "recursion",
        "recursion without a limit, which breaks the interpreter",
        early="sys.setrecursionlimit(1 << 30)",
        solutions={"total": "def total(values):\n    return total(values)"},
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
    ),
    case(
        "endless_cell",
        "a solution's cell that never ends",
        solutions={"tally": "while True:\n    pass"},
        base="right",
        most=REST - POINTS["tally"],
        least=REST - POINTS["tally"],
        says=("`tally` stopped",),
    ),
    case(
        "endless_call",
        "a function that never ends",
        solutions={"total": "def total(values):\n    while True:\n        pass"},
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
        says=("`test_total` stopped",),
    ),
    case(
        "endless_and_deaf",
        "a function that never ends and swallows every interrupt",
        solutions={
            "total": r"""
import signal
def total(values):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            continue
"""
        },
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
        says=("`test_total`",),
    ),
    case(
        "deaf_cell",
        "the same in a cell",
        early=r"""
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGALRM, lambda *a: None)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while True:
    try:
        time.sleep(100)
    except BaseException:
        pass
""",
        base="right",
        most=REST,
        least=REST,
        says=("stopped",),
    ),
    case(
        "alarms",
        "alarms that interrupt every call",
        early=r"""
import signal
def alarm(*a): raise KeyboardInterrupt("alarm")
signal.signal(signal.SIGALRM, alarm)
signal.signal(signal.SIGPROF, signal.SIG_DFL)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.005)
""",
    ),
    case(
        "asleep",
        "calls that sleep nearly as long as they may, each time",
        solutions={
            "total": "def total(values):\n    time.sleep(100)",
            "scaled": "def scaled(values):\n    time.sleep(100)",
        },
    ),
    case(
        "stopped",
        "the process stops itself",
        solutions={"total": "def total(values):\n    os.kill(os.getpid(), 19)"},
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
        deadly=True,
    ),
    case(
        "regular_expression",
        "an expression that takes longer than the sun has",
        solutions={
            "total": "import re\ndef total(values):\n    re.match('(a+)+$', 'a' * 60 + 'b')"
        },
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
    ),
    case(
        "big_power",
        "a number that C code computes without listening",
        solutions={"total": "def total(values):\n    return 9 ** 9 ** 9"},
        base="right",
        most=REST - POINTS["total"],
        least=REST - POINTS["total"],
    ),
    case(
        "source",
        "text that breaks a parser",
        solutions={
            "total": "(" * 50_000,
            "scaled": "x = " + "-" * 100_000 + "1",
            "tally": "x = " + "+".join(["1"] * 100_000),
            "timed": "def timed(a, b):\n    return '" + "{" * 90_000 + "'\n\0",
        },
    ),
    case(
        "ansi",
        "colours and control characters without end",
        early=r"""
print("\x1b[31m\x1b[1m" * 100_000)
print("\x00\x08\r\x1b]0;title\x07\x1b[2J\u202e" * 1000)
""",
    ),
]
