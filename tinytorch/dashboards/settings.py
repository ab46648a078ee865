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


class Measured(NamedTuple):
    """A setting and what was measured for it."""

    setting: Setting
    result: ProfileResult


class MeasuredSettings:
    """Measures each setting once and keeps the result; the first one is the baseline."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._results: dict[Setting, ProfileResult] = {}
        self._compared: list[Setting] = []  # seen since the baseline was set, the baseline first
        self._now: Setting | None = None

    def choose(self, setting: Setting, *, again: bool = False) -> None:
        """Make `setting` the current one, measuring it where no result is kept.

        Args:
            setting: What to measure.
            again: Measure also where a result is kept.

        Raises:
            TypeError: The measuring callable returned something that is no profile.
        """
        if again or setting not in self._results:
            self._results[setting] = _checked(self._measure(*setting))
        self._now = setting
        if setting not in self._compared:
            self._compared.append(setting)

    def now(self) -> Measured:
        """Return the current setting.

        Raises:
            LookupError: Nothing was measured yet.
        """
        if self._now is None:
            raise LookupError("nothing was measured yet; choose a setting first")
        return Measured(self._now, self._results[self._now])

    def baseline(self) -> Measured:
        """Return the setting to compare with.

        Raises:
            LookupError: Nothing was measured yet.
        """
        if not self._compared:
            raise LookupError("nothing was measured yet; choose a setting first")
        return Measured(self._compared[0], self._results[self._compared[0]])

    def make_baseline(self) -> None:
        """Compare from now on with the current setting."""
        self._compared = [self.now().setting]

    def measured(self) -> dict[Setting, ProfileResult]:
        """Return all kept results."""
        return dict(self._results)

    def compared(self) -> list[ProfileResult]:
        """Return the results seen since the baseline was set: they share fixed axes."""
        return [self._results[setting] for setting in self._compared]


def _checked(result: ProfileResult) -> ProfileResult:
    missing = [name for name in _REQUIRED if not hasattr(result, name)]
    if missing:
        raise TypeError(
            f"measure(model, batch_size, sequence_length) returned {type(result).__name__} without "
            f"{', '.join(missing)}; a profile needs {', '.join(_REQUIRED)}"
        )
    return result
