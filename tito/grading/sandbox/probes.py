"""Which levels work on this machine: each is tried once, with a sandbox that looks around."""

from __future__ import annotations

import functools
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from tito.course import CourseError
from tito.grading.inside import landlock, seccomp
from tito.grading.sandbox.errors import DeadlineError, ProtocolError, SandboxEndedError
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.view import INSIDE, course_in_view
from tito.grading.sandbox.zygote import Zygote

_TRIAL_S = 30.0
_WORDS = 300


@functools.cache
def why_not(level: Level) -> str | None:
    """The reason why a level cannot be used on this machine; None when it can.

    Args:
        level: The level to try.
    """
    if sys.platform != "linux":
        return f"it needs Linux, and this is {sys.platform}"
    if level is Level.PROCESS:
        return _trial(level)
    if not seccomp.supported():
        return f"its filter of system calls is for x86-64 and aarch64, not {platform.machine()}"
    place = course_in_view()
    if place is not None:
        return f"the course lies in {place}, which every submission may read"
    if level is Level.LANDLOCK:
        return _no_landlock() or _trial(level)
    return _trial(level)


def _no_landlock() -> str | None:
    version = landlock.abi()
    if version == 0:
        return "Linux has no Landlock here (since 5.13, when `landlock` is in its list of LSMs)"
    if os.geteuid() != 0 and not landlock.holds_signals():
        return (
            f"Landlock's version {version} does not hold signals back (6 does, since Linux 6.12), "
            "and only root can give a submission a user of its own"
        )
    return _closed_to_others() if os.geteuid() == 0 else None


def _trial(level: Level) -> str | None:
    """Start a sandbox that looks around; what is wrong with it."""
    limit = time.monotonic() + _TRIAL_S
    with tempfile.NamedTemporaryFile() as secret:
        os.chmod(secret.name, 0o644)  # so that the walls hide it, not its mode
        request = {
            "walls": level is not Level.PROCESS,
            "secret": secret.name,
            "grader": os.getpid(),
        }
        try:
            with (
                Zygote(INSIDE, level, agent="inside.trial", warm=False) as zygote,
                zygote.spawn() as sandbox,
            ):
                sandbox.send(json.dumps(request).encode(), limit)
                said = sandbox.receive(limit).decode("utf-8", "replace")
        except CourseError as error:
            return _last_line(error.message)
        except (SandboxEndedError, DeadlineError, ProtocolError) as error:
            return f"a trial failed: {error}"
    return said[:_WORDS] or None


def _closed_to_others() -> str | None:
    """Why a user that owns nothing could not run this Python."""
    for place in (sys.base_prefix, sys.prefix, str(INSIDE)):
        real = Path(place).resolve()
        for folder in (real, *real.parents):
            if not folder.stat().st_mode & 0o001:
                return f"a submission's own user cannot reach {place}: {folder} is closed to others"
    return None


def _last_line(message: str) -> str:
    return message.strip().splitlines()[-1].strip()
