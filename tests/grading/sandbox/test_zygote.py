"""The warm process: it lasts, it is clean, it says why it cannot start, it leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.grading.sandbox.cells import AGENT, said
from tests.grading.sandbox.conftest import SMALL
from tito.course import CourseError
from tito.grading.sandbox import cgroups
from tito.grading.sandbox.census import members
from tito.grading.sandbox.errors import SandboxEndedError
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import Zygote, needed_by

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0


def soon(true: Callable[[], bool]) -> bool:
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        if true():
            return True
        time.sleep(0.02)
    return False


def test_it_outlasts_many_sandboxes(zygote: Zygote) -> None:
    for number in range(60):
        with zygote.spawn() as sandbox:
            assert said(sandbox, f"print({number})") == str(number)
    family = members(zygote.pid)
    assert soon(lambda: len(members(zygote.pid)) == 2), family  # itself, and who waits for it


def test_sandboxes_know_nothing_of_each_other(zygote: Zygote) -> None:
    with zygote.spawn() as one, zygote.spawn() as two:
        assert said(one, "x = 1\nopen('/tmp/x', 'w').write('1')\nimport tito\ntito.y = 2") == ""
        assert "NameError" in said(two, "x")
        code = "import os, tito\nprint(os.listdir('/tmp'), hasattr(tito, 'y'))"
        assert said(two, code).endswith("False")
        assert "x" not in eval(said(two, "print([n for n in os.listdir('/tmp') if n == 'x'])"))


def test_a_judge_forked_from_here_may_ask_it_too(zygote: Zygote) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            with zygote.spawn() as sandbox:
                right = said(sandbox, "print(5)") == "5"
            zygote.close()  # lets go of it, and no more
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with zygote.spawn() as sandbox:
        assert said(sandbox, "print(6)") == "6"


def test_a_judge_killed_at_any_moment_leaves_nothing(zygote: Zygote) -> None:
    folders = [Path(each.folder) for each in cgroups.hierarchies()]
    for _ in range(12):
        pid = os.fork()
        if pid == 0:
            try:
                sandbox = zygote.spawn()
                said(sandbox, "import os\nif os.fork() == 0:\n    os.setsid()\nwhile True: pass")
            finally:
                os._exit(2)
        time.sleep(random.uniform(0, 0.15))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert soon(lambda: len(members(zygote.pid)) == 2)
    mine = f"tito-{os.getpid()}-*"
    assert soon(lambda: not [leaf for folder in folders for leaf in folder.glob(mine)])
    with zygote.spawn() as sandbox:
        assert said(sandbox, "print('alive')") == "alive"


START = """
import sys, time
from pathlib import Path
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import Zygote, needed_by
zygote = Zygote(Path(sys.argv[1]), Level(sys.argv[2]), agent="cell_agent")
sandbox = zygote.spawn()
sandbox.send(b"while True: pass", time.monotonic() + 9)
print(zygote.pid, sandbox.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("level", [Level.NAMESPACES, Level.PROCESS])
def test_it_ends_with_its_parent(walls: None, given: Path, level: Level) -> None:
    command = [sys.executable, "-c", START, str(given), level.value]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    assert len(pids) == 2
    assert soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    mine = f"tito-{parent.pid}-*"
    folders = [Path(each.folder) for each in cgroups.hierarchies()]
    assert soon(lambda: not [leaf for folder in folders for leaf in folder.glob(mine)])
    homes = f"tito-sandboxes-{parent.pid}-*"
    assert soon(lambda: not list(Path(tempfile.gettempdir()).glob(homes)))


def test_sandboxes_end_with_a_killed_zygote(walls: None, given: Path) -> None:
    zygote = Zygote(given, Level.NAMESPACES, SMALL, AGENT)
    with zygote, zygote.spawn() as sandbox:
        everyone = members(zygote.pid)
        assert sandbox.pid in everyone
        for pid in everyone - {sandbox.pid}:
            os.kill(pid, signal.SIGKILL)
        everyone.remove(zygote.pid)  # its parent is this process
        assert soon(lambda: not any(Path(f"/proc/{pid}").exists() for pid in everyone))
        with pytest.raises(SandboxEndedError):
            said(sandbox, "1")
        assert sandbox.processes() == 0
        with pytest.raises(CourseError, match="zygote has ended"):
            zygote.spawn()


def test_it_says_why_it_does_not_start(walls: None, tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="No module named 'tinytorch'"):
        Zygote(tmp_path, Level.NAMESPACES, SMALL)
    with pytest.raises(CourseError, match="No module named 'no_such_agent'"):
        Zygote(tmp_path, Level.PROCESS, SMALL, "no_such_agent", warm=False)


@pytest.mark.parametrize("level", [Level.NAMESPACES, Level.PROCESS])
def test_it_refuses_a_package_that_starts_threads(walls: None, level: Level) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        source = "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n"
        (Path(folder) / "threaded.py").write_text(source, encoding="utf-8")
        with pytest.raises(CourseError, match="has 2 threads"):
            Zygote(Path(folder), level, SMALL, "threaded", warm=False)


def test_walls_that_cannot_be_built_are_told(walls: None, given: Path) -> None:
    from dataclasses import replace

    with (
        Zygote(given, Level.NAMESPACES, replace(SMALL, scratch_bytes=-1), AGENT) as zygote,
        pytest.raises(CourseError, match="could not be started"),
    ):
        zygote.spawn()


def test_it_knows_no_secret(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITO_SECRET", "hush-7131")
    with Zygote(
        ROOT / "tito" / "grading" / "inside", Level.PROCESS, SMALL, "inside.trial", False
    ) as other:
        for pid in members(other.pid):
            assert b"hush-7131" not in Path(f"/proc/{pid}/environ").read_bytes()
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                assert "gradebook" not in os.readlink(descriptor)


def test_what_a_lesson_uses_is_there_before_its_submissions() -> None:
    assert needed_by("import numpy") == ()
    text = "from tinytorch import dashboards\nCompiledStep(gpt), Int8Linear(w), int8_matmul(a, b)"
    assert needed_by(text) == (
        "tinytorch.dashboards",
        "tinytorch.models.compiled_step",
        "tinytorch.kernels.compiled.int8_ready",
    )
