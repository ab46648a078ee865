"""Feedback pages, made in processes of their own: what turns notebooks into pages is slow to load.

One process loads it and forks a few, each of which makes the pages of some students.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable

from tito.course import Lesson
from tito.grading.class_folders import ClassFolders
from tito.grading.hidden_tests import Shown

COMMAND = (sys.executable, "-P", "-m", "tito.grading.jobs.page_worker")
_STEP_S = 0.2
_STOP_S = 5.0


def make_pages(
    folders: ClassFolders,
    lesson: Lesson,
    students: list[str],
    at_once: int,
    told: Callable[[int, int], None],
    stopped: Callable[[], bool],
    shown: Shown | None = None,
    command: tuple[str, ...] = COMMAND,
) -> dict[str, str]:
    """Make the feedback pages of some students.

    Args:
        folders: The class.
        lesson: The lesson.
        students: Whose.
        at_once: How many to make at the same time.
        told: Told the number of pages made, out of all.
        stopped: Whether somebody asked for the end.
        shown: What they show of hidden tests; what nbgrader_config.py says when None.
        command: What starts the process that makes them.

    Returns:
        Students without a page, and why; those that an interruption left out are not among them.
    """
    if not students:
        return {}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(_orders(folders, lesson, students, at_once, shown))
        process.stdin.flush()  # stays open: the process ends when this one does
        try:
            outcomes = _listen(process, len(students), told, stopped)
        finally:
            _end(process)
    if stopped():
        return {name: why for name, why in outcomes.items() if why}
    lost = "the process that makes feedback pages ended; run the command again"
    return {name: why for name in students if (why := outcomes.get(name, lost))}


def _orders(
    folders: ClassFolders, lesson: Lesson, students: list[str], at_once: int, shown: Shown | None
) -> bytes:
    """What the process that makes the pages is told: one line of JSON."""
    orders = {
        "course": str(folders.course.root),
        "root": str(folders.root),
        "gradebook_url": folders.gradebook_url,
        "lesson": lesson.folder,
        "students": students,
        "shown": shown,
        "at_once": max(1, min(at_once, len(students))),
    }
    return json.dumps(orders).encode() + b"\n"


def _listen(
    process: subprocess.Popen[bytes],
    total: int,
    told: Callable[[int, int], None],
    stopped: Callable[[], bool],
) -> dict[str, str]:
    """By student, why there is no page; empty when there is one."""
    assert process.stdout is not None
    outcomes: dict[str, str] = {}
    unread = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(outcomes) < total and not stopped():
            if not selector.select(_STEP_S):
                continue
            said = os.read(process.stdout.fileno(), 1 << 16)
            if not said:
                break
            *lines, unread = (unread + said).split(b"\n")
            for line in lines:
                words = json.loads(line)
                outcomes[words["student"]] = words["problem"]
            told(len(outcomes), total)
    return outcomes


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
