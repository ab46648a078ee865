"""The harness itself: each of its eyes sees what it is there for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grading.attacks import traces
from tests.grading.attacks.adapter import Outcome
from tests.grading.attacks.batch import EARLIER, Graded, _honest_marks, _odd_results, _witnessed
from tests.grading.attacks.case import Case
from tests.grading.attacks.corpus import CASES
from tests.grading.attacks.doors import open_doors
from tests.grading.attacks.page import acting
from tests.grading.attacks.place import Place
from tests.grading.attacks.submissions import (
    HONEST,
    attack_notebook,
    honest_points,
    instructor_notebook,
)
from tito.lessons import notebook as nb

RUN = "atk0000"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(
        tmp_path / "course", tmp_path, tmp_path, RUN, 9, tmp_path / "door", "a-door", apart=True
    )


def problems_of(place: Place, outcome: Outcome, **about: object) -> list[str]:
    case = Case("family", "name", "something", **about)  # type: ignore[arg-type]
    graded = Graded(place, {case.identity: 0}, {case.identity: outcome}, 0.0)
    return graded.problems(case)


def test_an_attack_that_came_to_nothing_is_no_problem(place: Place) -> None:
    assert problems_of(place, Outcome(points=0.0, page="<p>none</p>")) == []


@pytest.mark.parametrize(
    ("outcome", "about", "expected"),
    [
        (Outcome(points=5.0, page="x"), {}, "gained 5 points, of 0 allowed"),
        (Outcome(points=5.0, page="x"), {"most": 9, "least": 6}, "kept 5 points"),
        (Outcome(points=None, notes=["it broke"]), {}, "it has no marks: it broke"),
        (Outcome(points=0.0), {}, "there is no feedback page"),
        (Outcome(points=0.0, page="x"), {"says": ("stopped",)}, "the notes lack 'stopped'"),
        (Outcome(points=0.0, page="a kestrel"), {}, "shows a hidden test"),
        (Outcome(points=0.0, page="x", outputs=f"reached {RUN}c000 it\\n"), {}, "reached: it"),
        (Outcome(points=0.0, page="x", outputs=f"no walls: {RUN}c000"), {}, "without walls"),
        (Outcome(points=0.0, page=f"<img onerror='{RUN}c000'>"), {}, "the page acts: onerror"),
    ],
)
def test_what_an_attack_got_is_a_problem(
    place: Place, outcome: Outcome, about: dict[str, object], expected: str
) -> None:
    found = problems_of(place, outcome, **about)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    "page",
    [
        "<script>steal('atk')</script>",
        "<p onclick=\"steal('atk')\">x</p>",
        "<img src='https://example.org/atk'>",
        "<a href=' java&#10;script:atk'>x</a>",
        "<a href='data:text/html,atk'>x</a>",
        "<svg onload=atk>",
        "<style>p { background: url(atk) }</style>",
        "<iframe srcdoc='atk'></iframe>",
    ],
)
def test_a_page_that_acts_is_seen(page: str) -> None:
    assert acting(page, "atk")


@pytest.mark.parametrize(
    "page",
    [
        "&lt;script&gt;steal('atk')&lt;/script&gt;",
        "<script>the page's own</script><p>atk</p>",
        "<a href='https://example.org/atk'>x</a>",
        "<p title='atk'>onerror=atk javascript:atk</p>",
    ],
)
def test_a_page_that_only_shows_is_none(page: str) -> None:
    assert acting(page, "atk") == []


@contextlib.contextmanager
def orphan(program: str) -> Iterator[int]:
    """A process whose parent has ended."""
    code = (
        "import subprocess, sys\nprogram = [sys.executable, '-c', sys.argv[1]]\n"
        "print(subprocess.Popen(program, stdout=-3, stderr=-3).pid)"
    )
    done = subprocess.run([sys.executable, "-c", code, program], capture_output=True, check=True)
    pid = int(done.stdout)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_an_orphan_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_PATIENCE_S", 0.5)
    traces.adopt_orphans(True)
    try:
        before = traces.children()
        with orphan("import time; time.sleep(60)"):
            assert any("an orphan" in found for found in traces.left_running(before, RUN))
    finally:
        traces.adopt_orphans(False)
    assert traces.left_running(before, RUN) == []


def test_a_marked_process_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_PATIENCE_S", 0.5)
    process = subprocess.Popen([sys.executable, "-c", f"'{RUN}c001'; import time; time.sleep(60)"])
    try:
        time.sleep(0.1)
        assert traces.left_running(traces.children(), RUN)
    finally:
        process.kill()
        process.wait()


def test_changed_and_new_files_are_seen(tmp_path: Path) -> None:
    for name in ("same", "changed", "gone"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    before = traces.digests(tmp_path)
    (tmp_path / "changed").write_text("x", encoding="utf-8")
    (tmp_path / "gone").unlink()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{RUN}-new").symlink_to("same")
    changed = traces.differences(before, traces.digests(tmp_path))
    assert changed == ["changed", "gone", f"in/{RUN}-new"]
    assert traces.marked_files([tmp_path], RUN) == [f"{tmp_path}/in/{RUN}-new"]
    assert traces.marked_files([tmp_path], RUN, deep=False) == []


def test_odd_files_among_the_results_are_seen(tmp_path: Path) -> None:
    folder = tmp_path / "autograded" / "ada" / "14_profiling"
    folder.mkdir(parents=True)
    (folder / "profiling.ipynb").write_text("{}", encoding="utf-8")
    assert _odd_results(tmp_path) == []
    (folder / "numpy.py").write_text("", encoding="utf-8")
    (folder / "timestamp.txt").symlink_to("numpy.py")
    assert len(_odd_results(tmp_path)) == 2


def test_lost_marks_of_the_honest_are_seen() -> None:
    full = {student: Outcome(points=points) for student, (_, points) in HONEST.items()}
    full[EARLIER] = Outcome(points=HONEST["aa_honest"][1])
    assert _honest_marks(full, speed=False) == []
    full["m_honest"].points = 1.0
    full[EARLIER].notes = ["something happened"]
    assert len(_honest_marks(full, speed=False)) == 2


def test_the_witness_must_speak() -> None:
    assert _witnessed(Outcome(outputs="witness saw 0 []")) == []
    assert _witnessed(Outcome(outputs="witness saw 2 ['atk']"))
    assert _witnessed(Outcome(outputs=""))


def test_open_doors_tell_who_came(tmp_path: Path) -> None:
    with open_doors(tmp_path, f"{RUN}-{os.getpid()}") as doors:
        socket.create_connection(("127.0.0.1", doors.port), timeout=2).close()
        limit = time.monotonic() + 5
        while not doors.entered and time.monotonic() < limit:
            time.sleep(0.01)
        assert doors.entered == ["tcp"]


@pytest.mark.parametrize("about", [{"deadly": True}, {"deadly": False}])
def test_a_dangerous_cell_does_nothing_without_walls(place: Place, about: dict[str, bool]) -> None:
    """The guard stands in each cell of its own: one that failed stops no other."""
    case = Case("bombs", "name", "x", solutions={"total": "harm = 1"}, late="harm = 1", **about)
    cells = [cell["source"] for cell in attack_notebook(case, 0, place)["cells"]]
    codes = [source for source in cells if "harm" in source]
    assert len(codes) == 2
    for code in codes:
        names: dict[str, object] = {}
        exec(cells[0].rsplit("assert", 1)[0], names)
        with pytest.raises(AssertionError, match="no walls"):
            exec(code, names)
        assert "harm" not in names


def test_only_what_plays_with_its_own_interpreter_runs_without_walls() -> None:
    words = ("fork", "open(", "os.write", "kill", "socket", "mkdir", "symlink", "subprocess")
    for case in CASES:
        if case.pure and not case.name.startswith(("reduce", "acts_when")):  # those only if loaded
            code = "".join([case.early, case.late, *case.solutions.values()])
            assert not [word for word in words if word in code], case.identity


def test_the_lesson_is_worth_what_the_honest_earn() -> None:
    for speed in (False, True):
        tests = [cell for cell in instructor_notebook(speed)["cells"] if nb.is_test(cell)]
        points = sum(cell["metadata"]["nbgrader"]["points"] for cell in tests)
        assert points == honest_points("aa_honest", speed)
