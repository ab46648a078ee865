"""Submissions that try to earn points without the work. Each fails its tests and harms no other."""

from __future__ import annotations

import struct
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.grading.judge.test_notebook_run import passed, ran
from tests.grading.judge.transport import ForkedSandbox, ForkedZygote
from tests.grading.small_course import TESTS, cell_of, changed
from tito.grading.inside import wire
from tito.grading.judge.link import Budget, Link
from tito.grading.judge.remote_errors import SandboxLostError

OTHERS = {"test_pairs", "test_pairs__ordered"}

WRONG = {
    "equal_to_everything": """
        class Equal:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return 0
            def __float__(self): return 2.0
            def __bool__(self): return True
            def __sub__(self, other): return 0.0
            __rsub__ = __le__ = __lt__ = __ge__ = __gt__ = __sub__
        def middle(samples): return Equal()
        """,
    "lazy": """
        class Lazy(float):
            def __getattribute__(self, name): return lambda *a: True
        def middle(samples): return Lazy(1.0)
        """,
    "float_that_lies": """
        class F(float):
            def __eq__(self, other): return True
            def __float__(self): return 2.0
        def middle(samples): return F(7)
        """,
    "ndarray_subclass": """
        import numpy as np
        class A(np.ndarray):
            def __array_ufunc__(self, ufunc, method, *inputs, **kwargs): return np.True_
            def __eq__(self, other): return True
        def middle(samples): return np.ones(()).view(A)
        """,
    "class_lie": """
        class C:
            @property
            def __class__(self): return float
            def __eq__(self, other): return True
        def middle(samples): return C()
        """,
    "huge_int": "def middle(samples): return 10 ** 6000",
    "nan": "def middle(samples): return float('nan')",
    "infinite": "def middle(samples): return float('inf')",
    "recursive_list": """
        def middle(samples):
            endless = []
            endless.append(endless)
            return endless
        """,
    "patched_checks": """
        import numpy as np, tinytorch, tito.testing, sys
        for module in [tito.testing, *[m for n, m in list(sys.modules.items())
                                       if n.startswith(("tito", "numpy.testing"))]]:
            for name in list(vars(module)):
                if name.startswith("assert"):
                    setattr(module, name, lambda *a, **k: None)
        np.isclose = np.allclose = np.any = np.all = lambda *a, **k: True
        def assert_close(*a, **k): pass
        def middle(samples): return 7.0
        """,
    "hooks_planted": """
        import tito.testing
        class Hooks:
            def __getattr__(self, name): return lambda *a, **k: None
        tito.testing.judge_hooks = Hooks()
        def middle(samples): return 7.0
        """,
    "stop_iteration": "def middle(samples): raise StopIteration(2.0)",
    "system_exit": "def middle(samples): raise SystemExit(0)",
    "keyboard_interrupt": "def middle(samples): raise KeyboardInterrupt",
    "own_base_exception": """
        class Quiet(BaseException):
            def __str__(self): raise Quiet()
            __repr__ = __str__
        def middle(samples): raise Quiet()
        """,
    "large_message": "def middle(samples): raise ValueError('x' * 30_000_000)",
    "repr_that_raises": """
        class R:
            def __repr__(self): raise SystemExit(0)
        def middle(samples): return R()
        """,
    "answers_by_frames": """
        import sys, gc
        def middle(samples):
            frame, found = sys._getframe(), []
            while frame:
                found += [v for v in (*frame.f_locals.values(), *frame.f_globals.values())
                          if type(v) is float]
                frame = frame.f_back
            return found[-1] if found else 7.0
        """,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_stays_wrong(name: str) -> None:
    _, verdicts = ran(changed("middle", textwrap.dedent(WRONG[name])), cell_s=10.0)
    assert passed(verdicts) == OTHERS


ENDS = {
    "process_ends": "import os\ndef middle(samples): os._exit(0)",
    "killed": "import os\ndef middle(samples): os.kill(os.getpid(), 9)",
    "input_closed": "import os\ndef middle(samples):\n    os.closerange(3, 256); return 2.0",
    "endless_and_deaf": """
        import signal
        def middle(samples):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            while True: pass
        """,
    "repr_that_loops": """
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        class R:
            def __repr__(self):
                while True: pass
        def middle(samples): return R()
        """,
}


@pytest.mark.parametrize("name", ENDS)
def test_ending_or_blocking_the_process_costs_the_test_alone(name: str) -> None:
    _, verdicts = ran(changed("middle", textwrap.dedent(ENDS[name])), cell_s=1.0)
    assert passed(verdicts) == OTHERS
    assert verdicts["test_middle"].status in ("died", "endless")


FORGED = """
import os, struct, pickle
def every_pipe(data):
    for fd in range(3, 64):
        try:
            os.write(fd, data)
        except OSError:
            pass
def frame(body): return struct.pack("<I", len(body)) + body
answer = frame(b"t\\x04\\x00\\x00\\x00" + b"s\\x04\\x00\\x00\\x00done" + b"i\\x01\\x00\\x05"
               + b"f" + struct.pack("<d", 2.0)
               + b"t\\x03\\x00\\x00\\x00" + b"s\\x00\\x00\\x00\\x00N" + b"l\\x00\\x00\\x00\\x00")
"""


@pytest.mark.parametrize(
    "body",
    [
        "every_pipe(answer); return 7.0",
        "every_pipe(answer * 50); return 7.0",
        "every_pipe(frame(pickle.dumps(print))); return 7.0",
        "every_pipe(b'\\xff' * 64); return 7.0",
        "every_pipe(frame(b'')); return 7.0",
        "every_pipe(os.urandom(4000)); return 7.0",
    ],
)
def test_forged_frames_earn_nothing(body: str) -> None:
    source = f"{FORGED}\ndef middle(samples):\n    {body}"
    _, verdicts = ran(changed("middle", source), cell_s=2.0)
    assert passed(verdicts) == OTHERS


def test_an_answer_before_its_question_earns_nothing() -> None:
    source = f"{FORGED}\ndef middle(samples): return 7.0\nevery_pipe(answer)"
    _, verdicts = ran(changed("middle", source), cell_s=2.0)
    assert passed(verdicts) == OTHERS
    assert verdicts["middle"].status == "died"
    assert "broke the protocol" in verdicts["middle"].message


def test_a_thread_that_writes_answers_earns_nothing() -> None:
    source = f"""{FORGED}
import threading, time
def flood():
    while True:
        every_pipe(answer)
        time.sleep(0.001)
def middle(samples):
    threading.Thread(target=flood, daemon=True).start()
    time.sleep(0.05)
    return 7.0
"""
    _, verdicts = ran(changed("middle", source), cell_s=2.0)
    assert passed(verdicts) == OTHERS


def test_redefining_what_read_only_cells_gave_changes_nothing() -> None:
    student = changed(
        "middle", "UNIT = 'no'\ndef middle(samples): return 7.0\ndef assert_int(*a): 1"
    )
    cell_of(student, "given_words")["source"] = "raise SystemExit"
    _, verdicts = ran(student)
    assert passed(verdicts) == OTHERS


def test_a_students_tests_are_never_run() -> None:
    student = changed("middle", "def middle(samples): return 7.0")
    for test in TESTS:
        cell_of(student, test)["source"] = "pass"
    _, verdicts = ran(student)
    assert passed(verdicts) == OTHERS


def test_what_breaks_after_the_verdict_takes_no_point_away() -> None:
    zygote = ForkedZygote()
    student = changed("pairs", cell_of(changed("middle", ""), "pairs")["source"] + "\nimport os\n")
    cell_of(student, "pairs__ordered")["source"] = "def ordered_pairs(n):\n    os._exit(0)"
    _, verdicts = ran(student, zygote=zygote)
    assert passed(verdicts) == set(TESTS) - {"test_pairs__ordered"}


# ---- a process that does not even run the agent -------------------------------------------------


def encoded(value: object) -> bytes:
    return wire.Encoder(lambda v: wire.Reference(b"h", 1, "T"), lambda v: None).frame(value)


TAIL = ("", None, [])


def number_of(frame: bytes) -> int:
    number: int = struct.unpack_from("<cQI", frame)[1]
    return number


HOSTILE: dict[str, Callable[[int], list[Any]]] = {
    "wrong number": lambda n: [("done", n ^ 1, 1, TAIL)],
    "boolean number": lambda n: [("done", True, 1, TAIL)],
    "no tuple": lambda n: ["done"],
    "short": lambda n: [("done",)],
    "unknown kind": lambda n: [("hello", n, 1, TAIL)],
    "kind is data": lambda n: [({"a": 1}, n, 1, TAIL)],
    "no tail": lambda n: [("done", n, 1, None)],
    "wrong tail": lambda n: [("done", n, 1, (1, 2, 3))],
    "work is no work": lambda n: [("done", n, 1, ("", ({}, 1, 2, -3), []))],
    "unknown twin": lambda n: [("done", n, 1, ("", None, [(7, True, False)]))],
    "own object as error": lambda n: [("failed", n, "ValueError", "m", "t", 3, TAIL)],
    "error without words": lambda n: [("failed", n, b"x", 1, None, None, TAIL)],
    "question of nothing": lambda n: [("use", 1, 99, "", (), {}, True, [])],
    "question in bad form": lambda n: [("use", 1, 0, "", [], {}, True, [])],
    "question by bad names": lambda n: [("use", 1, 0, "", (), {1: 2}, True, [])],
    "show out of turn": lambda n: [("show", n, {"msg_type": "stream"})],
    "twice": lambda n: [("done", n, 1, TAIL), ("done", n, 1, TAIL)],
    "nothing": lambda n: [],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_process_that_breaks_the_protocol_is_given_up(name: str) -> None:
    def raw(receive: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
        while True:
            for message in HOSTILE[name](number_of(receive())):
                send(encoded(message))
            if name == "nothing":
                return

    with ForkedSandbox(raw=raw) as sandbox:
        link = Link(sandbox)
        link.begin_cell(time.monotonic() + 5, test=True)
        if name == "twice":
            assert link.ask("name", "x") == 1
        with pytest.raises(SandboxLostError):
            link.ask("name", "x")
        assert link.lost is not None
        with pytest.raises(SandboxLostError):
            link.ask("name", "x")


def test_a_process_that_sends_too_much_is_given_up() -> None:
    def raw(receive: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
        number = number_of(receive())
        while True:
            send(encoded(("show", number, {"msg_type": "x", "content": {"d": b"x" * (8 << 20)}})))

    with ForkedSandbox(raw=raw) as sandbox:
        link = Link(sandbox, budget=Budget(received_bytes=32 << 20))
        link.begin_cell(time.monotonic() + 60, test=False)
        with pytest.raises(SandboxLostError, match="bytes in one cell"):
            link.run_cell("pass", lambda message: None)


def test_deep_recursion_between_both_sides_ends_in_an_error() -> None:
    with ForkedSandbox() as sandbox:
        link = Link(sandbox)
        link.run_cell("def again(fn): return fn()", print)
        link.begin_cell(time.monotonic() + 20, test=True)
        again = link.ask("name", "again")

        def deeper() -> Any:
            return again(deeper)

        with pytest.raises((RecursionError, SandboxLostError)):
            again(deeper)
