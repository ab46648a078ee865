"""Partial credit: a test cell whose parts earn points of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_FAILED: list[str] = []


def parts_failed() -> list[str]:
    """Return what the failed parts of all cells run so far said, oldest first."""
    return list(_FAILED)


@contextmanager
def part(points: float, what: str) -> Iterator[None]:
    """A part of a test cell: when it fails it costs its points, and the cell goes on.

    The cell earns the share of its points that the passed parts have among all parts. A failure
    outside every part still fails the whole cell.

    Args:
        points: What the part weighs, more than 0.
        what: What it checks, in a few words.

    Raises:
        ValueError: `points` is not more than 0.

    Example:
        >>> with part(2, "an empty list"):
        ...     assert sum([]) == 0
        part passed: an empty list
    """
    import tito.testing

    if not points > 0:
        raise ValueError(f"part(points, what) needs points > 0, got {points!r} for {what!r}")
    judge = tito.testing.judge_hooks
    failure = ""
    try:
        yield
    except Exception as error:
        failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        if judge is not None:
            judge.part_failed(error)
    if judge is not None:
        judge.part(points, what, failure)
    if failure:
        _FAILED.append(f"{what}: {failure}")
    print(f"part failed: {what} ({failure})" if failure else f"part passed: {what}")
