"""Generation with and without a cache: what a token costs, and what the cache costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import plotly.graph_objects as go

from tinytorch.dashboards.controls import dropdown, slider
from tinytorch.dashboards.generation_figures import generation_figures
from tinytorch.dashboards.measured_dashboard import MeasuredDashboard
from tinytorch.dashboards.memoization_setting import MemoizationSetting
from tinytorch.dashboards.memoization_words import (
    change_words,
    growth_words,
    memory_words,
    next_words,
)
from tinytorch.dashboards.results import GenerationTrace
from tinytorch.dashboards.settings import MeasuredSettings

Measure = Callable[[bool, int | None, int, int], GenerationTrace]

_REQUIRED = ("positions", "latency_ns", "cache_bytes", "frames", "note")
_CHARTS = 4
_WHOLE_TEXT = 0  # ipywidgets takes None for "nothing is chosen" and shows an empty list


class MemoizationDashboard(MeasuredDashboard[MemoizationSetting, GenerationTrace]):
    """Controls above four charts: time a token, cache bytes, what each setting costs, the cache.

    Every setting is measured once, by the callable you hand in, and kept. The first one, without
    a cache, is the baseline; it stays beside "now" on the same axes. An error in your code is
    shown in the dashboard with its traceback, and kept in `error`.

    A window belongs to a cache: while the cache is off the window's list rests, and `measure`
    gets None.

    Args:
        measure: Called as ``measure(cached, window, kv_heads, length)``; returns a
            `tinytorch.dashboards.results.GenerationTrace`.
        lengths: Sequence lengths to choose from.
        windows: Windows to choose from; None is the whole text.
        kv_heads: Numbers of key-value heads to choose from.
        cached: Whether there is a cache; the first of each list is measured at once.

    Raises:
        ValueError: One of the lists is empty.
    """

    _title = "Generation"

    def __init__(
        self,
        measure: Measure,
        lengths: Iterable[int],
        windows: Iterable[int | None] = (None,),
        kv_heads: Iterable[int] = (1,),
        cached: Iterable[bool] = (False, True),
    ) -> None:
        heads = list(kv_heads)
        self._cached = dropdown(
            "cache", [("on" if on else "off", on) for on in cached], width="9em"
        )
        self._window = dropdown(
            "window",
            [("none", _WHOLE_TEXT) if w is None else (str(w), w) for w in windows],
            width="11em",
        )
        self._heads = slider("KV heads", heads, width="15em")
        self._length = slider("length", lengths, width="17em")
        self._fewest_heads = min(heads, default=0)
        self._cached.observe(lambda change: self._rest_window(), "value")
        self._rest_window()
        super().__init__(
            MeasuredSettings(measure, _REQUIRED, "a generation", _check),
            [self._cached, self._window, self._heads, self._length],
            _CHARTS,
        )

    def _rest_window(self) -> None:
        self._window.disabled = not self._cached.value

    @property
    def setting(self) -> MemoizationSetting:
        """What the controls say; without a cache there is no window."""
        cached = self._cached.value
        window = self._window.value or None if cached else None
        return MemoizationSetting(cached, window, self._heads.value, self._length.value)

    def _drawn(self) -> tuple[list[go.Figure], list[str]]:
        now, before = self._settings.now(), self._settings.baseline()
        cached, window, heads, _ = now.setting
        change = change_words(before.result, now.result, before.setting.in_words())
        sentences = [
            f"{now.setting.in_words()}: {change}",
            growth_words(now.result, cached, window),
            memory_words(before.result, now.result),
            next_words(now.result, cached, window, heads, self._fewest_heads),
            now.result.note,
        ]
        return generation_figures(now, before, self._settings.compared()), sentences

    def _csv(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return every generated token of every measured setting as one row."""
        rows: list[Sequence[object]] = []
        for setting, trace in self._settings.measured().items():
            tokens = zip(trace.positions, trace.latency_ns, trace.cache_bytes, strict=True)
            rows += [(*setting, *token) for token in tokens]
        return (*MemoizationSetting._fields, "position", "latency_ns", "cache_bytes"), rows


def _check(trace: GenerationTrace) -> None:
    counts = {name: len(getattr(trace, name)) for name in _REQUIRED[:3]}
    if len(set(counts.values())) > 1 or not counts["positions"]:
        given = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise ValueError(
            f"a generation needs one position, one latency and one size for each token, "
            f"but it has {given}; append to all three at every token"
        )
