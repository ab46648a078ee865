"""Runs a lesson's cells as a student's kernel does: all in one process, tests included.

Started as a program, it reads jobs from standard input, one JSON object a line with a `name` and
`cells`, pairs of a label and a text, and writes the labels of the cells that failed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

from tito.grading.mutants import Change
from tito.lessons import notebook as nb
from tito.lessons.roles import visible_text

ROOT = Path(__file__).resolve().parents[3]
Job = dict[str, object]


def changed_source(cell: nb.Cell, change: Change | None) -> str:
    """A cell's text with the change applied, if the cell is the one it is for."""
    source = str(cell["source"])
    return source if change is None or nb.grade_id(cell) != change.cell else change.apply(source)


def blank_source(cell: nb.Cell) -> str:
    """A cell's text as it is given out."""
    return visible_text(cell["source"]) if nb.is_solution(cell) else str(cell["source"])


def job(name: str, lesson: nb.Notebook, sources: Iterable[str]) -> Job:
    """A job: the lesson's code cells that do not only measure, with these texts."""
    cells = [
        (nb.grade_id(cell) or f"cell {number}", source)
        for number, (cell, source) in enumerate(zip(lesson["cells"], sources, strict=True))
        if cell["cell_type"] == "code" and not nb.has_tag(cell, "measure")
    ]
    return {"name": name, "cells": cells}


def failures(jobs: list[Job]) -> dict[str, dict[str, str]]:
    """Run jobs; the messages of the cells that failed, by job and by cell."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.grading.lessons.kernel_runs"],
        input="".join(json.dumps(each) + "\n" for each in jobs),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    return dict(json.loads(line) for line in ran.stdout.splitlines())


def _failed(cells: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    for label, source in cells:
        try:
            exec(compile(source, f"<{label}>", "exec"), vars(main))
        except Exception as error:
            yield label, f"{type(error).__name__}: {error}"


def _run(line: str) -> None:
    """Run one job in a fork, which shares the modules that are already imported."""
    if os.fork() == 0:
        order = json.loads(line)
        answer = os.dup(1)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        found = dict(_failed(order["cells"]))
        os.write(answer, (json.dumps([order["name"], found]) + "\n").encode())
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    import tinytorch.models
    import tinytorch.optim  # noqa: F401

    for each in sys.stdin:
        _run(each)
