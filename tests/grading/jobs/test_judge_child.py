"""Whatever happens to the process that grades a submission is said, and the worker lives on."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tito.grading.jobs.judge_child import JudgeChild, Work

Tell = Callable[[int, int], None]


@contextmanager
def child_of(work: Work) -> Iterator[JudgeChild]:
    child = JudgeChild(work)
    try:
        yield child
    finally:
        child.close()


def heard(child: JudgeChild) -> JudgeChild:
    """The child after its last word."""
    while not child.ended:
        select.select([child.pipe], [], [], 10)
        child.listen()
    return child


def test_a_result_of_any_size_comes_back() -> None:
    for size in (0, 1, 5_000_000):
        with child_of(lambda tell, size=size: b"x" * size) as child:  # type: ignore[misc]
            assert heard(child).result == b"x" * size
            assert child.error == ""


def test_progress_is_told() -> None:
    def work(tell: Tell) -> bytes:
        for done in range(300):
            tell(done, 300)
        return b""

    with child_of(work) as child:
        assert heard(child).progress == (299, 300)


def test_an_error_is_told() -> None:
    def work(tell: Tell) -> bytes:
        raise ValueError("no such thing")

    with child_of(work) as child:
        assert heard(child).result is None
        assert child.error.startswith("ValueError: no such thing (File")
        assert "test_judge_child.py" in child.error


def crash(tell: Tell) -> bytes:
    faulthandler.disable()  # pytest's, which would write a page about it
    ctypes.string_at(1)
    return b""


def vanish(tell: Tell) -> bytes:
    os._exit(3)


def hog(tell: Tell) -> bytes:
    return bytes(5 << 30)


@pytest.mark.parametrize(
    ("work", "error"),
    [(crash, "was ended by SIGSEGV"), (vanish, "ended with code 3"), (hog, "MemoryError")],
)
def test_an_end_without_a_result_is_told(work: Work, error: str) -> None:
    with child_of(work) as child:
        assert heard(child).result is None
        assert error in child.error


def test_a_killed_child_takes_along_what_it_began(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    def work(tell: Tell) -> bytes:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            pid_file.write_text(str(os.getpid()), encoding="utf-8")
            time.sleep(100)
        while not pid_file.is_file():
            time.sleep(0.01)
        tell(1, 1)
        time.sleep(100)
        return b""

    with child_of(work) as child:
        while child.progress != (1, 1):
            select.select([child.pipe], [], [], 10)
            child.listen()
        child.kill()
    grandchild = Path("/proc") / pid_file.read_text(encoding="utf-8")
    limit = time.monotonic() + 10
    while alive(grandchild) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not alive(grandchild)


def alive(process: Path) -> bool:
    try:
        return "Z" not in (process / "stat").read_text(encoding="utf-8").rpartition(")")[2][:3]
    except OSError:
        return False
