"""What became of one code cell."""

from __future__ import annotations

from dataclasses import dataclass

PASSED, FAILED, ENDLESS, DIED, NOT_RUN = "passed", "failed", "endless", "died", "not run"


@dataclass
class CellVerdict:
    """One code cell's outcome.

    Attributes:
        label: Its grade_id, or its number.
        status: One of the five words above.
        message: Why it is not `passed`, in a line.
        seconds: How long it ran.
        points: What a test cell earned; None for other cells.
    """

    label: str
    status: str
    message: str = ""
    seconds: float = 0.0
    points: float | None = None
