"""Sandboxes as an ordinary user, and with Landlock: started by root, as somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.grading.sandbox.test_walls import CALL

ROOT = Path(__file__).resolve().parents[3]
LOOK = [
    "import os; print(os.getuid())",
    "import socket; socket.socket(socket.AF_INET)",
    f"open({str(ROOT / 'pyproject.toml')!r})",
    "open('x', 'w').write('1'); print(os.listdir('.'))",
    "print(os.path.exists('/proc/1/environ') and open('/proc/%d/environ' % os.getppid()).read())",
    "open('/tmp/not-mine', 'w')",
    "bytearray(5 << 30)",
    "import colorsys, tinytorch; print('lazy')",
    "os.setsid()",
    "os.chmod('/usr', 0o777)",
    CALL + "print(call(29 if os.uname().machine == 'x86_64' else 194, 0, 1, 0o1666))",
    "os.kill(os.getppid(), 0)",
    "a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))",
    """
count = 0
try:
    for _ in range(300):
        if os.fork() == 0:
            import signal
            signal.pause()
        count += 1
except OSError as error:
    print(type(error).__name__, count)
""",
]


def looked(user: str, level: str, given: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.grading.sandbox.as_somebody", user, level, str(given)],
        input=json.dumps(LOOK),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    if "why_not" in found:
        if os.environ.get("CI") == "true" and level == "namespaces":
            pytest.fail(found["why_not"])
        pytest.skip(found["why_not"])
    assert found["alive_after"] == 0
    assert found["left"] == []
    return found


@pytest.fixture(params=["nobody", "root"])
def user(request: pytest.FixtureRequest) -> str:
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("only root can be root")
    return str(request.param)


def test_namespaces(user: str, given: Path) -> None:
    answers = looked(user, "namespaces", given)["said"]
    number, socket, course, own, environ, tmp, memory, lazy, *_, storm = answers
    assert number == "1000" if user == "nobody" else int(number) >= 61_000
    assert "not supported" in socket
    assert course.startswith("FileNotFoundError")
    assert (own, lazy) == ("['x']", "lazy")
    assert "PermissionError" in environ or "FileNotFoundError" in environ or environ == ""
    assert tmp == ""  # its own
    assert memory.startswith("MemoryError")
    assert storm.startswith("BlockingIOError")


def test_landlock(user: str, given: Path) -> None:
    answers = looked(user, "landlock", given)["said"]
    number, socket, course, own, environ, tmp, memory, lazy, *rest = answers
    session, mode, shared, parent, pair, storm = rest
    assert number == "65534" if user == "nobody" else int(number) >= 61_000
    assert socket.startswith("PermissionError")
    assert course.startswith("PermissionError")
    assert (own, lazy, pair) == ("['x']", "lazy", "b'x'")
    assert environ in ("False", "") or "PermissionError" in environ
    assert tmp.startswith("PermissionError")
    assert memory.startswith("MemoryError")
    assert session.startswith("PermissionError")
    assert mode.startswith("PermissionError")
    assert shared == "EPERM"
    assert parent.startswith("PermissionError")
    assert storm.startswith("BlockingIOError")


def test_process(given: Path) -> None:
    answers = looked("nobody", "process", given)["said"]
    assert answers[3] == "['x']"
    assert answers[6].startswith("MemoryError")
    assert answers[-1].startswith("BlockingIOError")
