"""Running a contract's notebooks by the judge, a few at a time, each in a process of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from tito.grading.jobs.judge_child import in_a_child
from tito.grading.judge.cells import plan_of
from tito.grading.judge.notebook_run import NotebookRun, RunSettings
from tito.grading.sandbox.levels import choose
from tito.grading.sandbox.zygote import Zygote
from tito.grading.verdicts import FAILED, CellVerdict
from tito.lessons import notebook as nb
from tito.lessons.given import given_tree

_JOB_S = 120.0
_MEASURING_S = 300.0  # of a notebook whose measuring cells run too, and may compile
_MEASURING_CELL_S = 90.0
_OVERTIME_S = 60.0  # for sandboxes that start and end


@dataclass(frozen=True)
class NotebookToRun:
    """A rebuilt notebook, whether its measuring cells run too, and whether speed is measured."""

    name: str
    notebook: nb.Notebook
    measure_cells: bool
    timed: bool = True


class _Warm:
    """What one worker process keeps between notebooks."""

    zygote: Zygote
    lesson: nb.Notebook
    settings: RunSettings


def run_notebooks(
    wanted: list[NotebookToRun], lesson: nb.Notebook, before: int, cell_s: float
) -> Iterator[tuple[str, list[CellVerdict]]]:
    """Run notebooks; yields each one's name and its cells' verdicts, in the order of their ends.

    Args:
        wanted: The notebooks.
        lesson: The instructor's.
        before: The lesson under test, whose module the cells cannot import.
        cell_s: How long a cell may run, in seconds.

    Raises:
        CourseError: A process that runs them failed.
    """
    at_once = min(len(wanted), os.cpu_count() or 1)
    with tempfile.TemporaryDirectory(prefix="tito-contract-") as name:
        given = Path(name) / "given"
        given_tree(given, before)
        Path(name).chmod(0o755)
        spawn = multiprocessing.get_context("spawn")  # a fork would take this terminal along
        with ProcessPoolExecutor(at_once, spawn, _warm_up, (given, lesson, cell_s)) as pool:
            running = [pool.submit(_run, each) for each in wanted]
            try:
                for future in as_completed(running):
                    yield future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _warm_up(given: Path, lesson: nb.Notebook, cell_s: float) -> None:
    level, _ = choose(None, own_work=True)
    _Warm.zygote = Zygote(given, level).__enter__()  # ends with this process
    _Warm.lesson = lesson
    plan_of(lesson).warm()
    _Warm.settings = RunSettings(isolation=level, cell_s=cell_s)


def _run(wanted: NotebookToRun) -> tuple[str, list[CellVerdict]]:
    """Run one notebook in a fork, so that nothing of its judge stays for the next one."""

    def judge(tell: Callable[[int, int], None]) -> bytes:
        return json.dumps([asdict(each) for each in _verdicts(wanted)]).encode()

    most_s = _MEASURING_S if wanted.measure_cells else _JOB_S
    found = json.loads(in_a_child(judge, most_s + _OVERTIME_S))
    return wanted.name, [CellVerdict(**each) for each in found]


def _verdicts(wanted: NotebookToRun) -> list[CellVerdict]:
    settings = RunSettings(
        isolation=_Warm.settings.isolation,
        cell_s=_MEASURING_CELL_S if wanted.measure_cells else _Warm.settings.cell_s,
        notebook_s=_MEASURING_S if wanted.measure_cells else _JOB_S,
        measure_cells=wanted.measure_cells,
        timed=wanted.timed,
    )
    run = NotebookRun(wanted.notebook, _Warm.lesson, _Warm.zygote, settings)
    verdicts = list(run.run().values())
    return verdicts + [CellVerdict("in the judge", FAILED, problem) for problem in run.problems]
