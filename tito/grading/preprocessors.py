"""Our steps in nbgrader's chain, for `nbgrader autograde` by hand and from the formgrader."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float, Unicode

from tito.course import find_course, find_lesson
from tito.grading import record
from tito.grading.confinement import Isolation, choose
from tito.grading.execution import NotebookRun, RunSettings
from tito.grading.rebuild import rebuilt
from tito.lessons import notebook as nb
from tito.lessons.given import given_tree
from tito.lessons.nbgrader_settings import BEGIN_HIDDEN_TESTS
from tito.lessons.roles import visible_text

Converted = tuple[Any, dict[str, Any]]


class RebuildSubmission(NbGraderPreprocessor):  # type: ignore[misc]
    """Puts the student's text into the instructor's notebook; all else of theirs is dropped."""

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Return the notebook to be graded."""
        names = resources["nbgrader"]
        course = (
            self.parent.parent.coursedir
        )  # this step's exporter belongs to nbgrader's converter
        folder = course.format_path(course.source_directory, ".", names["assignment"])
        lesson = nb.read_notebook(Path(folder) / f"{names['notebook']}.ipynb")
        made = rebuilt(_plain(notebook), lesson)
        for note in made.notes:
            self.log.warning("%s", note)
        made.notebook["metadata"]["tito_notes"] = made.notes
        return _node(made.notebook), resources


class ConfinedExecute(NbGraderPreprocessor):  # type: ignore[misc]
    """Runs the notebook in a kernel behind walls."""

    isolation = Unicode("", help="bubblewrap or process; empty: bubblewrap").tag(config=True)
    cell_s = Float(30.0, help="seconds a cell may run").tag(config=True)
    notebook_s = Float(600.0, help="seconds a notebook may run").tag(config=True)

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Fill in the outputs, and the record of how they were made."""
        lesson = find_lesson(resources["nbgrader"]["assignment"])
        level, _ = choose(Isolation(self.isolation) if self.isolation else None)
        plain = _plain(notebook)
        with tempfile.TemporaryDirectory(prefix="tito-given-") as folder:
            given_tree(Path(folder), lesson.number)
            Path(folder).chmod(0o755)
            settings = RunSettings(level, self.cell_s, self.notebook_s)
            verdicts = NotebookRun(plain, Path(folder), settings).run()
        notes = plain["metadata"].pop("tito_notes", [])
        made = record.new_record(level.value, "", notes, list(verdicts.values()), readable=True)
        record.attach(plain, made)
        return _node(plain), resources


class SealRecord(NbGraderPreprocessor):  # type: ignore[misc]
    """Comes after the marks are stored, and says so in the notebook."""

    def preprocess(self, notebook: Any, resources: dict[str, Any]) -> Converted:
        """Mark the record as complete."""
        record.seal(notebook)
        return notebook, resources


class HideTests(NbGraderPreprocessor):  # type: ignore[misc]
    """Takes hidden tests out of the page a student gets; what they said of the work stays."""

    def preprocess_cell(self, cell: Any, resources: dict[str, Any], index: int) -> Converted:
        """Clear a test's hidden lines, and the tracebacks that quote them."""
        if cell.cell_type == "code" and BEGIN_HIDDEN_TESTS in cell.source:
            cell.source = f"{visible_text(cell.source)}\n# (hidden tests ran here)"
            for output in cell.outputs:
                if output["output_type"] == "error":
                    output["traceback"] = [f"{output['ename']}: {output['evalue']}"]
        return cell, resources


def register_first(assignment: str, student: str, notebooks: list[str]) -> None:
    """Tell the gradebook of the lesson's cells before nbgrader looks for them."""
    from tito.grading.class_folders import find_class
    from tito.grading.gradebook import register

    register(find_class(find_course()), find_lesson(assignment))


def _plain(notebook: Any) -> nb.Notebook:
    """nbformat's node as plain dictionaries."""
    text = nbformat.writes(notebook, version=4)  # type: ignore[no-untyped-call]
    return nb.parse_notebook(text, "the submission")


def _node(notebook: nb.Notebook) -> Any:
    """Plain dictionaries as nbformat's node."""
    return nbformat.from_dict(notebook)  # type: ignore[no-untyped-call]
