"""The figures of one generation beside its baseline, on axes that several generations share."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.cache_figure import cache_fill
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import axis, base_layout, log_axis, padded
from tinytorch.dashboards.memoization_setting import MemoizationSetting
from tinytorch.dashboards.results import GenerationTrace
from tinytorch.dashboards.settings import Measured
from tinytorch.dashboards.tradeoff_figure import Spot, linear_axis, tradeoff
from tinytorch.dashboards.units import Unit, format_bytes, format_ns, size_unit, time_unit

_HEIGHT = 285  # two rows of charts and the words above them fit a laptop's screen
_FILL_HEIGHT = 330
_SMOOTHED = 9  # tokens in the running median
_TABLE_ROWS = 8

Seen = Measured[MemoizationSetting, GenerationTrace]


def generation_figures(now: Seen, baseline: Seen, compared: Sequence[Seen]) -> list[go.Figure]:
    """Draw latency a token, cache bytes, what each setting costs, and the cache's steps.

    Args:
        now: The generation to draw, with its setting.
        baseline: The one to draw beside it; the same result leaves it out.
        compared: All whose figures are to be compared; the axes hold every one of them.

    Returns:
        The figures, in this order.
    """
    before = None if baseline.result is now.result else baseline
    traces = [seen.result for seen in compared]
    figures = [
        _latency_figure(now.result, before.result if before else None, traces),
        _bytes_figure(now.result, before.result if before else None, traces),
        _cost_figure(now, before, compared),
    ]
    for figure in figures:
        figure.layout.height = _HEIGHT
    return [*figures, cache_fill(now.result.frames, height=_FILL_HEIGHT)]


def typical_ns(trace: GenerationTrace) -> float:
    """Return the median time of a token."""
    return float(np.median(trace.latency_ns))


def _latency_figure(
    now: GenerationTrace, before: GenerationTrace | None, traces: Sequence[GenerationTrace]
) -> go.Figure:
    low, high = padded((time for trace in traces for time in _smooth_ns(trace)), 1.6)
    unit = time_unit(math.sqrt(low * high))
    title = "Time for each token"
    figure = go.Figure(layout=base_layout(title))
    if before is not None:
        _add_latency(figure, before, unit, "baseline", palette.BASELINE, "x")
    _add_latency(figure, now, unit, "now", palette.colour(0), "circle")
    figure.update_layout(
        xaxis=_position_axis(traces),
        yaxis=log_axis(f"a token ({unit.name})", (low / unit.size, high / unit.size)),
    )
    words = f"{title}: {_growth(now)}{_outside_words(now, low, high)}"
    return set_caption(figure, words, _token_rows(now, before))


def _add_latency(
    figure: go.Figure, trace: GenerationTrace, unit: Unit, name: str, colour: str, symbol: str
) -> None:
    times = np.asarray(trace.latency_ns, dtype=float) / unit.size
    figure.add_scatter(
        x=np.asarray(trace.positions),
        y=times,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 5, "opacity": 0.5},
        showlegend=False,
        hovertemplate=f"position %{{x}}: %{{y:.4g}} {unit.name}<extra>{name}</extra>",
    )
    figure.add_scatter(
        x=np.asarray(trace.positions),
        y=_running_median(times),
        mode="lines",
        name=name,
        line={"color": colour, "width": 2.5, "dash": "solid" if name == "now" else "dash"},
        hoverinfo="skip",
    )


def _smooth_ns(trace: GenerationTrace) -> np.ndarray:
    return _running_median(np.asarray(trace.latency_ns, dtype=float))


def _outside_words(trace: GenerationTrace, low: float, high: float) -> str:
    """Say how many dots the axis leaves out: it holds the lines, not every interrupted token."""
    count = sum(not low <= time <= high for time in trace.latency_ns)
    return f" {count} of {len(trace.latency_ns)} tokens lie outside the axis." if count else ""


def _running_median(values: np.ndarray) -> np.ndarray:
    """Return the median around each value; one preempted token does not bend the line."""
    if len(values) < _SMOOTHED:
        return values
    ends = _SMOOTHED // 2
    windows = np.lib.stride_tricks.sliding_window_view(values, _SMOOTHED)
    middle = np.median(windows, axis=1)
    head = [np.median(values[: at + ends + 1]) for at in range(ends)]
    tail = [np.median(values[at - ends :]) for at in range(len(values) - ends, len(values))]
    return np.concatenate([head, middle, tail])


def _position_axis(traces: Sequence[GenerationTrace]) -> dict[str, object]:
    last = max([1, *(at for trace in traces for at in trace.positions)])
    return axis("sequence length (tokens)", range=[0, 1.03 * last])


def _bytes_figure(
    now: GenerationTrace, before: GenerationTrace | None, traces: Sequence[GenerationTrace]
) -> go.Figure:
    largest = max([1, *(size for trace in traces for size in trace.cache_bytes)])
    unit = size_unit(largest)
    title = "Memory of the cache"
    figure = go.Figure(layout=base_layout(title))
    drawn = [
        ("baseline", before, palette.BASELINE, "dash"),
        ("now", now, palette.colour(1), "solid"),
    ]
    for name, trace, colour, dash in drawn:
        if trace is not None:
            figure.add_scatter(
                x=np.asarray(trace.positions),
                y=np.asarray(trace.cache_bytes, dtype=float) / unit.size,
                mode="lines",
                name=name,
                line={"color": colour, "width": 2.5, "dash": dash},
                hovertemplate=f"position %{{x}}: %{{y:.4g}} {unit.name}<extra>{name}</extra>",
            )
    figure.update_layout(
        xaxis=_position_axis(traces),
        yaxis=axis(f"cache ({unit.name})", range=[0, 1.1 * largest / unit.size]),
    )
    ends = ", ".join(
        f"{name} {format_bytes(trace.cache_bytes[-1])} at {trace.positions[-1]} tokens"
        for name, trace, _, _ in reversed(drawn)
        if trace is not None and len(trace.positions)
    )
    return set_caption(
        figure, f"{title}: {ends or 'nothing was recorded'}.", _byte_rows(now, before)
    )


def _growth(trace: GenerationTrace) -> str:
    if not len(trace.positions):
        return "nothing was recorded."
    first, last = ends_of(trace)
    return (
        f"median {format_ns(typical_ns(trace))}; the first quarter of the tokens "
        f"{format_ns(first)} each, the last quarter {format_ns(last)}."
    )


def ends_of(trace: GenerationTrace) -> tuple[float, float]:
    """Return the median time of a token in the first and in the last quarter."""
    quarter = max(1, len(trace.latency_ns) // 4)
    times = np.asarray(trace.latency_ns, dtype=float)
    return float(np.median(times[:quarter])), float(np.median(times[-quarter:]))


def _token_rows(now: GenerationTrace, before: GenerationTrace | None) -> list[dict[str, object]]:
    smooth = _smooth_ns(now)
    earlier = _by_position(before)
    rows: list[dict[str, object]] = []
    for number in _some_of(len(now.positions)):
        position = now.positions[number]
        row: dict[str, object] = {"sequence length": position, "a token": format_ns(smooth[number])}
        if before is not None:
            row["baseline"] = (
                format_ns(earlier[position]) if position in earlier else "not measured"
            )
        rows.append(row)
    return rows


def _by_position(trace: GenerationTrace | None) -> dict[int, float]:
    if trace is None:
        return {}
    smooth = _smooth_ns(trace)
    return {int(at): float(time) for at, time in zip(trace.positions, smooth, strict=True)}


def _byte_rows(now: GenerationTrace, before: GenerationTrace | None) -> list[dict[str, object]]:
    earlier = dict(zip(before.positions, before.cache_bytes, strict=True)) if before else {}
    rows: list[dict[str, object]] = []
    for number in _some_of(len(now.positions)):
        position = now.positions[number]
        row: dict[str, object] = {
            "sequence length": position,
            "cache": format_bytes(now.cache_bytes[number]),
        }
        if before is not None:
            row["baseline"] = (
                format_bytes(earlier[position]) if position in earlier else "not measured"
            )
        rows.append(row)
    return rows


def _some_of(count: int) -> list[int]:
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, _TABLE_ROWS))})


def _cost_figure(now: Seen, before: Seen | None, compared: Sequence[Seen]) -> go.Figure:
    sizes = [_last_bytes(seen.result) for seen in compared]
    times = [typical_ns(seen.result) for seen in compared]
    low, high = padded(times, 1.6)
    unit, size = time_unit(math.sqrt(low * high)), size_unit(max([1, *sizes]))
    spots = {seen.setting: _spot(seen, unit, size) for seen in compared}
    drawn = {now.setting, before.setting if before else now.setting}
    return tradeoff(
        spots[now.setting],
        baseline=spots[before.setting] if before else None,
        seen=[spot for setting, spot in spots.items() if setting not in drawn],
        title="What each setting costs",
        x_title="cache",
        y_title="a token",
        x_axis=linear_axis(
            f"cache at the end ({size.name})", [s / size.size for s in sizes] or [1]
        ),
        y_axis=log_axis(f"a token, median ({unit.name})", (low / unit.size, high / unit.size)),
    )


def _spot(seen: Seen, unit: Unit, size: Unit) -> Spot:
    time, stored = typical_ns(seen.result), _last_bytes(seen.result)
    return Spot(
        seen.setting.in_words(),
        stored / size.size,
        time / unit.size,
        format_bytes(stored),
        format_ns(time),
    )


def _last_bytes(trace: GenerationTrace) -> int:
    return int(trace.cache_bytes[-1]) if len(trace.cache_bytes) else 0
