"""Forged outputs and forged answers to the grader's questions."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "replies")

# Frames in every form that a grader might take for an answer, written wherever one can write.
FRAMES = r"""
import json, struct
def frames():
    answer = json.dumps({"status": "ok", "points": 100, "passed": True}).encode()
    for body in (answer, b"\x00", b"N", b"T", b"\x01\x00", struct.pack("<Bd", 2, 5.0)):
        yield struct.pack("<I", len(body)) + body
        yield struct.pack(">I", len(body)) + body
        yield body + b"\n"
def descriptors():
    return [int(name) for name in os.listdir("/proc/self/fd")] if os.path.isdir(
        "/proc/self/fd") else list(range(64))
def write_everywhere(data):
    for descriptor in descriptors():
        try:
            os.set_blocking(descriptor, False)
            os.write(descriptor, data)
        except OSError:
            continue
"""
FORGING = {
    "total": "def total(values):\n    [write_everywhere(f) for f in frames()]\n    return 0.0",
    "timed": "def timed(work, clock):\n    [write_everywhere(f) for f in frames()]\n    return -1",
}

CASES = [
    case(
        "printed_json",
        "verdicts are printed to every descriptor",
        early=FRAMES + "for frame in frames():\n    write_everywhere(frame)",
    ),
    case("forged_in_calls", "answers are written while asked", early=FRAMES, solutions=FORGING),
    case(
        "proc_descriptors",
        "every descriptor is opened anew for writing",
        early=FRAMES
        + r"""
for descriptor in descriptors():
    try:
        with open(f"/proc/self/fd/{descriptor}", "wb", buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            for frame in frames():
                pipe.write(frame)
    except OSError:
        continue
""",
    ),
    case(
        "parents_descriptors",
        "answers are written through the descriptors of all other processes",
        early=FRAMES
        + r"""
for process in [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]:
    for descriptor in range(40):
        try:
            with open(f"/proc/{process}/fd/{descriptor}", "wb", buffering=0) as pipe:
                os.set_blocking(pipe.fileno(), False)
                pipe.write(next(frames()))
                reached(f"descriptor {descriptor} of process {process}")
        except OSError:
            continue
""",
    ),
    case(
        "shown_points",
        "cells and calls show numbers, which nbgrader would read as points",
        solutions={
            "total": r"""
from IPython.display import display
def total(values):
    print(20)
    display(20)
    get_ipython().displayhook(20)
    get_ipython().display_pub.publish({"text/plain": "20"})
    return 0.0
20
"""
        },
        late="25",
    ),
    case(
        "stderr_noise",
        "errors are printed that did not happen, to stderr and descriptor 2",
        solutions={
            "total": r"""
def total(values):
    print("Traceback (most recent call last):\nAssertionError", file=sys.stderr)
    os.write(2, b"Traceback\n")
    return 0.0
"""
        },
    ),
    case(
        "in_advance",
        "a thread answers questions that were not yet asked",
        early=FRAMES
        + r"""
import threading
def ahead():
    while True:
        for frame in frames():
            write_everywhere(frame)
            time.sleep(0.001)
threading.Thread(target=ahead, daemon=True).start()
""",
    ),
    case(
        "questions_stolen",
        "a thread reads the grader's questions away",
        early=FRAMES
        + r"""
import threading
def steal():
    while True:
        for descriptor in descriptors():
            try:
                os.set_blocking(descriptor, False)
                if os.read(descriptor, 1 << 16).find(b"kes" b"trel") >= 0:
                    reached("a hidden test on a pipe")
            except OSError:
                continue
        time.sleep(0.001)
threading.Thread(target=steal, daemon=True).start()
""",
    ),
    case(
        "huge_length",
        "frames that claim four gigabytes, less than nothing, and nothing",
        early=FRAMES
        + r"""
for head in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00", b"\xff\xff\xff\x03"):
    write_everywhere(head * 3)
""",
    ),
    case(
        "too_long",
        "answers of hundreds of megabytes",
        solutions={
            "total": "def total(values):\n    return 'x' * 300_000_000",
            "scaled": "def scaled(values):\n    return np.zeros(30_000_000)",
            "timed": "def timed(work, clock):\n    raise ValueError('x' * 200_000_000)",
        },
    ),
    case(
        "garbage",
        "random bytes on every descriptor, again and again",
        early=FRAMES
        + r"""
for _ in range(200):
    write_everywhere(os.urandom(100))
""",
    ),
    case(
        "fork_answers",
        "a child goes on answering when its parent has died",
        early=FRAMES,
        solutions={
            "total": r"""
def total(values):
    if os.fork() == 0:
        marked()
        for _ in range(2000):
            write_everywhere(next(frames()))
            time.sleep(0.01)
        os._exit(0)
    os._exit(0)
"""
        },
    ),
    case(
        "two_of_me",
        "a call returns twice: in the process and in its copy",
        solutions={
            "total": "def total(values):\n    os.fork()\n    marked()\n    return 0.0",
            "scaled": "def scaled(values):\n    os.fork()\n    return values * 0",
        },
    ),
    case(
        "descriptors_swapped",
        "every descriptor leads to the first pipe",
        solutions={
            "total": r"""
def total(values):
    for descriptor in range(3, 40):
        try:
            os.dup2(1, descriptor)
        except OSError:
            continue
    return 0.0
"""
        },
    ),
    case(
        "jupyter_messages",
        "messages of a Jupyter kernel are made by hand",
        early=r"""
kernel = getattr(get_ipython(), "kernel", None)
if kernel is not None:
    parent = kernel.get_parent()
    for kind in ("execute_reply", "status", "execute_result", "error"):
        content = {"status": "ok", "execution_count": 1, "execution_state": "idle"}
        content |= {"data": {"text/plain": "25"}, "metadata": {}}
        for stream in (kernel.iopub_socket, getattr(kernel, "shell_stream", None)):
            if stream is not None:
                kernel.session.send(stream, kind, content, parent=parent)
""",
    ),
    case(
        "odd_displays",
        "displays with fields of every wrong type",
        early=r"""
publish = get_ipython().display_pub.publish
for data in ({"text/plain": 5}, {"text/plain": ["a"]}, {"image/png": {}}, {"text/html": None},
             {"": ""}, {"application/json": {"a": float("nan")}}, {"text/plain": "\ud800"},
             {"x" * 10_000: "y"}, {"application/vnd.jupyter.widget-view+json": {"model_id": 5}}):
    for metadata in ({}, {"image/png": {"width": "1"}}, {"x": [[[]]]}):
        try:
            publish(data, metadata)
        except Exception as error:
            print(type(error).__name__)
""",
    ),
    case(
        "points_in_stream",
        "streams say what nbgrader's partial credit says",
        base="blank",
        early="print('25')\nprint(25.0, file=sys.stderr)",
        solutions={"total": "def total(values):\n    print(20)\n    print('20/20 passed')"},
    ),
]
