"""Grading a class: plain nbgrader against `tito grade`, side by side, whole processes.

    python -m benchmarks.grading                 # all, about three minutes
    python -m benchmarks.grading --rounds 5      # more rounds of the comparison
    python -m benchmarks.grading --only notebooks

`class`: `nbgrader autograde 14_profiling` with nbgrader's own defaults, and `tito grade 14
--no-feedback`, on the same 20 notebooks of 10 solution and 10 test cells; in turns, start-up
included, each round on a fresh copy, after one unmeasured run of each. nbgrader's gradebook is made
before its time starts, ours within it. `overhead`: what a submission costs beyond its own cells'
time, from classes of 20 and 60. `notebooks`: trivial notebooks of one answer and one test, each in
a sandbox of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tito.course import Course, Layout, find_lesson
from tito.grading.class_folders import ClassFolders, own_gradebook
from tito.grading.record import read_record
from tito.lessons import notebook as nb
from tito.lessons.build import build
from tito.lessons.given import given_tree
from tito.lessons.release import release

RESULTS = Path(__file__).parent / "results" / "grading.json"
LESSON = find_lesson(14)
CELLS = 10
STUDENTS = 20
MORE_STUDENTS = 60
GOAL_RATIO = 15.0
GOAL_OVERHEAD_MS = 50.0
GOAL_NOTEBOOKS_S = 30.0
# Both sides find compiled modules, as on any machine where they have run before.
_UNSET = ("TINYTORCH_", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
_ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(_UNSET)}
_PROGRAMS = Path(sys.executable).parent


def lesson_text(cells: int = CELLS) -> str:
    """A lesson of small tasks, each with one answer and one test."""
    parts = ["# %% [markdown]\n# # A lesson to be graded quickly\n"]
    for number in range(cells):
        parts.append(
            f'# %% nbgrader={{"grade_id": "task{number}"}}\n'
            f"def task{number}(x: int) -> int:\n"
            f'    """Add {number}."""\n'
            f"    ### BEGIN SOLUTION\n    return x + {number}\n    ### END SOLUTION\n"
        )
        parts.append(
            f'# %% nbgrader={{"grade_id": "test_task{number}", "points": {100 // cells}}}\n'
            f"assert task{number}(1) == {number + 1}\n"
        )
    return "\n".join(parts)


def made_course(root: Path, students: int) -> Course:
    """A course with that lesson, released, and a class that handed in right answers."""
    (root / "tinytorch").mkdir(parents=True)
    (root / "tinytorch" / "__init__.py").touch()
    course = Course(root, Layout.CHECKOUT)
    course.text(LESSON).parent.mkdir(parents=True)
    course.text(LESSON).write_text(lesson_text(), encoding="utf-8")
    build(course, LESSON)
    release(course, LESSON)
    notebook = nb.read_notebook(course.release(LESSON))
    answers = {nb.grade_id(cell): cell for cell in nb.read_notebook(course.source(LESSON))["cells"]}
    for cell in notebook["cells"]:
        if nb.is_solution(cell):
            lines = answers[nb.grade_id(cell)]["source"].split("\n")
            cell["source"] = "\n".join(line for line in lines if "###" not in line)
    for number in range(students):
        path = folders_of(course).submitted(f"student{number:03}", LESSON)
        path.parent.mkdir(parents=True)
        path.write_bytes(nb.to_bytes(notebook))
    return course


def folders_of(course: Course) -> ClassFolders:
    return ClassFolders(course, course.root, own_gradebook(course.root))


def run(words: list[str], folder: Path) -> float:
    """Run a command to its end; returns its seconds."""
    start = time.perf_counter()
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env=_ENVIRONMENT, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return seconds


def tito_seconds(made: Course, scratch: Path) -> tuple[float, ClassFolders]:
    """`tito grade` on a fresh copy of a class."""
    root = Path(tempfile.mkdtemp(dir=scratch)) / "course"
    shutil.copytree(made.root, root)
    words = [sys.executable, "-P", "-m", "tito.cli", "grade", "14", "--no-feedback"]
    return run(words, root), folders_of(Course(root, Layout.CHECKOUT))


def nbgrader_seconds(made: Course, scratch: Path) -> float:
    """`nbgrader autograde` with its defaults on the same class."""
    root = Path(tempfile.mkdtemp(dir=scratch)) / "course"
    root.mkdir()
    for name in ("source", "submitted"):
        shutil.copytree(made.root / name, root / name)
    config = 'c = get_config()\nc.CourseDirectory.course_id = "plain"\n'
    (root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    program = str(_PROGRAMS / "nbgrader")
    run([program, "generate_assignment", LESSON.folder], root)
    return run([program, "autograde", LESSON.folder], root)


def compare_class(scratch: Path, rounds: int) -> dict[str, Any]:
    """Both graders on the same class, in turns."""
    made = made_course(scratch / "class", STUDENTS)
    few = made_course(scratch / "warm", 1)
    nbgrader_seconds(few, scratch)
    tito_seconds(few, scratch)
    theirs, ours = [], []
    for number in range(rounds):
        pair = [
            lambda: theirs.append(nbgrader_seconds(made, scratch)),
            lambda: ours.append(graded_rightly(made, scratch)),
        ]
        for side in pair if number % 2 == 0 else reversed(pair):
            side()
        print(f"round {number + 1}: {theirs[-1]:.1f} s, {ours[-1]:.2f} s", file=sys.stderr)
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {
        "students": STUDENTS,
        "cells": [CELLS, CELLS],
        "nbgrader_s": [round(each, 3) for each in theirs],
        "tito_s": [round(each, 3) for each in ours],
        "ratio": round(statistics.median(ratios), 2),
        "goal_ratio": GOAL_RATIO,
    }


def graded_rightly(made: Course, scratch: Path) -> float:
    """`tito grade`'s seconds; everyone must have all points."""
    seconds, folders = tito_seconds(made, scratch)
    records = records_of(folders)
    if len(records) != STUDENTS or any(sum(each.scores.values()) != 100 for each in records):
        raise SystemExit(f"`tito grade` gave wrong marks: {records}")
    return seconds


def records_of(folders: ClassFolders) -> list[Any]:
    found = [read_record(folders.autograded(name, LESSON)) for name in folders.students(LESSON)]
    return [each for each in found if each is not None]


def overhead(scratch: Path, rounds: int) -> dict[str, Any]:
    """What one more submission costs, beyond the time of its cells."""
    classes = [made_course(scratch / f"of{n}", n) for n in (STUDENTS, MORE_STUDENTS)]
    figures: list[float] = []
    own: list[float] = []
    for _ in range(rounds):
        few, _ = tito_seconds(classes[0], scratch)
        many, folders = tito_seconds(classes[1], scratch)
        own += [record.seconds for record in records_of(folders)]
        each_s = (many - few) / (MORE_STUDENTS - STUDENTS)
        # several run at once, so a submission's share of the wall is shorter than its own time
        figures.append(each_s * min(os.cpu_count() or 1, MORE_STUDENTS))
    cells_s = statistics.mean(own)
    return {
        "ms_a_submission_of_one_core": [round(1_000 * each, 1) for each in figures],
        "ms_of_its_own_cells": round(1_000 * cells_s, 1),
        "overhead_ms": round(1_000 * (statistics.median(figures) - cells_s), 1),
        "goal_ms": GOAL_OVERHEAD_MS,
    }


def notebooks(scratch: Path, seconds: float) -> dict[str, Any]:
    """Trivial notebooks a second, one process for each core."""
    words = [sys.executable, "-m", "benchmarks.grading", "--worker", str(seconds)]
    here = Path(__file__).resolve().parents[1]
    cores = os.cpu_count() or 1
    workers = [
        subprocess.Popen(words, cwd=here, stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT)
        for _ in range(cores)
    ]
    said = [worker.communicate()[0] for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("a worker of the notebooks failed; its words are above")
    rates = [float(words) for words in said]
    return {
        "processes": cores,
        "notebooks_s": round(sum(rates), 1),
        "of_one_process": [round(each, 1) for each in rates],
        "goal_notebooks_s": GOAL_NOTEBOOKS_S,
    }


def worker_rate(seconds: float) -> float:
    """Trivial notebooks a second in this process: rebuilt, sandboxed, judged."""
    from tito.grading.judge.notebook_run import NotebookRun, RunSettings
    from tito.grading.rebuild import rebuilt
    from tito.grading.sandbox.levels import choose
    from tito.grading.sandbox.zygote import Zygote
    from tito.lessons.build import lesson_notebook
    from tito.lessons.rules import read_lesson

    with tempfile.TemporaryDirectory(prefix="tito-bench-") as name:
        text = Path(name) / "lesson.py"
        text.write_text(lesson_text(1), encoding="utf-8")
        lesson = lesson_notebook(read_lesson(text, "lesson.py"))
        given = Path(name) / "given"
        given_tree(given, LESSON.number)
        Path(name).chmod(0o755)
        level, _ = choose(None)
        settings, done = RunSettings(level), 0
        with Zygote(given, level) as zygote:
            start = time.perf_counter()
            while time.perf_counter() - start < seconds:
                made = rebuilt(lesson, lesson).notebook
                verdicts = NotebookRun(made, lesson, zygote, settings).run().values()
                if [each.points for each in verdicts if each.points is not None] != [100.0]:
                    raise SystemExit(f"wrong verdicts: {list(verdicts)}")
                done += 1
            return done / (time.perf_counter() - start)


def host() -> dict[str, Any]:
    """What has to be known about the machine."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    return {
        "processor": name,
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
    }


def table(figures: dict[str, Any]) -> str:
    """The figures, a line each, with the goal they are held against."""
    lines = [f"{figures['host']['processor']}, load {figures['host']['load_average'][0]}"]
    if "class" in figures:
        case = figures["class"]
        name = f"class of {case['students']}"
        lines += [
            f"{name}, nbgrader   {statistics.median(case['nbgrader_s']):8.2f} s",
            f"{name}, tito grade {statistics.median(case['tito_s']):8.2f} s",
            f"ratio                  {case['ratio']:8.2f}   (goal >= {case['goal_ratio']:g})",
        ]
    if "overhead" in figures:
        case = figures["overhead"]
        goal = f"(goal <= {case['goal_ms']:g})"
        lines.append(f"overhead a submission  {case['overhead_ms']:8.1f} ms  {goal}")
    if "notebooks" in figures:
        case = figures["notebooks"]
        goal = f"(goal >= {case['goal_notebooks_s']:g})"
        lines.append(f"trivial notebooks      {case['notebooks_s']:8.1f} /s  {goal}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grading")
    parser.add_argument("--rounds", type=int, default=2, help="rounds of the comparison")
    parser.add_argument("--only", choices=["class", "overhead", "notebooks"])
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.worker:
        print(worker_rate(words.worker))
        return 0
    figures: dict[str, Any] = {"clock": "wall seconds of whole processes", "host": host()}
    with tempfile.TemporaryDirectory(prefix="tito-bench-") as name:
        scratch = Path(name)
        if words.only in (None, "class"):
            figures["class"] = compare_class(scratch, max(2, words.rounds))
        if words.only in (None, "overhead"):
            figures["overhead"] = overhead(scratch, words.rounds)
        if words.only in (None, "notebooks"):
            figures["notebooks"] = notebooks(scratch, 5.0)
    print(table(figures))
    if words.only is None:
        partial = RESULTS.with_suffix(".part")
        partial.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        partial.replace(RESULTS)
        print(f"\nRecorded in benchmarks/results/{RESULTS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
