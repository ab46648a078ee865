"""The process behind `pages`: reads its orders as one line of JSON, tells of each page in another.

It ends, with those it forked, when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from tito.course import Course, CourseError, Layout, Lesson, find_lesson
from tito.grading.class_folders import ClassFolders
from tito.grading.hidden_tests import Shown
from tito.grading.jobs.death import end_with_parent

_STEP_S = 0.2


def main() -> None:
    """Make the pages that were ordered."""
    orders = json.loads(_line(sys.stdin.fileno()))
    import tito.grading.feedback  # noqa: F401 (seconds, once for all forks)

    share = orders["at_once"]
    children = {_forked(orders, orders["students"][i::share]) for i in range(share)}
    while children:
        closed, _, _ = select.select([sys.stdin], [], [], _STEP_S)
        if closed:
            for child in children:
                os.kill(child, signal.SIGTERM)
        children = {child for child in children if os.waitpid(child, os.WNOHANG)[0] == 0}


def _forked(orders: dict[str, Any], students: list[str]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGTERM, _on_term)
    end_with_parent(parent)
    try:
        _make(orders, students)
    finally:
        os._exit(0)


def _on_term(number: int, frame: FrameType | None) -> None:
    raise SystemExit(143)  # a page that is being written leaves no half behind


def _make(orders: dict[str, Any], students: list[str]) -> None:
    course = Course(Path(orders["course"]), Layout.CHECKOUT)
    folders = ClassFolders(course, Path(orders["root"]), orders["gradebook_url"])
    lesson = find_lesson(orders["lesson"])
    shown = None if orders["shown"] is None else Shown(orders["shown"])
    for student in students:
        problem = _problem(folders, lesson, student, shown)
        line = json.dumps({"student": student, "problem": problem})
        os.write(sys.stdout.fileno(), line.encode() + b"\n")  # one write: lines do not mix


def _problem(folders: ClassFolders, lesson: Lesson, student: str, shown: Shown | None) -> str:
    from tito.grading import gradebook

    try:
        gradebook.make_feedback(folders, lesson, [student], shown)
    except CourseError as error:
        return error.message
    except Exception as error:  # one page never stops the others
        return f"no feedback page: {type(error).__name__}: {error}"
    return ""


def _line(handle: int) -> bytes:
    """The first line of standard input, and no more: what follows is its end."""
    parts = b""
    while not parts.endswith(b"\n"):
        part = os.read(handle, 1 << 16)
        if not part:
            raise SystemExit("no orders")
        parts += part
    return parts


if __name__ == "__main__":
    main()
