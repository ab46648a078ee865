"""From a case to the notebook that is handed in, and the honest ones beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.grading.attacks.case import Case
from tests.grading.attacks.place import Place
from tito.lessons import notebook as nb
from tito.lessons.build import lesson_notebook
from tito.lessons.roles import visible_text
from tito.lessons.rules import read_lesson

FOLDER = Path(__file__).parent
POINTS = {"total": 20, "scaled": 25, "tally": 20, "timed": 15, "pruned": 10}
SPEED_POINTS = 5  # of the lesson with a speed test, which is longer and needs longer deadlines

# Each attack begins with these lines; `reached` tells the harness that a forbidden aim was met.
PRELUDE = '''\
import ctypes, os, sys, time
TOKEN = "@TOKEN@"
REPORTS = []
def reached(what):
    REPORTS.append(f"reached {TOKEN} {what}")
    print(REPORTS[-1])
def marked():
    """Name this process or thread, so that it is found when it outlives its submission."""
    ctypes.CDLL(None).prctl(15, TOKEN.encode(), 0, 0, 0)
def behind_walls():
    """Whether other processes of this machine are out of reach."""
    try:
        return os.readlink("/proc/self/ns/pid") != "@PIDS@"
    except FileNotFoundError:
        return True
'''
# Stands in front of each cell that could do harm outside its own interpreter.
GUARD = "assert behind_walls(), f'no walls: {TOKEN}'\n"

WRONG = {
    "total": "def total(values):\n    return 0.0",
    "scaled": "def scaled(values):\n    return values * 0",
    "tally": (
        "class Tally:\n    def add(self, word):\n        return None\n"
        "    def count(self, word):\n        return -1"
    ),
    "timed": "def timed(work, clock):\n    return -1",
    "pruned": "def pruned(layer, threshold):\n    return -1",
    "spread": "def spread(values):\n    return slow_spread(values)",
}
OTHER = {  # right, written otherwise
    "total": (
        "def total(values):\n    if len(values) == 0:\n        raise ValueError('empty')\n"
        "    print('adding', len(values), 'values')\n    return float(np.dot(values, values))"
    ),
    "scaled": "def scaled(values):\n    return np.multiply(values, 3.0)",
}
# What the next submission would see of the one before it.
WITNESS = """\
import glob, os, sys
seen = []
for folder in ("/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~"), os.getcwd(), *sys.path):
    for root, folders, files in os.walk(folder):
        seen += [name for name in folders + files if "@RUN@" in name]
        del folders[40:]
        if len(root) - len(folder) > 60:
            folders.clear()
for name in ("/proc/net/unix", "/proc/sysvipc/shm", "/proc/self/environ"):
    try:
        seen += [line for line in open(name, errors="replace") if "@RUN@" in line]
    except OSError:
        continue
print("witness saw", len(seen), seen[:5])
"""
HONEST = {
    "aa_honest": ({}, sum(POINTS.values())),
    "m_honest": (OTHER, sum(POINTS.values())),
    "t_partial": ({"tally": WRONG["tally"]}, sum(POINTS.values()) - POINTS["tally"]),
    "zz_honest": ({}, sum(POINTS.values())),
}


def honest_points(student: str, speed: bool) -> float:
    """What an honest student earns."""
    return HONEST[student][1] + (SPEED_POINTS if speed else 0)


def lesson_text(speed: bool) -> str:
    """The lesson's text, with or without the speed test."""
    text = (FOLDER / "lesson.percent").read_text(encoding="utf-8")
    more = (FOLDER / "speed.percent").read_text(encoding="utf-8") if speed else ""
    question = 100 - sum(POINTS.values()) - (SPEED_POINTS if speed else 0)
    return text.replace("@SPEED@\n", more).replace("@QUESTION@", str(question))


def instructor_notebook(speed: bool) -> nb.Notebook:
    """The lesson with all answers and tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lesson.py"
        path.write_text(lesson_text(speed), encoding="utf-8")
        return lesson_notebook(read_lesson(path, "the lesson to attack"))


def student_notebook(
    base: str, solutions: dict[str, str], answer: str | None, speed: bool = False
) -> nb.Notebook:
    """A student's notebook with some solutions written by hand."""
    notebook = instructor_notebook(speed)
    for cell in notebook["cells"]:
        name = nb.grade_id(cell)
        if cell["cell_type"] == "markdown" and nb.is_solution(cell):
            cell["source"] = answer or "They show nothing."
        elif nb.is_test(cell):
            cell["source"] = visible_text(cell["source"])
        elif nb.is_solution(cell) and name is not None:
            cell["source"] = solutions.get(name, _solution(base, name, cell["source"]))
    return notebook


def _solution(base: str, name: str, source: str) -> str:
    if base == "wrong":
        return WRONG[name]
    if base == "right":
        return "\n".join(line for line in source.split("\n") if "### " not in line)
    return visible_text(source)


def honest_notebook(student: str, place: Place, speed: bool) -> nb.Notebook:
    """The notebook of one of the honest; the last of them looks for what others left."""
    solutions, _ = HONEST[student]
    notebook = student_notebook("right", solutions, "Known answers prove nothing.", speed)
    if student == "zz_honest":
        source = WITNESS.replace("@RUN@", place.run)
        notebook["cells"].append(nb.new_cell("code", source, "witness", {}))
    return notebook


def attack_notebook(case: Case, number: int, place: Place) -> nb.Notebook:
    """The notebook of a case."""
    guard = GUARD if case.deadly or (place.apart and not case.pure) else ""
    solutions = {name: guard + source for name, source in case.solutions.items()}
    notebook = student_notebook(case.base, solutions, case.answer, case.speed)
    early = PRELUDE + guard + case.early
    cells = notebook["cells"]
    cells.insert(0, nb.new_cell("code", early, "early", {}))
    if case.late:
        cells.append(nb.new_cell("code", guard + case.late, "late", {}))
    cells.append(nb.new_cell("code", "print(*REPORTS, sep='\\n')", "reports", {}))
    for cell in cells:
        cell["source"] = place.filled(cell["source"], number)
    if case.edit is not None:
        case.edit(notebook)
    return notebook
