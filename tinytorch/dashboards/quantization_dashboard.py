"""A layer in few bits: the grid its values move to, the error, the bytes, the metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import plotly.graph_objects as go

from tinytorch.dashboards.controls import dropdown, slider
from tinytorch.dashboards.measured_dashboard import MeasuredDashboard
from tinytorch.dashboards.outcome_figures import outcome_figures
from tinytorch.dashboards.quantization_setting import QuantizationSetting
from tinytorch.dashboards.quantization_words import (
    change_words,
    error_words,
    next_words,
    size_words,
)
from tinytorch.dashboards.results import QuantizationOutcome
from tinytorch.dashboards.settings import MeasuredSettings

Measure = Callable[[str, int, str, str, str], QuantizationOutcome]

_REQUIRED = (
    *("values", "levels", "clip", "rms_error", "sqnr_db", "size_bytes", "metric", "metric_name"),
    *("higher_is_better", "full_size_bytes", "full_metric", "layers", "note"),
)
_SAVED = ("rms_error", "sqnr_db", "size_bytes", "full_size_bytes", "metric_name", "metric")
_CHARTS = 4


class QuantizationDashboard(MeasuredDashboard[QuantizationSetting, QuantizationOutcome]):
    """Controls above four charts: values and grid, SQNR, what each setting costs, the layers.

    Every setting is measured once, by the callable you hand in, and kept. The first one is the
    baseline; it stays beside "now" on the same axes. An error in your code is shown in the
    dashboard with its traceback, and kept in `error`.

    Args:
        measure: Called as ``measure(layer, bits, scheme, granularity, calibrator)``; returns a
            `tinytorch.dashboards.results.QuantizationOutcome`.
        layers: Names of layers to choose from; the first of each list is measured at once.
        bits: Widths to choose from.
        schemes: Number formats to choose from.
        granularities: What shares a scale, to choose from.
        calibrators: Ways to find the range, to choose from.

    Raises:
        ValueError: One of the lists is empty.
    """

    _title = "Quantization"

    def __init__(
        self,
        measure: Measure,
        layers: Iterable[str],
        bits: Iterable[int] = (8, 6, 4, 3, 2),
        schemes: Iterable[str] = ("symmetric", "affine"),
        granularities: Iterable[str] = ("tensor", "channel", "group"),
        calibrators: Iterable[str] = ("minmax",),
    ) -> None:
        widths = list(bits)
        self._layer = dropdown("layer", layers)
        self._bits = slider("bits", widths, width="13em")
        self._scheme = dropdown("scheme", schemes, width="13em")
        self._granularity = dropdown("a scale per", granularities, width="14em")
        self._calibrator = dropdown("calibrator", calibrators, width="14em")
        self._fewest_bits = min(widths, default=0)
        controls = [self._layer, self._bits, self._scheme, self._granularity, self._calibrator]
        super().__init__(MeasuredSettings(measure, _REQUIRED, "a quantization"), controls, _CHARTS)

    @property
    def setting(self) -> QuantizationSetting:
        """What the controls say."""
        return QuantizationSetting(
            self._layer.value,
            self._bits.value,
            self._scheme.value,
            self._granularity.value,
            self._calibrator.value,
        )

    def _drawn(self) -> tuple[list[go.Figure], list[str]]:
        now, before = self._settings.now(), self._settings.baseline()
        change = change_words(before.result, now.result, before.setting.in_words())
        sentences = [
            f"{now.setting.in_words()}: {change}",
            error_words(now.result),
            size_words(before.result, now.result),
            next_words(now.setting, now.result, self._fewest_bits),
            now.result.note,
        ]
        return outcome_figures(now, before, self._settings.compared()), sentences

    def _csv(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return every measured setting as one row."""
        rows: list[Sequence[object]] = [
            (*setting, *(getattr(outcome, name) for name in _SAVED))
            for setting, outcome in self._settings.measured().items()
        ]
        return (*QuantizationSetting._fields, *_SAVED), rows
