"""What a submission does to harm: it is bounded, and nothing of it outlives the sandbox."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grading.sandbox.cells import run, said
from tito.grading.sandbox import cgroups
from tito.grading.sandbox.census import members
from tito.grading.sandbox.errors import DeadlineError, SandboxEndedError
from tito.grading.sandbox.process import Sandbox
from tito.grading.sandbox.zygote import Zygote

ENDLESS_REPR = """
import sys
sys.setrecursionlimit(10**9)
class Endless:
    def __repr__(self):
        return repr(self)
repr(Endless())
"""


def leaves() -> set[str]:
    found = [Path(each.folder).glob(f"tito-{os.getpid()}-*") for each in cgroups.hierarchies()]
    return {leaf.name for leaf_list in found for leaf in leaf_list}


@pytest.fixture(autouse=True)
def nothing_is_left(zygote: Zygote) -> Iterator[None]:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    before = leaves()
    yield
    assert leaves() <= before
    assert Path("/proc/self/mounts").read_text(encoding="utf-8") == mounts


def test_children_are_bounded_and_end_with_it(sandbox: Sandbox) -> None:
    code = """
import os, signal
count = 0
try:
    for _ in range(1000):
        if os.fork() == 0:
            os.setsid()
            signal.pause()
            os._exit(0)
        count += 1
except OSError as error:
    print(type(error).__name__, count)
"""
    word, count = said(sandbox, code).split()
    assert word == "BlockingIOError"
    assert 10 < int(count) < 40
    everyone = members(sandbox.pid)
    assert sandbox.processes() == len(everyone) == int(count) + 1
    sandbox.close()
    assert not [pid for pid in everyone if Path(f"/proc/{pid}").exists()]


def test_daemons_and_a_fork_storm_end_with_it(sandbox: Sandbox) -> None:
    code = """
import os
if os.fork() == 0:
    os.setsid()
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            continue
"""
    assert said(sandbox, code) == ""
    sandbox.close()
    assert not members(sandbox.pid)


def test_killing_everyone_reaches_nobody_outside(zygote: Zygote, sandbox: Sandbox) -> None:
    with zygote.spawn() as neighbour:
        code = "import os\ntry:\n    os.kill(-1, 9)\nexcept ProcessLookupError:\n    print('alone')"
        assert said(sandbox, code) == "alone"
        assert said(sandbox, "for n in (2, 3, 15, 9):\n    os.kill(1, 0)") == ""
        assert said(neighbour, "print('alive')") == "alive"


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/home/student"])
def test_a_full_disk_is_its_own(sandbox: Sandbox, zygote: Zygote, place: str) -> None:
    code = f"""
import errno
try:
    for number in range(100):
        with open(f"{place}/{{number}}", "wb") as file:
            file.write(bytes(1 << 20))
except OSError as error:
    print(errno.errorcode[error.errno], number)
"""
    assert said(sandbox, code) == "ENOSPC 16"
    with zygote.spawn() as neighbour:
        assert said(neighbour, f"open('{place}/x', 'wb').write(bytes(1 << 20))") == ""


def test_files_are_bounded_in_size_and_number(sandbox: Sandbox) -> None:
    code = "held = []\nwhile True:\n    held.append(open('/dev/null'))"
    assert "Too many open files" in said(sandbox, code)
    assert said(sandbox, "print(len(held)); held.clear()").isdigit()
    code = "n = 0\nwhile True:\n    n += 1\n    open(f'/tmp/{n}', 'w').close()"
    assert "No space left" in said(sandbox, code)


def test_memory_is_bounded(sandbox: Sandbox) -> None:
    assert said(sandbox, "block = bytearray(4 << 30)").startswith("MemoryError")
    assert said(sandbox, "print('still here')") == "still here"


def test_memory_of_all_processes_together_is_bounded(sandbox: Sandbox) -> None:
    if not any("memory" in each.controllers for each in cgroups.hierarchies()):
        pytest.skip("no control group for memory can be made here")
    code = """
import os, signal
for _ in range(6):
    if os.fork() == 0:
        held = b"x" * (300 << 20)
        signal.pause()
pid, status = os.wait()
print(os.WTERMSIG(status))
"""
    try:
        assert said(sandbox, code) == "9"
    except SandboxEndedError:
        assert sandbox.processes() == 0  # all of it was ended: bounded, too


def test_printing_is_bounded(sandbox: Sandbox) -> None:
    note = "[output truncated: a cell may print 2000 characters]"
    for code in (
        "print('x' * 50_000_000)",
        "for _ in range(100_000):\n    print('x' * 100)",
        "!head -c 5000000 /dev/zero | tr '\\\\0' x",
        "import os; os.system(\"head -c 5000000 /dev/zero | tr '\\\\0' x\")",
    ):
        words = said(sandbox, code)
        assert len(words) < 2_200
        assert note in words, code


def test_recursion_costs_only_the_sandbox(sandbox: Sandbox, zygote: Zygote) -> None:
    assert said(sandbox, "def f(): return f()\nf()").startswith("RecursionError")
    with pytest.raises(SandboxEndedError):
        said(sandbox, ENDLESS_REPR)
    sandbox.close()
    assert not Path(f"/proc/{sandbox.pid}").exists()
    with zygote.spawn() as another:
        assert said(another, "print('alive')") == "alive"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(0)",
        "import os; os.abort()",
        "import ctypes; ctypes.string_at(0)",
        "import os, signal; os.closerange(0, 1000)",
    ],
)
def test_a_sandbox_that_ends_itself_is_told(sandbox: Sandbox, code: str) -> None:
    with pytest.raises(SandboxEndedError):
        run(sandbox, code)
    assert sandbox.close().cpu_ns > 0


def test_cpu_time_is_bounded(given: Path, walls: None) -> None:
    from tests.grading.sandbox.cells import AGENT
    from tito.grading.sandbox.levels import Level
    from tito.grading.sandbox.limits import Limits

    with (
        Zygote(given, Level.NAMESPACES, Limits(cpu_s=1), AGENT) as zygote,
        zygote.spawn() as sandbox,
        pytest.raises(SandboxEndedError),
    ):
        run(
            sandbox,
            "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        )


def test_a_cell_that_ignores_everything_ends_at_close(sandbox: Sandbox) -> None:
    code = """
import signal
for number in range(1, 32):
    if number not in (9, 19):
        signal.signal(number, signal.SIG_IGN)
while True:
    pass
"""
    with pytest.raises(DeadlineError):
        run(sandbox, code, seconds=1.0)
    sandbox.interrupt()
    with pytest.raises(DeadlineError):
        sandbox.receive(time.monotonic() + 0.3)
    sandbox.close()
    assert not Path(f"/proc/{sandbox.pid}").exists()
