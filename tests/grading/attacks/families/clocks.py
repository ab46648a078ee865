"""Clocks, caches, threads and helpers that work on when nobody looks."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case
from tests.grading.attacks.submissions import POINTS

case = partial(Case, "clocks")
REST = sum(POINTS.values())
fast = partial(Case, "clocks", base="right", most=REST, least=REST, speed=True)

CASES = [
    case(
        "atexit",
        "something happens after the end",
        early=r"""
import atexit, threading
def late():
    marked()
    open("/tmp/@TOKEN@-late", "w").write("late")
    time.sleep(30)
atexit.register(late)
threading._register_atexit(late) if hasattr(threading, "_register_atexit") else None
""",
    ),
    case(
        "daemon",
        "a process of its own session stays when all is over",
        early=r"""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        marked()
        for descriptor in range(64):
            try:
                os.close(descriptor)
            except OSError:
                continue
        time.sleep(120)
    os._exit(0)
""",
    ),
    case(
        "another_program",
        "a program started in the background stays",
        early=r"""
import subprocess
subprocess.Popen(["/bin/sh", "-c", "sleep 120; : @TOKEN@"], start_new_session=True,
                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
get_ipython().system("sleep 120 >/dev/null 2>&1 & : @TOKEN@")
""",
    ),
    case(
        "patching_thread",
        "a thread goes on changing what tests use",
        early=r"""
import threading
def patch():
    while True:
        for module in list(sys.modules.values()):
            for name in ("assert_close", "assert_int", "expect_error", "_fail"):
                if hasattr(module, name):
                    setattr(module, name, lambda *a, **k: None)
        for name in ("assert_close", "assert_int", "expect_error"):
            globals()[name] = lambda *a, **k: None
        time.sleep(0.001)
threading.Thread(target=patch, daemon=True).start()
""",
    ),
    case(
        "machine_clock",
        "the machine's clock is set",
        early=r"""
class Spec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]
libc = ctypes.CDLL(None)
now = Spec()
libc.clock_gettime(0, ctypes.byref(now))
if libc.clock_settime(0, ctypes.byref(now)) == 0:  # to what it is
    reached("the machine's clock")
""",
    ),
    case(
        "priorities",
        "more than its share of the processor",
        early=r"""
for change in (lambda: os.nice(-10), lambda: os.sched_setscheduler(0, 1, os.sched_param(50)),
               lambda: os.setpriority(os.PRIO_PGRP, 0, -5)):
    try:
        change()
        reached("a higher priority")
    except OSError:
        pass
""",
    ),
    case(
        "busy_helpers",
        "processes that only make others slow",
        early=r"""
for _ in range(8):
    if os.fork() == 0:
        marked()
        while True:
            pass
""",
        deadly=True,
    ),
    fast(
        "clock_patched",
        "every clock of the process stands still",
        solutions={
            "spread": r"""
for name in ("perf_counter_ns", "process_time_ns", "thread_time_ns", "monotonic_ns", "time_ns"):
    setattr(time, name, lambda: 0)
for name in ("perf_counter", "process_time", "thread_time", "monotonic", "time"):
    setattr(time, name, lambda *a: 0.0)
def spread(values):
    return slow_spread(values)
"""
        },
    ),
    fast(
        "remembered",
        "answers are kept by the length of the input",
        solutions={
            "spread": r"""
known = {}
def spread(values):
    key = (values.shape, values.dtype.str)
    if key not in known:
        known[key] = slow_spread(values)
    return known[key]
"""
        },
    ),
    fast(
        "helper_process",
        "another process does the work, whose time nobody reads",
        solutions={
            "spread": r"""
import multiprocessing
try:
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    if os.fork() == 0:
        marked()
        while True:
            theirs.send(slow_spread(theirs.recv()))
except OSError:
    pass
def spread(values):
    mine.send(values)
    return mine.recv()
"""
        },
    ),
    fast(
        "helper_in_call",
        "each call has a helper of its own, which is gone when its time is read",
        solutions={
            "spread": r"""
def spread(values):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        marked()
        os.write(writing, repr(slow_spread(values)).encode())
        os._exit(0)
    answer = float(os.read(reading, 100))
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    return answer
"""
        },
    ),
    fast(
        "orphan_in_call",
        "the helper is nobody's child, so that its time is added to nobody's",
        solutions={
            "spread": r"""
def spread(values):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            marked()
            os.setsid()
            os.write(writing, repr(slow_spread(values)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    answer = float(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    return answer
"""
        },
    ),
    fast(
        "later",
        "the answer is worked out when it is looked at",
        solutions={
            "spread": r"""
import threading
class Later(float):
    def __new__(cls, values):
        made = super().__new__(cls, 0.0)
        made.values = values
        return made
    def __float__(self): return slow_spread(self.values)
    __repr__ = __str__ = lambda self: repr(float(self))
def spread(values):
    return Later(values)
"""
        },
    ),
    fast(
        "worked_ahead",
        "the work is done by a thread between the timed requests",
        solutions={
            "spread": r"""
import threading
def ahead():
    while True:
        slow_spread(np.random.normal(size=50))
threading.Thread(target=ahead, daemon=True).start()
def spread(values):
    done = []
    worker = threading.Thread(target=lambda: done.append(slow_spread(values)))
    worker.start()
    worker.join()
    return done[0]
"""
        },
    ),
    fast(
        "slow_baseline",
        "the function it is compared with becomes slow",
        solutions={
            "spread": r"""
plain = slow_spread
def slow_spread(values):
    time.sleep(0.05)
    for _ in range(20):
        plain(values)
    return plain(values)
def spread(values):
    return plain(values)
sys.modules["__main__"].slow_spread = slow_spread
"""
        },
    ),
    fast(
        "first_calls_right",
        "only the first calls are right, the later ones are quick",
        solutions={
            "spread": r"""
calls = 0
def spread(values):
    global calls
    calls += 1
    return slow_spread(values) if calls < 20 else 0.0
"""
        },
    ),
    fast(
        "threads",
        "eight threads share the work",
        solutions={
            "spread": r"""
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(8)
def part(pair):
    mine, all_values = pair
    return sum(abs(one - other) for one in mine for other in all_values)
def spread(values):
    parts = np.array_split(values, 8)
    numbers = values.tolist()
    return sum(pool.map(part, [(each.tolist(), numbers) for each in parts])) / 2
"""
        },
    ),
    fast(
        "stopped_clock",
        "the process stops and sleeps, so that it uses no time of its own",
        solutions={
            "spread": r"""
import signal, subprocess
def spread(values):
    code = f"v={values.tolist()!r}; print(sum(abs(a-b) for a in v for b in v)/2)"
    return float(subprocess.run([sys.executable, "-S", "-c", code], capture_output=True).stdout)
"""
        },
    ),
]
