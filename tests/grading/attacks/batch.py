"""One class of honest and hostile students, graded in one batch, and what the batch came to."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.grading.attacks import adapter, traces
from tests.grading.attacks.case import Case
from tests.grading.attacks.doors import Doors, open_doors
from tests.grading.attacks.page import acting
from tests.grading.attacks.place import Place
from tests.grading.attacks.submissions import (
    HONEST,
    attack_notebook,
    honest_notebook,
    honest_points,
    lesson_text,
)
from tests.grading.small_course import LESSON, class_of, hand_in, small_course
from tito.course import Course
from tito.grading.class_folders import ClassFolders
from tito.grading.sandbox.levels import Level
from tito.lessons.build import build
from tito.lessons.release import release

CHECKOUT = Path(__file__).resolve().parents[3]
EARLIER = "b_earlier"  # graded before the attackers come; nothing of hers may change
_SECRET_NAME = "only_the_grader_sees_this"


@dataclass
class Graded:
    """A batch after its end: the outcomes, and every harm that was found."""

    place: Place
    numbers: dict[str, int]
    outcomes: dict[str, adapter.Outcome]
    seconds: float
    harm: dict[str, list[str]] = field(default_factory=dict)

    def problems(self, case: Case) -> list[str]:
        """What a case got that it should not have, or lost that it should have kept."""
        outcome = self.outcomes[case.identity]
        token = self.place.token(self.numbers[case.identity])
        said = "\n".join(outcome.notes)
        if outcome.points is None:
            return [f"it has no marks: {said}"]
        found = [f"reached: {what}" for what in _reached(outcome.outputs, token)]
        if outcome.points > case.most:
            found.append(f"gained {outcome.points:g} points, of {case.most:g} allowed")
        if outcome.points < case.least:
            found.append(f"kept {outcome.points:g} points, expected at least {case.least:g}")
        found += [f"the notes lack {words!r}: {said!r}" for words in case.says if words not in said]
        if f"no walls: {token}" in outcome.outputs:
            found.append("it ran without walls")
        if not outcome.page:
            found.append("there is no feedback page")
        if "kestrel" in outcome.page:
            found.append("the feedback page shows a hidden test")
        found += [f"the page acts: {what}" for what in acting(outcome.page, token)]
        return found


def _reached(outputs: str, token: str) -> list[str]:
    parts = outputs.split(f"reached {token} ")[1:]
    return sorted({part.split("\\n")[0].split('"')[0][:120] for part in parts})


def grade_cases(cases: list[Case], speed: bool = False) -> Graded:
    """Grade cases beside honest work; see `Graded`.

    Args:
        cases: The cases.
        speed: Whether the lesson has a speed test, which all of the cases attack.
    """
    with _folder() as folder, _grader_home(folder) as home:
        run = "atk" + secrets.token_hex(2)
        door, apart = f"door-{secrets.token_hex(4)}", adapter.level() is Level.NAMESPACES
        with open_doors(folder, door) as doors:
            course = folder / "course"
            place = Place(course, CHECKOUT, home, run, doors.port, doors.socket, door, apart)
            folders = _class(place.course, speed)
            hand_in(folders, EARLIER, honest_notebook("aa_honest", place, speed))
            adapter.grade(folders, [EARLIER], speed=speed)
            numbers = _hand_in_all(folders, cases, place, speed)
            return _graded(folders, place, numbers, doors, speed)


def _graded(
    folders: ClassFolders, place: Place, numbers: dict[str, int], doors: Doors, speed: bool
) -> Graded:
    _open_to_all(place.course.parent)
    kept = ("source", "release", "modules", "tinytorch", "submitted", "nbgrader_config.py")
    before = {name: traces.digests(place.course / name) for name in kept}
    earlier = _files_of(place.course, EARLIER)
    home = traces.digests(place.home)
    traces.adopt_orphans(True)
    processes = traces.children()
    started = time.monotonic()
    try:
        outcomes = adapter.grade(folders, speed=speed)
        seconds = time.monotonic() - started
        running = traces.left_running(processes, place.run)
    finally:
        traces.adopt_orphans(False)
    after = {name: traces.digests(place.course / name) for name in kept}
    graded = Graded(place, numbers, outcomes, seconds)
    graded.harm = {
        "marks of others": _honest_marks(outcomes, speed),
        "files of the course": [
            f"{name}/{path}"
            for name in kept
            for path in traces.differences(before[name], after[name])
        ],
        "files of an earlier student": traces.differences(
            earlier, _files_of(place.course, EARLIER)
        ),
        "home": traces.differences(home, traces.digests(place.home)),
        "files elsewhere": _files_elsewhere(place),
        "odd files among the results": _odd_results(place.course),
        "left running": running,
        "doors entered": doors.entered,
        "what the next one saw": _witnessed(outcomes["zz_honest"]),
    }
    return graded


def _class(root: Path, speed: bool) -> ClassFolders:
    course: Course = small_course(root, lesson_text(speed))
    for name in ("mutants.toml", "variants.toml"):
        (course.text(LESSON).parent / name).unlink()  # they are another lesson's
    build(course, LESSON)
    release(course, LESSON)
    (root / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    return class_of(course)


def _hand_in_all(
    folders: ClassFolders, cases: list[Case], place: Place, speed: bool
) -> dict[str, int]:
    """Put everything into submitted/; returns the number of each case."""
    for student in HONEST:
        hand_in(folders, student, honest_notebook(student, place, speed))
    numbers = {case.identity: number for number, case in enumerate(cases)}
    for case in cases:
        notebook = attack_notebook(case, numbers[case.identity], place)
        if case.hand_in is None:
            hand_in(folders, case.identity, notebook)
        else:
            path = folders.submitted(case.identity, LESSON)
            case.hand_in(path, notebook, place)
    return numbers


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that every user may enter: walls must hold, not file modes."""
    folder = Path(tempfile.mkdtemp(prefix="attacked-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _grader_home(folder: Path) -> Iterator[Path]:
    """A home and an environment variable with something to steal."""
    home = folder / "home"
    home.mkdir()
    (home / _SECRET_NAME).write_text("a grader's own", encoding="utf-8")
    kept = {name: os.environ.get(name) for name in ("HOME", "GRADER_SECRET")}
    os.environ |= {"HOME": str(home), "GRADER_SECRET": _SECRET_NAME}
    try:
        yield home
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _open_to_all(folder: Path) -> None:
    for root, below, files in os.walk(folder):
        for name in (*below, *files):
            path = Path(root) / name
            if not path.is_symlink():
                path.chmod(0o777 if path.is_dir() else 0o666)


def _files_of(course: Path, student: str) -> dict[str, str]:
    return {
        f"{kind}/{name}": digest
        for kind in ("autograded", "feedback")
        for name, digest in traces.digests(course / kind / student).items()
    }


def _honest_marks(outcomes: dict[str, adapter.Outcome], speed: bool) -> list[str]:
    wanted = {student: honest_points(student, speed) for student in HONEST}
    wanted[EARLIER] = wanted["aa_honest"]
    return [
        f"{student} has {outcomes[student].points}, not {points}: {outcomes[student].notes}"
        for student, points in wanted.items()
        if outcomes[student].points != points or outcomes[student].notes
    ]


def _files_elsewhere(place: Place) -> list[str]:
    whole = [Path("/tmp"), Path("/dev/shm"), Path("/var/tmp")]
    flat = [Path("/"), Path.cwd(), Path("/etc"), Path("/usr/lib"), Path("/run")]
    found = traces.marked_files(whole, place.run)
    found += traces.marked_files([CHECKOUT / "tito", CHECKOUT / "tinytorch"], place.run)
    found += traces.marked_files(flat, place.run, deep=False)
    return found


def _odd_results(course: Path) -> list[str]:
    """What lies in autograded/ and feedback/ and is no notebook, page or time stamp."""
    usual = {f"{LESSON.name}.ipynb", f"{LESSON.name}.html", "timestamp.txt"}
    found: list[str] = []
    for kind in ("autograded", "feedback", "gradebook"):
        for name, digest in traces.digests(course / kind).items():
            named = Path(name).name in usual or kind == "gradebook"
            if not named or digest.startswith(("link", "neither")):
                found.append(f"{kind}/{name}")
    return found


def _witnessed(outcome: adapter.Outcome) -> list[str]:
    if "witness saw 0 " in outcome.outputs:
        return []
    at = outcome.outputs.find("witness saw")
    return [outcome.outputs[at : at + 400] if at >= 0 else "the witness said nothing"]
