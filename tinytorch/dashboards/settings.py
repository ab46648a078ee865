"""The settings of a dashboard and what was measured for each; no widget in here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar


class AnySetting(Protocol):
    """A named tuple of what the controls say; its fields are the arguments of ``measure``."""

    def _asdict(self) -> dict[str, Any]:
        """Return the fields by name."""
        ...

    def in_words(self) -> str:
        """Return the setting as a legend names it."""
        ...


SettingT = TypeVar("SettingT", bound=AnySetting)
ResultT = TypeVar("ResultT")


class Setting(NamedTuple):
    """What is profiled."""

    model: str
    batch_size: int
    sequence_length: int

    def in_words(self) -> str:
        """Return the setting as a legend names it."""
        return f"{self.model}, batch {self.batch_size}, length {self.sequence_length}"


class Measured(NamedTuple, Generic[SettingT, ResultT]):
    """A setting and what was measured for it."""

    setting: SettingT
    result: ResultT


class MeasuredSettings(Generic[SettingT, ResultT]):
    """Measures each setting once and keeps the result; the first one is the baseline.

    Args:
        measure: Called with the fields of a setting, in order.
        required: Attributes that every result has.
        kind: What a result is, with its article: ``"a profile"``.
        check: Raises where a result cannot be drawn; such a result is not kept.
    """

    def __init__(
        self,
        measure: Callable[..., ResultT],
        required: Sequence[str],
        kind: str,
        check: Callable[[ResultT], None] | None = None,
    ) -> None:
        self._measure = measure
        self._check = check
        self._required = tuple(required)
        self._kind = kind
        self._results: dict[SettingT, ResultT] = {}
        self._compared: list[SettingT] = []  # seen since the baseline was set, the baseline first
        self._now: SettingT | None = None

    def choose(self, setting: SettingT, *, again: bool = False) -> None:
        """Make `setting` the current one, measuring it where no result is kept.

        Args:
            setting: What to measure.
            again: Measure also where a result is kept.

        Raises:
            TypeError: The measuring callable returned something that is no result.
        """
        if again or setting not in self._results:
            result = self._measure(*setting._asdict().values())
            self._results[setting] = self._checked(result, setting)
        self._now = setting
        if setting not in self._compared:
            self._compared.append(setting)

    def _checked(self, result: ResultT, setting: SettingT) -> ResultT:
        missing = [name for name in self._required if not hasattr(result, name)]
        if missing:
            raise TypeError(
                f"measure({', '.join(setting._asdict())}) returned {type(result).__name__} without "
                f"{', '.join(missing)}; {self._kind} needs {', '.join(self._required)}"
            )
        if self._check is not None:
            self._check(result)
        return result

    def now(self) -> Measured[SettingT, ResultT]:
        """Return the current setting.

        Raises:
            LookupError: Nothing was measured yet.
        """
        if self._now is None:
            raise LookupError("nothing was measured yet; choose a setting first")
        return Measured(self._now, self._results[self._now])

    def baseline(self) -> Measured[SettingT, ResultT]:
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

    def measured(self) -> dict[SettingT, ResultT]:
        """Return all kept results."""
        return dict(self._results)

    def compared(self) -> list[Measured[SettingT, ResultT]]:
        """Return what was seen since the baseline was set: these results share fixed axes."""
        return [Measured(setting, self._results[setting]) for setting in self._compared]
