"""One process that puts jobs into the table, tends the workers, and alone writes marks.

It can be killed anywhere: what is in the gradebook is complete or counts as not graded, what is in
the table is found there by the next coordinator.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tito.course import CourseError, Lesson
from tito.grading.class_folders import ClassFolders
from tito.grading.jobs.engine import Engine
from tito.grading.jobs.payload import pack_order
from tito.grading.jobs.plan import Plan, Planner
from tito.grading.jobs.processes import is_dead
from tito.grading.jobs.roster import not_in_roster
from tito.grading.jobs.table import Ended, JobTable
from tito.grading.jobs.tally import Batch, Tally
from tito.lessons import notebook as nb

_STEP_S = 0.02
_LOOK_S = 0.2


class Coordinator:
    """Sees the jobs of one lesson through.

    Args:
        folders: The class.
        lesson: The lesson.
        table: Its jobs.
        engine: Who runs them.
        batch: Receives what becomes of each.
        tell: Told how far the batch is.
        stopped: Whether somebody asked for the end.
    """

    def __init__(
        self,
        folders: ClassFolders,
        lesson: Lesson,
        table: JobTable,
        engine: Engine,
        batch: Batch,
        tell: Callable[[Tally], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._folders = folders
        self._lesson = lesson
        self._table = table
        self._engine = engine
        self._batch = batch
        self._tell = tell
        self._stopped = stopped
        self._open: dict[str, tuple[str, str | None]] = {}  # key: student, time of handing in
        self._total = 0

    def see_through(self, planner: Planner, plan: Plan, again: bool) -> None:
        """Have everyone graded whom a plan names, and who belongs to the class."""
        from tito.grading import gradebook

        gradebook.register(self._folders, self._lesson)
        strangers = not_in_roster(self._folders, plan.todo)
        for stranger in strangers:
            self._batch.problems[stranger] = (
                f"not in the gradebook's roster; `nbgrader db student add {stranger}` enters them"
            )
        students = [student for student in plan.todo if student not in strangers]
        self._enqueue(planner, students, again)
        self._run()

    def _enqueue(self, planner: Planner, students: list[str], again: bool) -> None:
        """Put a job in for each student; what an earlier coordinator left is taken up."""
        self._release_dead()
        for position, student in enumerate(students):
            if self._stopped():
                return
            order, found = planner.read(student)
            payload = pack_order(order, found.content)
            self._table.enqueue(order.content, student, position, payload, again)
            self._open[order.content] = (student, found.timestamp)
        self._total = len(self._open)
        self._table.keep_only(self._open)

    def _run(self) -> None:
        """Tend the engine until every job has ended, storing each result as it comes."""
        looked = 0.0
        while self._open and not self._stopped():
            for ended in self._table.ended():
                if ended.key in self._open and not self._stopped():
                    self._conclude(ended)
            if not self._open or self._stopped():
                return
            self._engine.tend(_STEP_S)
            if time.monotonic() - looked > _LOOK_S:
                looked = time.monotonic()
                self._release_dead()
                self._table.reap()
                self._show()

    def withdraw(self) -> None:
        """Take back what nobody has begun or ended, so that workers elsewhere stop."""
        with contextlib.suppress(CourseError):  # the database is what failed
            self._table.keep_only({ended.key for ended in self._table.ended()})

    def _release_dead(self) -> None:
        """Free the jobs of this machine's dead workers; others' deaths only their leases tell."""
        for worker in self._table.workers():
            if is_dead(worker):
                self._table.release(worker)

    def _show(self) -> None:
        self._tell(Tally(self._total - len(self._open), self._total, self._table.running()))

    def _conclude(self, ended: Ended) -> None:
        """Store one result; a submission that cannot be stored never stops the batch."""
        student, timestamp = self._open.pop(ended.key)
        if ended.error:
            self._batch.problems[student] = ended.error
        else:
            try:
                self._store(ended.key, student, timestamp)
                self._table.mark_stored(ended.key)
                self._batch.graded.append(student)
            except CourseError as error:
                self._batch.problems[student] = error.message
            except Exception as error:  # what no one foresaw is this submission's problem alone
                self._batch.problems[student] = f"{type(error).__name__}: {error}"
        self._show()

    def _store(self, key: str, student: str, timestamp: str | None) -> None:
        from tito.grading import gradebook

        text = self._table.result(key).decode("utf-8")
        graded = nb.parse_notebook(text, f"the graded notebook of {student}")
        # a page of earlier marks must not pass for one of these
        self._folders.feedback(student, self._lesson).unlink(missing_ok=True)
        gradebook.store(self._folders, self._lesson, student, graded, timestamp)
