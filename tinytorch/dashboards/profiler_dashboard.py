"""A profile you can turn: choose model, batch and sequence, see where time and memory go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import plotly.graph_objects as go

from tinytorch.dashboards.advice import bottleneck_words, change_words, memory_words, next_words
from tinytorch.dashboards.controls import dropdown, slider
from tinytorch.dashboards.measured_dashboard import MeasuredDashboard
from tinytorch.dashboards.profile_figures import profile_figures
from tinytorch.dashboards.results import ProfileResult
from tinytorch.dashboards.settings import MeasuredSettings, Setting

Measure = Callable[[str, int, int], ProfileResult]

_REQUIRED = ("latency_ns", "regions", "memory", "timeline", "ceilings", "roofline_points")
_CHARTS = 4
_COLUMNS = (
    *("model", "batch_size", "sequence_length", "latency_ns"),
    *("path", "name", "calls", "inclusive_ns", "exclusive_ns"),
)


class ProfilerDashboard(MeasuredDashboard[Setting, ProfileResult]):
    """Controls above four charts: time by operation, nesting, memory, roofline.

    Every setting is measured once, by the callable you hand in, and kept. The first one is the
    baseline; it stays beside "now" on the same axes. An error in your code is shown in the
    dashboard with its traceback, and kept in `error`.

    Args:
        measure: Called as ``measure(model_name, batch_size, sequence_length)``; returns a
            `tinytorch.dashboards.results.ProfileResult`.
        models: Names to choose from; the first of each list is measured at once.
        batch_sizes: Batch sizes to choose from.
        sequence_lengths: Sequence lengths to choose from.

    Raises:
        ValueError: One of the three lists is empty.
    """

    _title = "Profile"

    def __init__(
        self,
        measure: Measure,
        models: Iterable[str],
        batch_sizes: Iterable[int],
        sequence_lengths: Iterable[int],
    ) -> None:
        self._model = dropdown("model", models)
        self._batch = slider("batch size", batch_sizes)
        self._length = slider("sequence length", sequence_lengths)
        super().__init__(
            MeasuredSettings(measure, _REQUIRED, "a profile"),
            [self._model, self._batch, self._length],
            _CHARTS,
        )

    @property
    def setting(self) -> Setting:
        """What the controls say."""
        return Setting(self._model.value, self._batch.value, self._length.value)

    def _drawn(self) -> tuple[list[go.Figure], list[str]]:
        now, before = self._settings.now(), self._settings.baseline()
        change = change_words(before.result, now.result, before.setting.in_words())
        sentences = [
            f"{now.setting.in_words()}: {change}",
            bottleneck_words(now.result),
            memory_words(now.result),
            next_words(now.result),
        ]
        compared = [seen.result for seen in self._settings.compared()]
        return profile_figures(now.result, before.result, compared), sentences

    def _csv(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return every region of every measured setting as one row, times in nanoseconds."""
        rows: list[Sequence[object]] = []
        for setting, result in self._settings.measured().items():
            for region in result.regions:
                place = "/".join(region.path)
                times = (region.inclusive_ns, region.exclusive_ns)
                rows.append((*setting, result.latency_ns, place, region.name, region.calls, *times))
        return _COLUMNS, rows
