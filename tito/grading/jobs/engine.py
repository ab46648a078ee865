"""What the coordinator asks of an engine, and how one is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from tito.course import CourseError


class EngineName(StrEnum):
    """Who runs the jobs."""

    INLINE = "inline"
    POOL = "pool"
    DASK = "dask"


@dataclass(frozen=True)
class Site:
    """Where an engine's workers find their work.

    Attributes:
        url: The database of jobs.
        scope: Which jobs are theirs.
        folder: A private folder of this batch, with the given tree laid out.
        given: The hash of that tree.
        isolation: The level that submissions run under.
        at_once: How many run at the same time; 0 for the engine's own choice.
        preload: Packages that submissions will import.
    """

    url: str
    scope: str
    folder: Path
    given: str
    isolation: str
    at_once: int
    preload: tuple[str, ...] = ()


class Engine(Protocol):
    """Runs workers until it is closed."""

    def start(self) -> None:
        """Begin; the table may still be empty."""

    def tend(self, seconds: float) -> None:
        """Let the workers work for a moment, and start again what died.

        Raises:
            CourseError: Workers cannot work at all here.
        """

    def close(self) -> None:
        """End every worker and what it began."""


def chosen_engine(name: EngineName, site: Site, dask: str | None) -> Engine:
    """The engine with a name.

    Raises:
        CourseError: It lacks what it needs.
    """
    if name is EngineName.DASK:
        if dask is None:
            raise CourseError(
                "The engine dask needs the address of a scheduler.",
                "Give it as in `--dask tcp://10.0.0.5:8786`.",
            )
        from tito.grading.jobs.dask_engine import DaskEngine

        return DaskEngine(site, dask)
    if name is EngineName.INLINE:
        from tito.grading.jobs.inline_engine import InlineEngine

        return InlineEngine(site)
    from tito.grading.jobs.pool_engine import PoolEngine

    return PoolEngine(site)
