"""Runs cells in a sandbox as somebody else: `python as_somebody.py USER LEVEL GIVEN < CELLS`.

Started by root, it becomes a user that owns nothing when USER is `nobody`. Folders on the way to
the interpreter that are closed to others are opened in this process' own view of the disk.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.grading.sandbox.cells import AGENT, run_cells
from tito.grading.inside import linux
from tito.grading.sandbox import cgroups
from tito.grading.sandbox.census import members
from tito.grading.sandbox.levels import Level, why_not
from tito.grading.sandbox.limits import Limits
from tito.grading.sandbox.zygote import Zygote

NOBODY = 65_534
LIMITS = Limits(memory_bytes=1 << 30, scratch_bytes=8 << 20, processes=30)


def open_the_way(place: str) -> None:
    """Cover each closed folder above a place by one that shows nothing else."""
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    for folder in reversed(Path(place).resolve().parents):
        if folder.stat().st_mode & 0o001:
            continue
        source = os.open(place, os.O_PATH)
        linux.mount("way", str(folder), "tmpfs", 0, "mode=755")
        os.makedirs(place)
        linux.mount(f"/proc/self/fd/{source}", place, None, linux.MS_BIND | linux.MS_REC)
        os.close(source)


def become(user: str) -> None:
    if os.geteuid() != 0:
        return
    open_the_way(sys.base_prefix)
    if user == "nobody":
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        linux.prctl(linux.PR_SET_DUMPABLE, 1)


def left_behind() -> list[str]:
    """Folders and control groups of this process' sandboxes."""
    homes = Path(tempfile.gettempdir()).glob(f"tito-sandboxes-{os.getpid()}-*")
    leaves = [
        leaf
        for each in cgroups.hierarchies()
        for leaf in Path(each.folder).glob(f"tito-{os.getpid()}-*")
    ]
    return [str(path) for path in (*homes, *leaves)]


def main() -> None:
    user, level, given = sys.argv[1], Level(sys.argv[2]), Path(sys.argv[3])
    cells = json.load(sys.stdin)
    become(user)
    why = why_not(level)
    if why is not None:
        print(json.dumps({"why_not": why}))
        return
    with Zygote(given, level, LIMITS, AGENT) as zygote:
        with zygote.spawn() as sandbox:
            said = run_cells(sandbox, cells)
            everyone = members(sandbox.pid)
        alive = [pid for pid in everyone if Path(f"/proc/{pid}").exists()]
    print(json.dumps({"said": said, "alive_after": len(alive), "left": left_behind()}))


if __name__ == "__main__":
    main()
