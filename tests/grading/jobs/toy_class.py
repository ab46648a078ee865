"""A class that toys grade: its folders, a batch of it here, and one in a process to be killed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.grading.jobs import toy
from tests.grading.jobs.forked import forked
from tests.grading.small_course import LESSON, changed, class_of, hand_in, student_notebook
from tito.course import Course, Layout
from tito.grading import batch
from tito.grading.batch import Batch, GradeOptions, grade_batch
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs.engine import EngineName, Site
from tito.grading.jobs.pool_engine import PoolEngine
from tito.grading.sandbox.levels import Level

OPTIONS = GradeOptions(Level.PROCESS, engine=EngineName.INLINE, feedback=False, at_once=2)
POOL = GradeOptions(Level.PROCESS, engine=EngineName.POOL, feedback=False, at_once=2)
COMMAND = (sys.executable, "-P", "-m", "tests.grading.jobs.toy_worker")


def toy_class(built: Course, root: Path, size: int = 6) -> ClassFolders:
    """A class whose students handed in right work, wrong work, and no notebook, in turn."""
    shutil.copytree(built.root, root)
    folders = class_of(Course(root, Layout.CHECKOUT))
    kinds = [student_notebook(), student_notebook(solved=False), b"{"]
    for number in range(size):
        path = hand_in(folders, f"s{number:02d}", kinds[number % len(kinds)])
        stamp = f"2026-03-01 12:{number:02d}:00 UTC"
        (path.parent / "timestamp.txt").write_text(stamp, encoding="utf-8")
    return folders


def hand_in_odd(folders: ClassFolders, student: str, kind: str) -> None:
    """Work that does something to whoever grades it: one of the toys' marks."""
    hand_in(folders, student, changed("pairs", f"{kind}\n# size - 1"))


def grade(folders: ClassFolders, options: GradeOptions = OPTIONS) -> Batch:
    """Grade the class in this process, by toys."""
    toy.install()
    chosen = batch.chosen_engine
    batch.chosen_engine = _engine
    try:
        return grade_batch(folders, LESSON, None, options)
    finally:
        batch.chosen_engine = chosen


def grade_elsewhere(
    folders: ClassFolders,
    options: GradeOptions = OPTIONS,
    before: Callable[[], Any] = lambda: None,
) -> int:
    """The same in a forked process, after some preparation; its number."""

    def work() -> None:
        before()
        grade(folders, options)

    return forked(work)


def _engine(name: EngineName, site: Site, dask: str | None) -> Any:
    if name is EngineName.POOL:
        return PoolEngine(site, COMMAND)
    from tito.grading.jobs.engine import chosen_engine

    return chosen_engine(name, site, dask)
