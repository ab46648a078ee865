"""The process that runs one submission: `python -m tito.grading.worker JOB`.

It reads its job from a JSON file, tells on standard output how many cells are done, and leaves the
notebook that ran, with its record. Whatever happens to it happens to no other submission.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from tito.grading import record
from tito.grading.confinement import Isolation
from tito.grading.execution import NotebookRun, RunSettings, finish, label
from tito.grading.rebuild import rebuilt_submission
from tito.grading.verdicts import NOT_RUN, CellVerdict
from tito.lessons import notebook as nb
from tito.lessons.atomic import write_atomically

_OWN_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True)
class Job:
    """One submission to run: files in and out, how, and the hash its marks will carry."""

    submission: str
    source: str
    given: str
    ran: str
    isolation: str
    cell_s: float
    notebook_s: float
    content: str

    def write(self, path: Path) -> None:
        """Store the job for the worker."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def run_job(job: Job) -> None:
    """Rebuild the submission, run it, and write the notebook with its record."""
    lesson = nb.read_notebook(Path(job.source))
    made = rebuilt_submission(Path(job.submission), lesson)
    settings = RunSettings(Isolation(job.isolation), job.cell_s, job.notebook_s)
    run = NotebookRun(made.notebook, Path(job.given), settings, _tell)
    verdicts = run.run() if made.readable else _nothing_ran(made.notebook)
    kept = record.new_record(
        job.isolation, job.content, made.notes, list(verdicts.values()), made.readable
    )
    record.attach(made.notebook, kept)
    write_atomically(Path(job.ran), nb.to_bytes(made.notebook))


def _nothing_ran(notebook: nb.Notebook) -> dict[int, CellVerdict]:
    """Give every test its zero when a submission cannot be read."""
    for index, cell in enumerate(notebook["cells"]):
        if nb.is_test(cell):
            why = "the submission could not be read"
            finish(cell, CellVerdict(label(cell, index), NOT_RUN, why))
    return {}


def _tell(done: int, total: int) -> None:
    print(json.dumps({"done": done, "total": total}), flush=True)


def _on_term(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)  # the kernel's `with` block ends it and removes its folder


def main(arguments: list[str]) -> None:
    """Run the job named on the command line."""
    signal.signal(signal.SIGTERM, _on_term)
    if sys.platform == "linux":  # messages of a hostile kernel must not exhaust the machine
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_OWN_MEMORY_BYTES, hard))
    run_job(Job(**json.loads(Path(arguments[0]).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main(sys.argv[1:])
