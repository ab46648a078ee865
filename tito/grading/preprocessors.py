"""Our steps in nbgrader's chain, for `nbgrader autograde` by hand and from the formgrader."""

from __future__ import annotations

from typing import Any

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Enum, Float, List, Unicode

from tito.course import find_course, find_lesson
from tito.grading import record
from tito.grading.class_folders import find_class
from tito.grading.gradebook import forget_automatic_marks, register
from tito.grading.hidden_tests import Shown, hide_tests
from tito.grading.nbgrader_autograde import UNREADABLE
from tito.grading.nbgrader_ground import ground_of, not_run
from tito.grading.rebuild import rebuilt
from tito.grading.safe_outputs import make_safe
from tito.lessons import notebook as nb

_NOTES = "tito_notes"
Converted = tuple[Any, dict[str, Any]]


class RebuildSubmission(NbGraderPreprocessor):  # type: ignore[misc]
    """Puts the student's text into the instructor's notebook; all else of theirs is dropped.

    The marks of an earlier submission go first: whatever stops nbgrader from here on, they are not
    this submission's.
    """

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Return the notebook to be graded."""
        names = resources["nbgrader"]
        folders, lesson = find_class(find_course()), find_lesson(names["assignment"])
        forget_automatic_marks(folders, lesson, names["student"])
        source = nb.read_notebook(folders.course.source(lesson))
        why = notebook["metadata"].get(UNREADABLE)
        made = rebuilt(_plain(notebook), source)
        notes = made.notes if why is None else [why]
        for note in notes:
            self.log.warning("%s", note)
        made.notebook["metadata"][_NOTES] = notes
        if why is not None:
            made.notebook["metadata"][UNREADABLE] = why
        return _node(made.notebook), resources


class ConfinedExecute(NbGraderPreprocessor):  # type: ignore[misc]
    """Runs the notebook behind walls; what the submissions share is made once a command."""

    isolation = Unicode("", help="the level of isolation; empty: the best that works").tag(
        config=True
    )
    cell_s = Float(30.0, help="seconds a cell may run").tag(config=True)
    notebook_s = Float(600.0, help="seconds a notebook may run").tag(config=True)

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Fill in the outputs, and the record of how they were made."""
        lesson = find_lesson(resources["nbgrader"]["assignment"])
        source = nb.read_notebook(find_class(find_course()).course.source(lesson))
        ground = ground_of(self.parent.parent, lesson, source, self.isolation)
        plain = _plain(notebook)
        notes = plain["metadata"].pop(_NOTES, [])
        readable = plain["metadata"].pop(UNREADABLE, None) is None
        run = ground.run if readable else not_run
        verdicts = run(plain, self.cell_s, self.notebook_s)
        worth = record.test_points(plain)
        made = record.new_record(ground.level, "", notes, verdicts, readable, worth)
        record.attach(plain, made)
        return _node(plain), resources


class SealRecord(NbGraderPreprocessor):  # type: ignore[misc]
    """Comes after the marks are stored, and says so in the notebook."""

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Mark the record as complete."""
        record.seal(notebook)
        return notebook, resources


class HideTests(NbGraderPreprocessor):  # type: ignore[misc]
    """Takes out of the page a student gets what the instructor hides of hidden tests."""

    display_data_priority: Any = List().tag(config=True)  # exporters set it for all their steps
    shown = Enum(
        [each.value for each in Shown],
        default_value=Shown.MESSAGES.value,
        help="What pages show of hidden tests: 'code', 'messages' or 'nothing' but the points.",
    ).tag(config=True)

    def preprocess_cell(self, cell: Any, resources: dict[str, Any], index: int) -> Converted:
        """Change one cell."""
        hide_tests(cell, Shown(self.shown))
        return cell, resources


class CleanOutputs(NbGraderPreprocessor):  # type: ignore[misc]
    """Brings outputs into a harmless form, for pages and for the formgrader."""

    display_data_priority: Any = List().tag(config=True)

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Change all cells' outputs."""
        plain = _plain(notebook)
        make_safe(plain)
        return _node(plain), resources


def register_first(assignment: str, student: str, notebooks: list[str]) -> None:
    """Tell the gradebook of the lesson's cells before nbgrader looks for them."""
    register(find_class(find_course()), find_lesson(assignment))


def _plain(notebook: Any) -> nb.Notebook:
    """nbformat's node as plain dictionaries."""
    text = nbformat.writes(notebook, version=4)  # type: ignore[no-untyped-call]
    return nb.parse_notebook(text, "the submission")


def _node(notebook: nb.Notebook) -> Any:
    """Plain dictionaries as nbformat's node."""
    return nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
