"""A worker process that grades by toys, and dies where its turn in a list of faults says."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.grading.jobs import toy
from tito.grading import worker
from tito.grading.jobs import judge_child, leases

FAULTS = "TOY_FAULTS"  # a folder with a file a fault: the next worker takes the first one
OWNERS = {"Leases": leases.Leases, "JudgeChild": judge_child.JudgeChild}


def take_fault(folder: Path) -> None:
    for path in sorted(folder.glob("*.fault")):
        words = path.read_text(encoding="utf-8").split()
        try:
            path.rename(path.with_suffix(".taken"))
        except FileNotFoundError:
            continue  # another worker was faster
        toy.die_at(OWNERS[words[0]], words[1], words[2], int(words[3]))
        return


def work(*about: Any) -> int:
    """A worker's life, which ends where its fault says."""
    if FAULTS in os.environ:
        take_fault(Path(os.environ[FAULTS]))
    return real_work(*about)


if __name__ == "__main__":
    toy.install()
    real_work = worker.work
    worker.work = work
    sys.exit(worker.main(sys.argv[1:]))
