"""The command line: help that teaches, one panel for a mistake, and honest exit codes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tito.checkout import LESSON, ROOT, changed, checkout, write_text
from tito.course import Course

COMMANDS = "check export status doctor build release bundle audit grade demo contract train-zoo"
RUN = [sys.executable, "-c", "from tito.cli import main; main()"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = tmp_path_factory.mktemp("cli") / "course"
    root.mkdir()
    return checkout(root)


def tito(course: Course, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(course.root), "COLUMNS": "100"}
    return subprocess.run(
        [*RUN, *arguments], cwd=course.root, env=environment, capture_output=True, text=True
    )


def test_help_names_every_command_and_loads_nothing_slow() -> None:
    code = (
        "import sys\nsys.argv = ['tito', '--help']\nfrom tito.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told, _, loaded = done.stdout.partition("LOADED")
    for command in COMMANDS.split():
        assert re.search(rf"│ {command} ", told), command
    slow = {"numpy", "nbgrader", "nbformat", "jupytext", "IPython", "tinytorch", "jsonschema"}
    assert not slow & set(loaded.split())


@pytest.mark.parametrize("command", COMMANDS.split()[:8])
def test_each_command_shows_an_example(shared: Course, command: str) -> None:
    done = tito(shared, command, "--help")
    assert done.returncode == 0
    assert f"Example: tito {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "99"], "no lesson '99'"),
        (["check", "15"], "is missing"),
        (["export", "14"], "tito build 14"),
        (["release", "14"], "tito build 14"),
        (["bundle"], "No lesson was released"),
        (["check", "14", "--notebook", "nowhere.ipynb"], "There is no notebook"),
        (["check", "--notebook", "x.ipynb"], "needs a lesson"),
        (["export", "--to", "x.py"], "needs a lesson"),
        (["check", "14", "--deadline", "0"], "0"),
        (["nonsense"], "nonsense"),
        (["build", "--nonsense"], "nonsense"),
    ],
)
def test_a_mistake_is_one_panel_and_exit_code_2(
    shared: Course, arguments: list[str], words: str
) -> None:
    done = tito(shared, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert done.stderr.count("╭") == 1
    assert "Traceback" not in done.stderr


def test_a_lesson_from_text_to_bundle(course: Course) -> None:
    for arguments in (["build"], ["release", "14"], ["export"], ["check", "14"], ["status"]):
        done = tito(course, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "source/14_profiling/profiling.ipynb: up to date" in tito(course, "build", "14").stdout
    audited = tito(course, "audit", "--leaks")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    bundled = tito(course, "bundle", "--out", "given")
    assert "given/tinytorch-optimization.zip" in bundled.stdout
    course.release(LESSON).write_bytes(course.source(LESSON).read_bytes())
    leaking = tito(course, "audit", "--leaks")
    assert leaking.returncode == 1
    assert "shows the solution middle of lesson 14" in leaking.stdout


def test_a_failing_check_is_exit_code_1(course: Course) -> None:
    write_text(course, changed("self.total + self.size", "self.total"))
    assert tito(course, "build").returncode == 0
    done = tito(course, "check", "14")
    assert done.returncode == 1
    assert "pairs with itself is" in done.stdout


def test_a_refused_lesson_shows_line_cell_and_fix(course: Course) -> None:
    write_text(course, changed('"test_middle__empty"', '"test_middle"'))
    done = tito(course, "build")
    assert done.returncode == 2
    assert re.search(r"modules/14_profiling/profiling\.py:\d+ \[test_middle\]", done.stderr)
    assert "fix: Give one of them another" in done.stderr
    assert not course.source(LESSON).exists()


def test_grading_keeps_its_own_options(course: Course) -> None:
    commands = course.root / "tito" / "grading" / "commands.py"
    commands.parent.mkdir(exist_ok=True)
    commands.write_text(
        'import typer\n\ndef grade(name: str, fast: bool = False) -> None:\n    """Grade one."""\n'
        "    print(name, fast)\n    raise typer.Exit(3)\n"
    )
    (commands.parent / "__init__.py").touch()
    done = tito(course, "grade", "ada", "--fast")
    assert (done.stdout, done.returncode) == ("ada True\n", 3)
    told = tito(course, "grade", "--help").stdout
    assert "Usage: tito grade" in told
    assert "--fast" in told
    assert tito(course, "grade", "--slow").returncode == 2
    commands.unlink()
    absent = tito(course, "grade")
    assert absent.returncode == 2
    assert "is not part of this folder" in absent.stderr


def test_a_full_disk_is_told_without_a_traceback(course: Course) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    code = (
        "import os, errno, sys\ndef full(_): raise OSError(errno.ENOSPC, os.strerror(28))\n"
        "os.fsync = full\nsys.argv = ['tito', 'build']\nfrom tito.cli import main\nmain()"
    )
    environment = {**os.environ, "PYTHONPATH": str(course.root)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=course.root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((course.root / "source").rglob("*.*"))


def test_ctrl_c_is_130_and_leaves_nothing_behind(course: Course) -> None:
    text = changed("measured = sum(range(1000))", "import time\ntime.sleep(60)\nmeasured = 1")
    write_text(course, text)
    assert tito(course, "build").returncode == 0
    environment = {**os.environ, "PYTHONPATH": str(course.root)}
    running = subprocess.Popen(
        [*RUN, "check", "14", "--all"],
        cwd=course.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child = wait_for_child(running.pid)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130, errors.decode()
    assert b"Traceback" not in errors
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()


def wait_for_child(parent: int) -> int:
    """The first child of a process, once there is one (Linux)."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.05)
    raise AssertionError("the check never started its process")
