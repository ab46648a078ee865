"""What a worker keeps at hand between submissions: lessons read, given trees laid out, one warm."""

from __future__ import annotations

from pathlib import Path

from tito.course import CourseError
from tito.grading.jobs.leases import Leases
from tito.grading.jobs.payload import Order, unsqueezed
from tito.grading.jobs.trees import tree_folder, unpack_tree
from tito.grading.jobs.warm_ground import WarmGround
from tito.grading.judge.cells import plan_of
from tito.grading.sandbox.zygote import Zygote
from tito.grading.submission import Progress, run_submission
from tito.lessons import notebook as nb


class Workbench:
    """Grades submissions one after the other.

    Args:
        leases: Where lessons and given trees come from.
        folder: Where given trees are laid out, or lie already.
        warm: What this process inherited; it is not this one's to close.
    """

    def __init__(self, leases: Leases, folder: Path, warm: WarmGround | None = None) -> None:
        self._leases = leases
        self._folder = folder
        self._lessons: dict[str, nb.Notebook] = {}
        self._ground = warm
        self._inherited = warm is not None

    def prepare(self, given: str, isolation: str) -> Zygote:
        """The warm process for a given tree; one for another tree is ended first."""
        ground = self._ground
        if ground is None or (ground.given, ground.isolation) != (given, isolation):
            self.clear()
            place = tree_folder(self._folder, given)
            if not place.is_dir():
                unpack_tree(self._blob(given), place)
            self._ground = ground = WarmGround(self._folder, given, isolation)
        return ground.zygote

    def lesson(self, name: str) -> nb.Notebook:
        """The instructor's notebook with a hash."""
        if name not in self._lessons:
            text = self._blob(name).decode("utf-8")
            lesson = nb.parse_notebook(text, "the lesson")
            plan_of(lesson).warm()  # compiled and imported once for all forks
            self._lessons = {name: lesson}
        return self._lessons[name]

    def grade(self, order: Order, submission: bytes | None, progress: Progress) -> bytes:
        """Grade one submission; the graded notebook as bytes."""
        lesson = self.lesson(order.lesson)
        zygote = self.prepare(order.given, order.isolation)
        return nb.to_bytes(run_submission(submission, lesson, order, zygote, progress))

    def clear(self) -> None:
        """End what is warm, or leave it to the process that made it."""
        if self._ground is not None and not self._inherited:
            self._ground.zygote.close()
        self._ground, self._inherited = None, False

    def _blob(self, name: str) -> bytes:
        found = self._leases.blob(name)
        if found is None:
            raise CourseError(
                f"The database of jobs lacks what the job refers to, {name[:12]}.",
                "Run `tito grade` again, which puts it there.",
            )
        return unsqueezed(found)
