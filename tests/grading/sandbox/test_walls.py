"""What a sandbox cannot see, use or become. Each test fails where a wall is missing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.grading.sandbox.cells import said
from tito.grading.inside.system_calls import FORBIDDEN, numbers
from tito.grading.sandbox.environment import environment
from tito.grading.sandbox.process import Sandbox

ROOT = Path(__file__).resolve().parents[3]
CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    ctypes.set_errno(0)
    done = libc.syscall(*[ctypes.c_long(word) for word in words])
    return errno.errorcode.get(ctypes.get_errno(), "") if done < 0 else done
"""


@pytest.fixture(autouse=True)
def imports(shared: Sandbox) -> None:
    said(shared, "import os")


def test_there_is_no_network_and_no_socket_to_reach_one(shared: Sandbox) -> None:
    for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"):
        answer = said(shared, f"import socket\nsocket.socket(socket.{family}, socket.SOCK_DGRAM)")
        assert "not supported" in answer, family
    assert said(shared, "print(open('/proc/net/dev').read().count(':'))") == "1"  # its own lo
    assert said(shared, "a, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))") == "b'x'"


def test_nothing_of_the_course_is_there(shared: Sandbox, given: Path) -> None:
    names = ("modules", "source", "submitted", "gradebook", "tests", "tinytorch", "tito/cli.py")
    paths = [str(ROOT / name) for name in names]
    answer = said(shared, f"import os\nprint([os.path.exists(p) for p in {paths}])")
    assert answer == str([False] * len(paths))
    inside = ROOT / "tito" / "grading"
    assert said(shared, f"print(os.listdir({str(inside)!r}))") == "['inside']"
    assert said(shared, f"print(os.path.exists({str(given / 'tinytorch')!r}))") == "True"


def test_the_disk_is_a_short_list(shared: Sandbox) -> None:
    assert set(said(shared, "print(*os.listdir('/etc'))").split()) <= {
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "alternatives",
    }
    assert set(said(shared, "print(*os.listdir('/dev'))").split()) == {
        *("null", "zero", "full", "random", "urandom"),
        *("fd", "stdin", "stdout", "stderr", "shm"),
    }
    for place in ("/sys", "/var", "/run", "/root/.ssh", "/home/student/.ssh"):
        assert said(shared, f"print(os.path.exists({place!r}))") == "False", place


def test_its_home_is_empty_and_its_own(shared: Sandbox) -> None:
    answer = said(shared, "print(os.getcwd(), os.path.expanduser('~'), os.listdir('.'))")
    assert answer == "/home/student /home/student []"


def test_the_environment_holds_nothing_of_the_graders(shared: Sandbox) -> None:
    found = dict(eval(said(shared, "print(dict(os.environ))")))
    assert found == environment("/home/student")
    assert found["NBGRADER_EXECUTION"] == "autograde"


def test_no_process_but_its_own_is_seen(shared: Sandbox) -> None:
    answer = said(shared, "print([p for p in os.listdir('/proc') if p.isdigit()], os.getppid())")
    assert answer == "['1'] 0"
    assert str(ROOT / "tests") not in said(shared, "print(open('/proc/1/cmdline').read())")


def test_it_holds_two_pipes_and_no_other_descriptor(sandbox: Sandbox) -> None:
    code = (
        "import os\nfor name in sorted(os.listdir('/proc/self/fd'), key=int):\n"
        "    try:\n        print(os.readlink(f'/proc/self/fd/{name}').split(':')[0])\n"
        "    except OSError:\n        print('gone')"
    )
    kinds = said(sandbox, code).splitlines()
    printed = "/home/student/.printed (deleted)"
    assert kinds.count("pipe") == 2
    assert set(kinds) == {"pipe", "gone", "/dev/null", printed}


def test_it_is_an_ordinary_user_for_good(shared: Sandbox) -> None:
    assert said(shared, "print(os.getuid() in (0, os.stat('/').st_uid))") != "True" or (
        os.geteuid() != 0  # an ordinary grader's user is the only one there is
    )
    status = dict(
        line.split(":\t", 1)
        for line in said(shared, "print(open('/proc/self/status').read())").splitlines()
        if ":\t" in line
    )
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert "PermissionError" in said(shared, "os.setuid(0)")


def test_nothing_but_its_own_folders_can_be_written(shared: Sandbox, given: Path) -> None:
    for place in (given / "x", Path(sys.prefix) / "x", Path("/x"), Path("/usr/x"), Path("/dev/x")):
        answer = said(shared, f"open({str(place)!r}, 'w')")
        assert answer.startswith(("OSError", "PermissionError")), place
    for place in ("mine", "/tmp/mine", "/dev/shm/mine"):
        assert said(shared, f"open({place!r}, 'w').close()\nos.unlink({place!r})") == ""
    for place in (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
    ):
        assert "Error" in said(shared, f"open({place!r}, 'w').write('1')"), place


def test_only_the_given_tree_can_be_imported(shared: Sandbox, given: Path) -> None:
    code = "import tinytorch, tito.testing\nprint(tinytorch.__file__, tito.testing.__file__)"
    assert all(place.startswith(str(given)) for place in said(shared, code).split())
    assert "tinytorch.profiling" in said(shared, "import tinytorch.profiling")
    assert "ModuleNotFoundError" in said(shared, "import tito.grading.gradebook")
    assert "ModuleNotFoundError" in said(shared, "import nowhere_installed")


@pytest.mark.parametrize("name", sorted(numbers(FORBIDDEN, os.uname().machine)))
def test_a_forbidden_system_call_is_refused(shared: Sandbox, name: str) -> None:
    number = numbers(FORBIDDEN, os.uname().machine)[name]
    said(shared, CALL)
    assert said(shared, f"print(call({number}, 0, 0, 0, 0, 0))") == "EPERM"


def test_new_namespaces_and_typing_into_a_terminal_are_refused(shared: Sandbox) -> None:
    clone, clone3, ioctl = {"x86_64": (56, 435, 16), "aarch64": (220, 435, 29)}[os.uname().machine]
    said(shared, CALL)
    for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x2000000, 0x4000000, 0x8000000):
        assert said(shared, f"print(call({clone}, {flag | 17}, 0, 0, 0, 0))") == "EPERM"
    assert said(shared, f"print(call({clone3}, 0, 0))") == "ENOSYS"
    assert said(shared, f"print(call({ioctl}, 0, 0x5412, 0))") == "EPERM"


def test_what_a_lesson_needs_works(shared: Sandbox) -> None:
    code = """
import multiprocessing, subprocess, tempfile, threading, asyncio, concurrent.futures
import numpy as np
with tempfile.NamedTemporaryFile() as file:
    file.write(b"x")
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, 2]))
threads = [threading.Thread(target=print, args=("thread",))]
[t.start() for t in threads], [t.join() for t in threads]
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout)
print((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0])
print(asyncio.new_event_loop().run_until_complete(asyncio.sleep(0, "slept")))
"""
    assert said(shared, code).split() == ["[1,", "2]", "thread", "child", "300.0", "slept"]
