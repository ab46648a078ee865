"""Grading a class: what there is to do, who does it, and a clean end at any time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tito.course import CourseError, Lesson, find_course
from tito.grading.class_folders import JOBS_VARIABLE, ClassFolders
from tito.grading.hidden_tests import Shown
from tito.grading.jobs.class_lock import only_coordinator
from tito.grading.jobs.engine import EngineName, Site, chosen_engine
from tito.grading.jobs.pages import make_pages
from tito.grading.jobs.payload import Order, digest
from tito.grading.jobs.plan import Plan, Planner, scope_of
from tito.grading.jobs.tally import Batch, Tally
from tito.grading.jobs.trees import pack_tree, tree_folder, unpack_tree
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import needed_by
from tito.grading.stopping import interruptible
from tito.lessons.given import given_files

__all__ = ["Batch", "GradeOptions", "Tally", "grade_batch"]


@dataclass(frozen=True)
class GradeOptions:
    """How a batch is graded: see `tito grade --help`."""

    isolation: Level
    cell_s: float = 30.0
    notebook_s: float = 600.0
    again: bool = False
    at_once: int = 0
    engine: EngineName = EngineName.POOL
    dask: str | None = None
    jobs_url: str | None = None
    feedback: bool = True
    hidden_tests: Shown | None = None


Tell = Callable[[Tally], None]
TellPages = Callable[[int, int], None]


def grade_batch(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str] | None,
    options: GradeOptions,
    tell: Tell = lambda tally: None,
    tell_pages: TellPages = lambda made, total: None,
) -> Batch:
    """Grade the submissions of a lesson.

    Args:
        folders: The class.
        lesson: The lesson.
        students: Whom to grade; everyone who handed in when None.
        options: How.
        tell: Told how far it is.
        tell_pages: Told the number of feedback pages made, out of all.

    Raises:
        CourseError: The lesson cannot be graded at all, or another batch is under way.
    """
    _check_built(folders, lesson)
    folders.make()
    with only_coordinator(folders) as scratch, interruptible() as stopped:
        materials = _materials(folders, lesson)
        planner = Planner(folders, lesson, _pattern(lesson, options, materials))
        plan = planner.plan(students, options.again)
        batch = Batch(skipped=plan.skipped, problems=plan.problems)
        if plan.todo:
            work = _Work(folders, lesson, options, materials, scratch)
            work.grade(planner, plan, batch, tell, stopped)
        if options.feedback and not stopped():
            wanted, at_once = [*batch.graded, *plan.pageless], options.at_once or os.cpu_count()
            pageless = make_pages(
                folders, lesson, wanted, at_once or 1, tell_pages, stopped, options.hidden_tests
            )
            batch.problems.update(pageless)
        batch.interrupted = stopped()
    return batch


def _check_built(folders: ClassFolders, lesson: Lesson) -> None:
    source = folders.course.source(lesson)
    if not source.is_file():
        raise CourseError(
            f"{folders.course.relative(source)} is missing.",
            f"Run `tito build {lesson.number}` first.",
        )


@dataclass(frozen=True)
class _Materials:
    """What all jobs of a lesson share, and its hashes."""

    notebook: bytes
    tree: bytes
    lesson: str
    given: str


@dataclass(frozen=True)
class _Work:
    """The part of a batch that needs a table and workers."""

    folders: ClassFolders
    lesson: Lesson
    options: GradeOptions
    materials: _Materials
    scratch: Path

    def grade(
        self,
        planner: Planner,
        plan: Plan,
        batch: Batch,
        tell: Tell,
        stopped: Callable[[], bool],
    ) -> None:
        """Grade those who need it."""
        options, materials = self.options, self.materials
        unpack_tree(materials.tree, tree_folder(self.scratch, materials.given))
        url = options.jobs_url or os.environ.get(JOBS_VARIABLE) or self.folders.jobs_url
        preload = needed_by(materials.notebook.decode("utf-8"))
        scope, level = scope_of(self.folders, self.lesson), options.isolation.value
        site = Site(url, scope, self.scratch, materials.given, level, options.at_once, preload)
        name = EngineName.DASK if options.dask else options.engine
        engine = chosen_engine(name, site, options.dask)
        try:
            engine.start()  # the workers warm up while this process loads what it needs
            from tito.grading.jobs.coordinator import Coordinator
            from tito.grading.jobs.database import Database
            from tito.grading.jobs.table import JobTable

            with closing(Database(url)) as database:
                table = JobTable(database, scope)
                table.put_blob(materials.lesson, materials.notebook)
                if name is EngineName.DASK:  # here workers find it laid out
                    table.put_blob(materials.given, materials.tree)
                coordinator = Coordinator(
                    self.folders, self.lesson, table, engine, batch, tell, stopped
                )
                try:
                    coordinator.see_through(planner, plan, options.again)
                    table.sweep([materials.lesson, materials.given])
                finally:
                    coordinator.withdraw()
        finally:
            engine.close()


def _materials(folders: ClassFolders, lesson: Lesson) -> _Materials:
    notebook = folders.course.source(lesson).read_bytes()
    root = find_course(Path(__file__).parent).root
    tree = pack_tree(given_files(root, lesson.number))
    return _Materials(notebook, tree, digest(notebook), digest(tree))


def _pattern(lesson: Lesson, options: GradeOptions, materials: _Materials) -> Order:
    return Order(
        name=f"{lesson.name}.ipynb",
        lesson=materials.lesson,
        given=materials.given,
        isolation=options.isolation.value,
        cell_s=options.cell_s,
        notebook_s=options.notebook_s,
        content="",
    )
