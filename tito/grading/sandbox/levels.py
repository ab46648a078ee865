"""How strongly a submission is kept in."""

from __future__ import annotations

from enum import StrEnum

from tito.course import CourseError


class Level(StrEnum):
    """The walls around a sandbox, the strongest first."""

    NAMESPACES = "namespaces"
    LANDLOCK = "landlock"
    PROCESS = "process"


def choose(wanted: Level | None, own_work: bool = False) -> tuple[Level, str]:
    """Decide on a level.

    Args:
        wanted: The level asked for; None takes the best that works here.
        own_work: Whether the submissions are the course's own, as the demo class's are.

    Returns:
        The level, and a line to show when it is not the best one.

    Raises:
        CourseError: The level does not work here, or none does that holds untrusted work.
    """
    if wanted is not None:
        why = why_not(wanted)
        if why is not None:
            raise CourseError(f"Isolation {wanted.value} does not work here: {why}.", _DOCTOR)
        if wanted is Level.PROCESS:
            return wanted, "Isolation: process. It holds mistakes, not intent: only trusted work."
        return wanted, "" if wanted is Level.NAMESPACES else f"Isolation: {wanted.value}."
    from tito.grading.sandbox import known

    if known.worked(Level.NAMESPACES):
        return Level.NAMESPACES, ""
    refused: dict[Level, str] = {}
    for level in (Level.NAMESPACES, Level.LANDLOCK):
        why = why_not(level)  # a trial each: none that is not needed
        if why is None:
            if level is Level.NAMESPACES:
                known.remember(level)
            better = refused.get(Level.NAMESPACES)
            return level, "" if better is None else f"Isolation: {level.value} ({better})."
        refused[level] = why
    said = "; ".join(f"{level.value}: {why}" for level, why in refused.items())
    if own_work and why_not(Level.PROCESS) is None:
        return Level.PROCESS, f"Isolation: process ({said}); this work is the course's own."
    raise CourseError(
        f"Untrusted work is not graded without walls, and none can be built here. {said}.",
        f"{_DOCTOR} Or pass `--isolation process` for work that you trust.",
    )


def why_not(level: Level) -> str | None:
    """The reason why a level cannot be used on this machine; None when it can.

    A sandbox is started and tried; the answer is kept for the life of this process.
    """
    from tito.grading.sandbox.probes import why_not as probed

    return probed(level)


_DOCTOR = "Run `tito doctor`: it says what each level needs."
