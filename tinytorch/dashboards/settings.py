"""The settings of a dashboard and what was measured for each; no widget in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tinytorch.dashboards.results import ProfileResult

Measure = Callable[[str, int, int], ProfileResult]

_REQUIRED = ("latency_ns", "regions", "memory", "timeline", "ceilings", "roofline_points")


class Setting(NamedTuple):
    """What is measured."""

    model: str
    batch_size: int
    sequence_length: int

    def in_words(self) -> str:
        """Return the setting as a legend names it."""
        return f"{self.model}, batch {self.batch_size}, length {self.sequence_length}"


class MeasuredSettings:
    """Measures each setting once and keeps the result; the first one is the baseline."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._results: dict[Setting, ProfileResult] = {}
        self._since_baseline: dict[Setting, None] = {}
        self.baseline: Setting | None = None
        self.now: Setting | None = None

    def choose(self, setting: Setting, *, again: bool = False) -> ProfileResult:
        """Make `setting` the current one and return its result, measuring it if need be.

        Args:
            setting: What to measure.
            again: Measure also where a result is kept.

        Raises:
            TypeError: The measuring callable returned something that is no profile.
        """
        if again or setting not in self._results:
            self._results[setting] = _checked(self._measure(*setting))
        self.now = setting
        if self.baseline is None:
            self.baseline = setting
        self._since_baseline[setting] = None
        return self._results[setting]

    def make_baseline(self) -> None:
        """Compare from now on with the current setting."""
        if self.now is not None:
            self.baseline = self.now
            self._since_baseline = {self.now: None}

    def result(self, setting: Setting) -> ProfileResult:
        """Return the kept result of a setting that was measured."""
        return self._results[setting]

    def measured(self) -> dict[Setting, ProfileResult]:
        """Return all kept results."""
        return dict(self._results)

    def compared(self) -> list[ProfileResult]:
        """Return the results seen since the baseline was set: they share fixed axes."""
        return [self._results[setting] for setting in self._since_baseline]


def _checked(result: ProfileResult) -> ProfileResult:
    missing = [name for name in _REQUIRED if not hasattr(result, name)]
    if missing:
        raise TypeError(
            f"measure(model, batch_size, sequence_length) returned {type(result).__name__} without "
            f"{', '.join(missing)}; a profile needs {', '.join(_REQUIRED)}"
        )
    return result
