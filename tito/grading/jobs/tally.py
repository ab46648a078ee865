"""How far a batch is, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Standing:
    """How far a running job is."""

    student: str
    cells_done: int
    cells_all: int


@dataclass(frozen=True)
class Tally:
    """How far a batch is.

    Attributes:
        ended: Submissions that need no more work.
        total: All of the batch.
        running: The submissions at work, and their cells.
    """

    ended: int
    total: int
    running: list[Standing]


@dataclass
class Batch:
    """What a batch came to.

    Attributes:
        graded: Students whose submissions were graded now.
        skipped: Students whose marks were up to date.
        problems: Students without new marks or without a page, and why.
        interrupted: Whether it was ended before its end.
    """

    graded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
