"""The figures of one quantization beside its baseline, on axes that several of them share."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tinytorch.dashboards.layout import axis
from tinytorch.dashboards.quantization_figure import quantization_histogram, value_limits
from tinytorch.dashboards.quantization_setting import QuantizationSetting
from tinytorch.dashboards.results import QuantizationOutcome
from tinytorch.dashboards.sensitivity_figure import layer_sensitivity
from tinytorch.dashboards.settings import Measured
from tinytorch.dashboards.tradeoff_figure import Spot, linear_axis, tradeoff
from tinytorch.dashboards.units import Unit, format_bytes, short, size_unit

_HEIGHT = 285  # two rows of charts and the words above them fit a laptop's screen
_SENSITIVITY_HEIGHT = 310
_PANELS = 4  # of half a page's width

Seen = Measured[QuantizationSetting, QuantizationOutcome]


def outcome_figures(now: Seen, baseline: Seen, compared: Sequence[Seen]) -> list[go.Figure]:
    """Draw the histogram with its grid, SQNR over bits, what each setting costs, the layers.

    Args:
        now: The outcome to draw, with its setting.
        baseline: The one to draw beside it; the same result leaves it out.
        compared: All whose figures are to be compared; the axes hold every one of them.

    Returns:
        The figures, in this order.
    """
    before = None if baseline.result is now.result else baseline
    result = now.result
    sensitivity = layer_sensitivity(
        result.layers,
        metric_name=result.metric_name,
        higher_is_better=result.higher_is_better,
        full_metric=result.full_metric,
        chosen=(now.setting.layer, now.setting.bits),
        columns=_PANELS,
        most=_PANELS,
        height=_SENSITIVITY_HEIGHT,
    )
    figures = [
        _histogram(now, before, compared),
        _noise_figure(now, before, compared),
        _cost_figure(now, before, compared),
    ]
    for figure in figures:
        figure.layout.height = _HEIGHT
    return [*figures, sensitivity]


def _histogram(now: Seen, before: Seen | None, compared: Sequence[Seen]) -> go.Figure:
    """Draw values and grid; the axis holds every setting seen of the same layer."""
    layer = now.setting.layer
    alike = [seen.result for seen in compared if seen.setting.layer == layer]
    ends = [value_limits(result.values, result.clip) for result in alike]
    same_layer = before is not None and before.setting.layer == layer
    return quantization_histogram(
        now.result.values,
        now.result.levels,
        now.result.clip,
        baseline_levels=before.result.levels if before is not None and same_layer else None,
        limits=(min(low for low, _ in ends), max(high for _, high in ends)),
        title=f"{layer}: values and the grid",
    )


def _noise_figure(now: Seen, before: Seen | None, compared: Sequence[Seen]) -> go.Figure:
    ratios = [seen.result.sqnr_db for seen in compared]
    widths = sorted({seen.setting.bits for seen in compared}, reverse=True)
    low, high = min([0.0, *ratios]), max([1.0, *ratios])
    drawn = {now.setting, before.setting if before else now.setting}
    spots = {
        seen.setting: Spot(
            seen.setting.in_words(),
            seen.setting.bits,
            seen.result.sqnr_db,
            str(seen.setting.bits),
            f"{short(seen.result.sqnr_db)} dB",
        )
        for seen in compared
    }
    return tradeoff(
        spots[now.setting],
        baseline=spots[before.setting] if before else None,
        seen=[spot for setting, spot in spots.items() if setting not in drawn],
        title="Signal to quantization noise",
        x_title="bits",
        y_title="SQNR",
        x_axis=axis("bits", tickvals=widths, range=[min(widths) - 0.6, max(widths) + 0.6]),
        y_axis=axis("SQNR (dB)", range=[low, high + 0.12 * (high - low)]),
    )


def _cost_figure(now: Seen, before: Seen | None, compared: Sequence[Seen]) -> go.Figure:
    result = now.result
    unit = size_unit(max([1, *(seen.result.full_size_bytes for seen in compared)]))
    full = Spot(
        "full precision",
        result.full_size_bytes / unit.size,
        result.full_metric,
        format_bytes(result.full_size_bytes),
        short(result.full_metric),
    )
    spots = {seen.setting: _cost(seen, unit) for seen in compared}
    drawn = {now.setting, before.setting if before else now.setting}
    heights = [full.y] + [y for spot in spots.values() for y in (spot.y, *(spot.y_interval or ()))]
    return tradeoff(
        spots[now.setting],
        baseline=spots[before.setting] if before else None,
        seen=[spot for setting, spot in spots.items() if setting not in drawn],
        reference=full,
        title="What each setting costs",
        x_title="size",
        y_title=result.metric_name,
        x_axis=linear_axis(f"size ({unit.name})", [spot.x for spot in (*spots.values(), full)]),
        y_axis=linear_axis(result.metric_name, heights, from_zero=False),
    )


def _cost(seen: Seen, unit: Unit) -> Spot:
    result = seen.result
    return Spot(
        seen.setting.in_words(),
        result.size_bytes / unit.size,
        result.metric,
        format_bytes(result.size_bytes),
        short(result.metric),
        getattr(result, "metric_interval", None),
    )
