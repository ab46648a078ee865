"""The walls: what a submission's process cannot see, use or outlive."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tito.course import CourseError
from tito.grading import confinement
from tito.grading.confinement import Isolation, Limits, choose
from tito.grading.kernel import CellDeadlineError, ConfinedKernel, KernelEndedError
from tito.lessons.given import given_tree

ROOT = Path(__file__).resolve().parents[2]


def said(kernel: ConfinedKernel, code: str, deadline_s: float = 30.0) -> str:
    """What a cell prints, or the name and message of its error."""
    words: list[str] = []
    for message in kernel.run(code, deadline_s):
        content: dict[str, Any] = message["content"]
        if message["msg_type"] == "stream":
            words.append(content["text"])
        elif message["msg_type"] == "error":
            words.append(f"{content['ename']}: {content['evalue']}")
    return "".join(words).strip()


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    given_tree(folder, 14)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def shared_kernel(given: Path) -> Iterator[ConfinedKernel]:
    with ConfinedKernel(given, Isolation.BUBBLEWRAP, Limits(), printed=2_000) as kernel:
        yield kernel


@pytest.mark.sandbox
class TestWalls:
    """One kernel for all of these: none of them ends it."""

    def test_there_is_no_network(self, shared_kernel: ConfinedKernel) -> None:
        code = "import socket\nprint([name for _, name in socket.if_nameindex()])"
        assert said(shared_kernel, code) == "['lo']"
        code = "socket.create_connection(('192.0.2.1', 80), 2)"
        assert "unreachable" in said(shared_kernel, code)

    def test_nothing_of_the_course_is_there(
        self, shared_kernel: ConfinedKernel, given: Path
    ) -> None:
        names = ("modules", "source", "submitted", "gradebook", "tests", "tinytorch")
        paths = [str(ROOT / name) for name in names]
        assert said(
            shared_kernel, f"import os\nprint([os.path.exists(p) for p in {paths}])"
        ) == str([False] * len(paths))
        assert said(shared_kernel, f"os.path.exists({str(given)!r}) and print('given')") == "given"

    def test_home_is_empty_and_its_own(self, shared_kernel: ConfinedKernel) -> None:
        code = "import os\nprint(os.getcwd(), os.path.expanduser('~'), os.environ['TMPDIR'])"
        assert said(shared_kernel, code) == " ".join(["/home/student"] * 3)
        real = os.path.expanduser("~")
        code = f"print(os.listdir({real!r}) if os.access({real!r}, os.R_OK) else [])"
        seen = set(json.loads(said(shared_kernel, code).replace("'", '"')))
        assert seen <= {".pyenv", ".local"}  # at most the way to the interpreter

    def test_the_environment_holds_nothing_of_the_graders(
        self, shared_kernel: ConfinedKernel
    ) -> None:
        found = set(
            json.loads(said(shared_kernel, "import json; print(json.dumps(list(os.environ)))"))
        )
        own = set(confinement.environment(Path("x"), "y"))
        added_by_ipykernel = {"JPY_PARENT_PID", "PYDEVD_USE_FRAME_EVAL", "MPLBACKEND", "TERM"}
        added_by_ipykernel |= {"CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "PAGER", "GIT_PAGER"}
        assert found - own - added_by_ipykernel <= {"PWD"}
        assert said(shared_kernel, "print(os.environ['OPENBLAS_NUM_THREADS'])") == "1"

    def test_no_other_process_is_seen(self, shared_kernel: ConfinedKernel) -> None:
        code = "print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[-1] < 50)"
        assert said(shared_kernel, code) == "True"

    def test_it_is_not_root_and_cannot_become_root(self, shared_kernel: ConfinedKernel) -> None:
        assert said(shared_kernel, "print(os.getuid() == 0 and os.geteuid() == 0)") == "False"
        assert "PermissionError" in said(shared_kernel, "os.setuid(0)")

    def test_the_given_tree_is_there_without_the_module_under_test(
        self, shared_kernel: ConfinedKernel
    ) -> None:
        assert said(shared_kernel, "import tinytorch, tito.testing\nprint('ok')") == "ok"
        assert "tinytorch.profiling" in said(shared_kernel, "import tinytorch.profiling")
        assert "ModuleNotFoundError" in said(shared_kernel, "import tito.grading.gradebook")

    def test_nothing_but_its_own_folders_can_be_written(
        self, shared_kernel: ConfinedKernel, given: Path
    ) -> None:
        for place in (given / "x", Path(sys.prefix) / "x", Path("/x"), Path("/usr/x")):
            answer = said(shared_kernel, f"open({str(place)!r}, 'w')")
            assert answer.startswith(("OSError", "PermissionError")), place
        for place in ("mine", "/tmp/mine", "/dev/shm/mine"):
            assert said(shared_kernel, f"open({place!r}, 'w').close()\nprint('ok')") == "ok"

    def test_memory_is_bounded(self, shared_kernel: ConfinedKernel) -> None:
        assert said(shared_kernel, "block = bytearray(8 << 30)").startswith("MemoryError")
        assert said(shared_kernel, "print('still here')") == "still here"

    def test_files_are_bounded(self, shared_kernel: ConfinedKernel) -> None:
        code = "with open('large', 'wb') as file:\n    file.write(bytes(80 << 20))"
        assert "File too large" in said(shared_kernel, code)
        code = (
            "for number in range(4):\n    with open(f'part{number}', 'wb') as file:\n"
            "        file.write(bytes(50 << 20))"
        )
        assert "No space left" in said(shared_kernel, code)

    def test_processes_are_bounded(self, shared_kernel: ConfinedKernel) -> None:
        code = (
            "import os, signal\nchildren = []\ntry:\n    for _ in range(400):\n"
            "        child = os.fork()\n        if child == 0:\n            signal.pause()\n"
            "            os._exit(0)\n        children.append(child)\n"
            "except OSError as error:\n    print(type(error).__name__)\n"
            "for child in children:\n    os.kill(child, 9)\n    os.waitpid(child, 0)"
        )
        assert said(shared_kernel, code) == "BlockingIOError"

    def test_printing_is_bounded(self, shared_kernel: ConfinedKernel) -> None:
        for code in ("print('x' * 50_000_000)", "for _ in range(50_000):\n    print('x' * 100)"):
            words = said(shared_kernel, code)
            assert len(words) < 2_200
            assert words.endswith("[output truncated: a cell may print 2000 characters]")

    def test_a_cell_that_never_ends_is_interrupted(self, shared_kernel: ConfinedKernel) -> None:
        with pytest.raises(CellDeadlineError) as caught:
            said(shared_kernel, "while True:\n    pass", deadline_s=1.0)
        assert caught.value.interrupted
        assert said(shared_kernel, "print('still here')") == "still here"


@pytest.mark.sandbox
class TestEnds:
    """Each of these ends its kernel."""

    def test_a_kernel_that_ends_itself_is_noticed(self, given: Path) -> None:
        kernel = ConfinedKernel(given, Isolation.BUBBLEWRAP, Limits(), 2_000)
        with kernel, pytest.raises(KernelEndedError):
            said(kernel, "import os\nos._exit(0)")

    def test_a_cell_that_will_not_be_interrupted_is_ended(self, given: Path) -> None:
        code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"
        with ConfinedKernel(given, Isolation.BUBBLEWRAP, Limits(), 2_000) as kernel:
            with pytest.raises(CellDeadlineError) as caught:
                said(kernel, code, deadline_s=1.0)
            assert not caught.value.interrupted
            with pytest.raises(KernelEndedError):
                said(kernel, "1 + 1")

    def test_it_dies_with_the_grader_also_what_it_started(self, given: Path) -> None:
        """A grader that is killed leaves no process behind, not even a detached one."""
        program = (
            "import sys\nfrom pathlib import Path\n"
            "from tito.grading.confinement import Isolation, Limits\n"
            "from tito.grading.kernel import ConfinedKernel\n"
            f"kernel = ConfinedKernel(Path({str(given)!r}), Isolation.BUBBLEWRAP, Limits(), 2000)\n"
            "with kernel:\n"
            "    code = 'import os, signal\\nif os.fork() == 0:\\n    os.setsid()\\n'\n"
            "    code += '    signal.pause()\\n'\n"
            "    list(kernel.run(code, 20))\n"
            "    print('running', flush=True)\n"
            "    sys.stdin.read()\n"
        )
        before = _processes_naming(str(given))
        grader = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        with grader:
            assert grader.stdout is not None
            assert grader.stdout.readline() == b"running\n"
            inside = set(_processes_naming(str(given))) - {*before, grader.pid}
            assert len(inside) >= 4  # bubblewrap twice, the kernel, and what that started
            os.kill(grader.pid, signal.SIGKILL)
        limit = time.monotonic() + 10
        while any(_alive(pid) for pid in inside) and time.monotonic() < limit:
            select.select([], [], [], 0.05)
        assert [pid for pid in inside if _alive(pid)] == []


def _processes_naming(text: str) -> list[int]:
    """Processes whose command line or environment names something, seen from outside."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            about = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is another user's
        if text.encode() in about and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class TestChoice:
    """Which level is taken, and what is refused."""

    @pytest.fixture(autouse=True)
    def _no_bubblewrap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confinement, "why_not_bubblewrap", lambda: "it is not installed")

    def test_untrusted_work_is_refused_without_walls(self) -> None:
        for wanted in (None, Isolation.BUBBLEWRAP):
            with pytest.raises(CourseError, match="it is not installed") as caught:
                choose(wanted)
            assert "--isolation process" in caught.value.fix

    def test_who_asks_for_less_gets_less_and_is_told(self) -> None:
        level, remark = choose(Isolation.PROCESS)
        assert level is Isolation.PROCESS
        assert "only trusted work" in remark

    def test_the_courses_own_work_runs_without_walls_and_says_so(self) -> None:
        level, remark = choose(None, own_work=True)
        assert level is Isolation.PROCESS
        assert "it is not installed" in remark
        with pytest.raises(CourseError):
            choose(Isolation.BUBBLEWRAP, own_work=True)

    def test_walls_are_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(confinement, "why_not_bubblewrap", lambda: None)
        assert choose(None) == (Isolation.BUBBLEWRAP, "")


def test_another_system_than_linux_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    confinement.why_not_bubblewrap.cache_clear()
    assert confinement.why_not_bubblewrap() == "it needs Linux, and this is darwin"
    monkeypatch.undo()
    confinement.why_not_bubblewrap.cache_clear()


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", "/nowhere")
    confinement.why_not_bubblewrap.cache_clear()
    assert confinement.why_not_bubblewrap() == "the program bwrap is not installed"
    monkeypatch.undo()
    confinement.why_not_bubblewrap.cache_clear()
