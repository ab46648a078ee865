"""Measurements as they came: samples as dots, curves over a size, histograms of values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import axis, base_layout, log_axis, padded, shortened
from tinytorch.dashboards.units import short

Log = bool | Literal["x", "y", "xy"]
Limits = tuple[float, float]

_MOST_DOTS = 1000  # a series; more cannot be told apart and makes the page slow


def distribution(
    samples_by_name: Mapping[str, Sequence[float]],
    *,
    x_title: str,
    log: bool = False,
    limits: Limits | None = None,
    title: str = "Every sample, and the median",
) -> go.Figure:
    """Draw each sample as a dot and each median as a line, one row a name.

    Args:
        samples_by_name: Samples in the unit that `x_title` names.
        x_title: Title of the axis, with the unit.
        log: Draw the axis logarithmic.
        limits: Ends of the axis; by default they follow the samples.
        title: The figure's title.

    Returns:
        A figure with its words and table inside.
    """
    rows = list(samples_by_name.items())
    figure = go.Figure(
        layout=base_layout(title, height=max(200, 110 + 62 * len(rows)), legend=False)
    )
    for index, (name, samples) in enumerate(rows):
        _add_row(figure, index, name, np.asarray(samples, dtype=float))
    figure.update_layout(
        xaxis=log_axis(x_title, limits or padded(v for _, samples in rows for v in samples))
        if log
        else axis(x_title, range=limits, rangemode=None if limits else "nonnegative"),
        yaxis=axis(
            "",
            tickvals=list(range(len(rows))),
            ticktext=[shortened(name) for name, _ in rows],
            range=[len(rows) - 0.5, -0.5],
            showgrid=False,
            zeroline=False,
        ),
    )
    table = [_summary_row(name, np.asarray(samples, dtype=float)) for name, samples in rows]
    words = "; ".join(
        f"{row['name']}: median {row['median']}, from {row['smallest']} to {row['largest']}"
        for row in table
    )
    return set_caption(figure, f"{x_title}: {words}.", table)


def _add_row(figure: go.Figure, index: int, name: str, samples: np.ndarray) -> None:
    shown = samples[:: max(1, -(-len(samples) // _MOST_DOTS))]
    # Spread evenly by the golden ratio: neighbours in time are never neighbours in height.
    spread = (np.arange(len(shown)) * 0.6180339887) % 1.0 - 0.5
    figure.add_scatter(
        x=shown,
        y=index + 0.5 * spread,
        mode="markers",
        name=name,
        marker={
            "color": palette.colour(index),
            "symbol": palette.symbol(index),
            "size": 7,
            "opacity": 0.6,
        },
        hovertemplate="%{x:.4g}<extra>" + name + "</extra>",
    )
    if len(samples):
        median = float(np.median(samples))
        figure.add_scatter(
            x=[median, median],
            y=[index - 0.38, index + 0.38],
            mode="lines",
            line={"color": palette.colour(index), "width": 4},
            hovertemplate=f"median {short(median)}<extra>{name}</extra>",
        )


def _summary_row(name: str, samples: np.ndarray) -> dict[str, object]:
    if not len(samples):
        return {"name": name, "samples": 0, "median": "none", "smallest": "none", "largest": "none"}
    return {
        "name": name,
        "samples": len(samples),
        "median": short(float(np.median(samples))),
        "smallest": short(float(samples.min())),
        "largest": short(float(samples.max())),
    }


def scaling_curve(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_title: str,
    y_title: str,
    log: Log = False,
    x_limits: Limits | None = None,
    y_limits: Limits | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw how a measurement grows with a size, one line a name.

    Args:
        series: (x, y) pairs by name, in the units of the titles.
        x_title: Title of the x axis, with the unit.
        y_title: Title of the y axis, with the unit.
        log: Which axes are logarithmic: True (both), ``"x"``, ``"y"`` or ``"xy"``.
        x_limits: Ends of the x axis; by default they follow the points.
        y_limits: Ends of the y axis; by default from 0, or following the points where logarithmic.
        title: The figure's title; by default made of the two axes' titles.

    Returns:
        A figure with its words and table inside.
    """
    logarithmic = ("xy" if log else "") if isinstance(log, bool) else log
    title = title or f"{y_title} over {x_title}"
    figure = go.Figure(layout=base_layout(title, legend=len(series) > 1))
    for index, (name, points) in enumerate(series.items()):
        figure.add_scatter(
            x=[x for x, _ in points],
            y=[y for _, y in points],
            mode="lines+markers",
            name=name,
            line={"color": palette.colour(index), "dash": palette.dash(index), "width": 2},
            marker={"symbol": palette.symbol(index), "size": 8},
            hovertemplate=f"%{{x:.4g}}: %{{y:.4g}}<extra>{name}</extra>",
        )
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    figure.update_layout(
        xaxis=log_axis(x_title, x_limits or padded(xs), measured=xs)
        if "x" in logarithmic
        else axis(x_title, range=x_limits),
        yaxis=log_axis(y_title, y_limits or padded(ys))
        if "y" in logarithmic
        else _from_zero(y_title, y_limits),
    )
    table = [
        {"series": name, x_title: short(x), y_title: short(y)}
        for name, points in series.items()
        for x, y in points
    ]
    words = "; ".join(_growth_in_words(name, points) for name, points in series.items() if points)
    return set_caption(figure, f"{title}: {words}.", table)


def _from_zero(title: str, limits: Limits | None) -> dict[str, Any]:
    return axis(title, range=limits) if limits else axis(title, rangemode="tozero")


def _growth_in_words(name: str, points: Sequence[tuple[float, float]]) -> str:
    (x_first, y_first), (x_last, y_last) = points[0], points[-1]
    return f"{name} from {short(y_first)} at {short(x_first)} to {short(y_last)} at {short(x_last)}"


def histogram(
    values_by_name: Mapping[str, ArrayLike],
    *,
    x_title: str,
    bins: int = 60,
    log: bool = False,
    limits: Limits | None = None,
    title: str = "Distribution of values",
) -> go.Figure:
    """Draw how often values occur, one outline a name over the same bins.

    Args:
        values_by_name: Arrays of any shape; all their values are counted.
        x_title: Title of the axis, with the unit.
        bins: How many bins between the limits.
        log: Draw the counts on a logarithmic axis; empty bins are then left out.
        limits: Ends of the bins; by default the smallest and the largest value.
        title: The figure's title.

    Returns:
        A figure with its words and table inside.
    """
    arrays = {name: np.asarray(values).ravel() for name, values in values_by_name.items()}
    filled = [array for array in arrays.values() if array.size]
    if limits is None and filled:
        limits = (min(float(a.min()) for a in filled), max(float(a.max()) for a in filled))
    edges = np.histogram_bin_edges(np.zeros(0), bins=bins, range=limits)
    figure = go.Figure(layout=base_layout(title, legend=len(arrays) > 1))
    counts = {name: np.histogram(array, bins=edges)[0] for name, array in arrays.items()}
    most = max([2, *(int(count.max()) for count in counts.values())])
    for index, (name, count) in enumerate(counts.items()):
        _add_outline(figure, index, name, count, edges, log)
    figure.update_layout(
        xaxis=axis(x_title, range=limits),
        yaxis=log_axis("values", (0.8, 1.5 * most)) if log else _from_zero("values", None),
    )
    table = [_spread_row(name, array) for name, array in arrays.items()]
    words = "; ".join(
        f"{row['name']}: {row['values']} values, mean {row['mean']}, spread (std) {row['std']}"
        for row in table
    )
    return set_caption(figure, f"{title}: {words}.", table)


def _add_outline(
    figure: go.Figure, index: int, name: str, counts: np.ndarray, edges: np.ndarray, log: bool
) -> None:
    heights = [None if log and not count else int(count) for count in counts]
    figure.add_scatter(
        x=edges,
        y=[*heights, heights[-1]],  # the last step reaches to the last edge
        mode="lines",
        name=name,
        fill="none" if log else "tozeroy",
        fillcolor=_translucent(palette.colour(index)),
        line={
            "shape": "hv",
            "color": palette.colour(index),
            "dash": palette.dash(index),
            "width": 2,
        },
        hovertemplate=f"from %{{x:.4g}}: %{{y}}<extra>{name}</extra>",
    )


def _translucent(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def _spread_row(name: str, array: np.ndarray) -> dict[str, object]:
    if not array.size:
        return {
            "name": name,
            "values": 0,
            "mean": "none",
            "std": "none",
            "smallest": "none",
            "largest": "none",
        }
    return {
        "name": name,
        "values": array.size,
        "mean": short(float(array.mean())),
        "std": short(float(array.std())),
        "smallest": short(float(array.min())),
        "largest": short(float(array.max())),
    }
