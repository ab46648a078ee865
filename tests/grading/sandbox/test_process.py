"""Frames, deadlines and signals: what the grader may rely on, whatever the other side does."""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path

import pytest

from tests.grading.sandbox.cells import run, said
from tito.grading.sandbox.errors import DeadlineError, ProtocolError, SandboxEndedError
from tito.grading.sandbox.process import LARGEST_FRAME, Sandbox
from tito.grading.sandbox.zygote import Zygote

PIPES = """
import os
pipes = [int(n) for n in os.listdir("/proc/self/fd") if int(n) > 2]
ours = [n for n in pipes if os.path.exists(f"/proc/self/fd/{n}")
        and os.readlink(f"/proc/self/fd/{n}").startswith("pipe")]
def raw(data):
    for n in ours:
        try:
            os.write(n, data)
        except OSError:
            pass
"""


def test_a_large_frame_comes_through_whole(sandbox: Sandbox) -> None:
    source = "x = '" + "a" * 20_000_000 + "'\nprint(len(x))"
    assert said(sandbox, source) == "20000000"


@pytest.mark.parametrize("length", [LARGEST_FRAME + 1, 2**32 - 1])
def test_a_forged_length_is_refused_before_memory_is_spent(sandbox: Sandbox, length: int) -> None:
    said(sandbox, PIPES)
    with pytest.raises(ProtocolError):
        run(sandbox, f"raw({struct.pack('<I', length)!r})")
    with pytest.raises(SandboxEndedError):
        sandbox.receive(time.monotonic() + 1)


def test_half_a_frame_is_no_frame(sandbox: Sandbox) -> None:
    said(sandbox, PIPES)
    sandbox.send(
        b"raw((1000).to_bytes(4, 'little') + b'x' * 10); os._exit(0)", time.monotonic() + 9
    )
    with pytest.raises(SandboxEndedError):
        sandbox.receive(time.monotonic() + 9)


def test_an_answer_after_the_deadline_is_not_lost(sandbox: Sandbox) -> None:
    sandbox.send(b"import time; time.sleep(0.5)", time.monotonic() + 9)
    with pytest.raises(DeadlineError):
        sandbox.receive(time.monotonic() + 0.1)
    assert json.loads(sandbox.receive(time.monotonic() + 9))["reply"]["status"] == "ok"


def test_one_that_does_not_read_cannot_hold_the_grader(sandbox: Sandbox) -> None:
    sandbox.send(b"while True: pass", time.monotonic() + 9)
    with pytest.raises(DeadlineError):
        sandbox.send(bytes(8 << 20), time.monotonic() + 0.2)
    with pytest.raises(SandboxEndedError, match="part of a frame"):
        sandbox.send(b"1", time.monotonic() + 9)


def test_too_long_a_frame_is_not_sent(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="at most"):
        sandbox.send(bytes(LARGEST_FRAME + 1), time.monotonic() + 9)


def test_an_interrupt_stops_the_cell_and_not_the_session(sandbox: Sandbox) -> None:
    said(sandbox, "x = 5")
    for code in (b"while True: pass", b"import time; time.sleep(60)", b"!sleep 60"):
        sandbox.send(code, time.monotonic() + 9)
        with pytest.raises(DeadlineError):
            sandbox.receive(time.monotonic() + 0.3)
        sandbox.interrupt()
        reply = json.loads(sandbox.receive(time.monotonic() + 20))["reply"]
        assert reply["ename"] == "KeyboardInterrupt"
    assert said(sandbox, "print(x)") == "5"


def test_a_paused_sandbox_spends_nothing(sandbox: Sandbox) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    while True: pass\n"
    said(sandbox, code)
    sandbox.send(b"while True: pass", time.monotonic() + 9)
    time.sleep(0.2)
    assert sandbox.processes() == 2
    sandbox.pause()
    time.sleep(0.05)
    before = sandbox.cpu_ns(), _all_cpu(sandbox)
    time.sleep(0.3)
    assert (sandbox.cpu_ns(), _all_cpu(sandbox)) == before
    sandbox.resume()
    time.sleep(0.5)
    assert sandbox.cpu_ns() > before[0]


def _all_cpu(sandbox: Sandbox) -> list[str]:
    from tito.grading.sandbox.census import members

    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in sorted(members(sandbox.pid))]
    return [" ".join(words.rpartition(")")[2].split()[11:13]) for words in stats]


def test_cpu_time_is_read_from_outside(sandbox: Sandbox) -> None:
    before = sandbox.cpu_ns()
    said(sandbox, "import time; time.sleep(0.2)")
    slept = sandbox.cpu_ns() - before
    code = "e = time.process_time() + 0.2\nwhile time.process_time() < e: pass"
    said(sandbox, f"time.time = time.process_time_ns = lambda: 0\n{code}")
    worked = sandbox.cpu_ns() - before - slept
    assert slept < 150_000_000
    assert 190_000_000 < worked < 400_000_000


def test_after_its_end_everything_is_safe(zygote: Zygote) -> None:
    sandbox = zygote.spawn()
    said(sandbox, "held = b'x' * (50 << 20)")
    usage = sandbox.close()
    assert usage.cpu_ns > 0
    assert usage.peak_bytes > 50 << 20
    assert sandbox.close() == usage
    sandbox.interrupt()
    sandbox.pause()
    sandbox.resume()
    assert sandbox.processes() == 0
    assert sandbox.cpu_ns() == usage.cpu_ns
    for attempt in (
        lambda: sandbox.send(b"", time.monotonic() + 1),
        lambda: sandbox.receive(time.monotonic() + 1),
    ):
        with pytest.raises(SandboxEndedError):
            attempt()


def test_nothing_stays_open_here(zygote: Zygote) -> None:
    zygote.spawn().close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        zygote.spawn().close()
    assert len(os.listdir("/proc/self/fd")) == before
