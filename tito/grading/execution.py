"""Running a whole notebook in confined kernels: a verdict for each code cell.

A cell that ends its process, or will not be interrupted, costs only itself: the others run again
in a new kernel, and tests that have a verdict are not repeated. `tito check` keeps the same rule.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tito.grading.confinement import Isolation, Limits
from tito.grading.kernel import CellDeadlineError, ConfinedKernel, KernelEndedError
from tito.grading.outputs import CELL_BYTES, NOTEBOOK_BYTES, BoundedOutputs, error_output
from tito.grading.verdicts import DIED, ENDLESS, FAILED, NOT_RUN, PASSED, CellVerdict
from tito.lessons import notebook as nb

_KERNELS = 4
_STOPPED = {
    ENDLESS: ("CellTimeout", "this cell was {}"),
    DIED: ("KernelDied", "this cell {}"),
    NOT_RUN: ("NotRun", "this cell did not run: {}"),
}


@dataclass(frozen=True)
class RunSettings:
    """How a submission is run.

    `cell_s` and `notebook_s` are deadlines in seconds; `printed` bounds the characters that a cell
    may print.
    """

    isolation: Isolation
    cell_s: float = 30.0
    notebook_s: float = 600.0
    printed: int = 100_000
    limits: Limits = field(default_factory=Limits)


class NotebookRun:
    """One notebook on its way through as many kernels as it needs.

    Args:
        notebook: A notebook in format 4; its cells receive outputs.
        given: The folder that it imports from.
        settings: Isolation and deadlines.
        progress: Told the number of cells done, out of all.
    """

    def __init__(
        self,
        notebook: nb.Notebook,
        given: Path,
        settings: RunSettings,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.verdicts: dict[int, CellVerdict] = {}
        self._cells: list[nb.Cell] = notebook["cells"]
        self._given = given
        self._settings = settings
        self._progress = progress
        self._room = NOTEBOOK_BYTES

    def run(self) -> dict[int, CellVerdict]:
        """Run all code cells; returns a verdict for each, by its index."""
        code = [i for i, cell in enumerate(self._cells) if cell["cell_type"] == "code"]
        limit = time.monotonic() + self._settings.notebook_s
        for attempt in range(_KERNELS):
            if self._one_kernel([i for i in code if self._wanted(i, attempt)], limit):
                break
        late = time.monotonic() >= limit
        for index in code:
            if index not in self.verdicts:
                self._not_run(index, late)
            finish(self._cells[index], self.verdicts[index])
        return self.verdicts

    def _wanted(self, index: int, attempt: int) -> bool:
        """Whether a cell runs in the next kernel: not if it ended one, or is a judged test."""
        cell, verdict = self._cells[index], self.verdicts.get(index)
        if verdict is None:
            return True
        if verdict.status in (DIED, ENDLESS) or nb.is_test(cell):
            return False
        return not nb.has_tag(cell, "measure")

    def _one_kernel(self, indices: list[int], limit: float) -> bool:
        """Run cells in one kernel; whether it came to their end."""
        settings = self._settings
        with ConfinedKernel(
            self._given, settings.isolation, settings.limits, settings.printed
        ) as kernel:
            for index in indices:
                left = limit - time.monotonic()
                if left <= 0:
                    return True
                self._progress(len(self.verdicts), len(self._cells))
                alive = self._run_cell(kernel, index, min(settings.cell_s, left))
                if not alive:
                    return False
        return True

    def _run_cell(self, kernel: ConfinedKernel, index: int, deadline_s: float) -> bool:
        """Run one cell and store its outputs and verdict; whether the kernel lives on."""
        cell = self._cells[index]
        collected = BoundedOutputs(min(CELL_BYTES, self._room))
        started = time.monotonic()
        status, message, alive = FAILED, "", True
        try:
            for sent in kernel.run(cell["source"], deadline_s):
                collected.add(sent["msg_type"], sent["content"])
                if sent["msg_type"] == "execute_reply":
                    status, message = _judged(sent["content"], collected)
                    count = sent["content"].get("execution_count")
                    cell["execution_count"] = count if type(count) is int else None
        except CellDeadlineError as late:
            alive = late.interrupted
            status, message = ENDLESS, f"stopped after {deadline_s:.0f} s"
        except KernelEndedError:
            alive = False
            status, message = DIED, "ended the kernel's process"
        cell["outputs"] = collected.finished()
        self._room = max(0, self._room - collected.size)
        seconds = time.monotonic() - started
        self.verdicts[index] = CellVerdict(label(cell, index), status, message, seconds)
        return alive

    def _not_run(self, index: int, late: bool) -> None:
        why = (
            f"the notebook's time limit of {self._settings.notebook_s:.0f} s was over"
            if late
            else f"{_KERNELS} cells before it ended their kernels"
        )
        cell = self._cells[index]
        self.verdicts[index] = CellVerdict(label(cell, index), NOT_RUN, why)


def label(cell: nb.Cell, index: int) -> str:
    """How messages name a cell: its grade_id, or its number from one."""
    return nb.grade_id(cell) or f"number {index + 1}"


def finish(cell: nb.Cell, verdict: CellVerdict) -> None:
    """Make a cell's outputs say what its verdict is, in the form by which nbgrader gives points.

    nbgrader gives a test no points for an error or any text on stderr, some number of points for a
    value, and all of them otherwise, also when it never ran.
    """
    outputs: list[dict[str, Any]] = cell["outputs"]
    if verdict.status in (ENDLESS, DIED, NOT_RUN):
        name, sentence = _STOPPED[verdict.status]
        outputs = [output for output in outputs if output["output_type"] != "error"]
        outputs.append(error_output(name, sentence.format(verdict.message)))
    if nb.is_test(cell):
        outputs = [output for output in outputs if output["output_type"] != "execute_result"]
        for output in outputs:  # a warning is no wrong answer
            if output.get("name") == "stderr":
                output["name"] = "stdout"
    cell["outputs"] = outputs


def _judged(content: dict[str, Any], collected: BoundedOutputs) -> tuple[str, str]:
    """A cell's status by its reply; a failure without an error output receives one."""
    if content.get("status") == "ok":
        return PASSED, ""
    if not any(output["output_type"] == "error" for output in collected.outputs):
        collected.add("error", {"ename": "Error", "evalue": "the cell failed", **content})
    name, value = str(content.get("ename")), str(content.get("evalue"))
    return FAILED, f"{name}: {value}"[:300]
