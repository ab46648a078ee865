"""The roofline: how fast each operation ran, under what the machine can do.

Source: Williams, Waterman & Patterson, "Roofline: An Insightful Visual Performance Model for
Multicore Architectures", Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.label_places import free_places
from tinytorch.dashboards.layout import base_layout, decades_around, log_axis, shortened
from tinytorch.dashboards.results import Ceilings, RooflinePoint
from tinytorch.dashboards.units import format_ns, short

_BOUNDS = (("memory", 1), ("compute", 0))  # the bound and its place in the palette


class Axes(NamedTuple):
    """The limits of a roofline's two logarithmic axes, as values."""

    intensity: tuple[float, float]
    gflops: tuple[float, float]


def roofline_axes(ceilings: Ceilings, points: Sequence[RooflinePoint]) -> Axes:
    """Return whole decades that hold the ridge of the roof and every point."""
    ridge = ceilings.gflops / ceilings.gigabytes_per_second
    drawable = [point for point in points if _is_drawable(point)]
    return Axes(
        decades_around([ridge / 3, ridge * 3, *(point.intensity for point in drawable)]),
        decades_around([ceilings.gflops, *(point.gflops for point in drawable)]),
    )


def roofline(
    ceilings: Ceilings,
    points: Sequence[RooflinePoint],
    *,
    baseline_points: Sequence[RooflinePoint] = (),
    baseline_name: str = "baseline",
    axes: Axes | None = None,
    title: str = "Roofline",
) -> go.Figure:
    """Draw operations under the roof of measured ceilings, on logarithmic axes.

    Args:
        ceilings: The machine's measured peaks.
        points: Operations; `intensity`, `gflops` and `bound` are drawn as given. An operation
            without arithmetic or without bytes has no place here and stands in the table only.
        baseline_points: An earlier measurement, drawn as hollow grey marks.
        baseline_name: What the legend calls it.
        axes: Fixed limits (see `roofline_axes`); by default whole decades around everything.
        title: The figure's title.

    Returns:
        A figure with its words and table inside.
    """
    axes = axes or roofline_axes(ceilings, [*points, *baseline_points])
    measured = f"{short(ceilings.gigabytes_per_second)} GB/s, {short(ceilings.gflops)} GFLOP/s"
    figure = go.Figure(layout=base_layout(f"{title} ({measured})"))
    _add_roof(figure, ceilings, axes)
    _add_baseline(figure, baseline_points, baseline_name)
    places = free_places(
        [(point.intensity, point.gflops, shortened(point.name, 20)) for point in points],
        axes.intensity,
        axes.gflops,
        avoid=list(zip(*_roof(ceilings, np.geomspace(*axes.intensity, 120)), strict=True)),
    )
    for bound, index in _BOUNDS:
        chosen = [i for i, p in enumerate(points) if p.bound == bound and _is_drawable(p)]
        if chosen:
            _add_points(figure, points, chosen, places, bound, index)
    figure.update_layout(
        xaxis=log_axis("operations per byte", axes.intensity),
        yaxis=log_axis("GFLOP/s", axes.gflops),
    )
    return set_caption(figure, _roofline_in_words(ceilings, points), _rows(ceilings, points))


def _is_drawable(point: RooflinePoint) -> bool:
    return 0 < point.intensity < float("inf") and 0 < point.gflops < float("inf")


def _add_roof(figure: go.Figure, ceilings: Ceilings, axes: Axes) -> None:
    low, high = axes.intensity
    ridge = ceilings.gflops / ceilings.gigabytes_per_second
    intensities, heights = _roof(ceilings, np.array([low, min(max(ridge, low), high), high]))
    figure.add_scatter(
        x=intensities,
        y=heights,
        mode="lines",
        line={"color": palette.colour(2), "width": 3},
        name="roof",
        hovertemplate="%{x:.3g} operations a byte: at most %{y:.3g} GFLOP/s<extra></extra>",
    )


def _roof(ceilings: Ceilings, intensities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower of the two ceilings at each intensity."""
    slope = intensities * ceilings.gigabytes_per_second
    return intensities, np.minimum(slope, ceilings.gflops)


def _add_baseline(figure: go.Figure, points: Sequence[RooflinePoint], name: str) -> None:
    drawable = [point for point in points if _is_drawable(point)]
    if drawable:
        figure.add_scatter(
            x=[point.intensity for point in drawable],
            y=[point.gflops for point in drawable],
            mode="markers",
            name=name,
            marker={
                "color": palette.BASELINE,
                "symbol": "circle-open",
                "size": 9,
                "line": {"width": 2},
            },
            text=[point.name for point in drawable],
            hovertemplate="%{text}: %{y:.3g} GFLOP/s<extra>" + name + "</extra>",
        )


def _add_points(
    figure: go.Figure,
    points: Sequence[RooflinePoint],
    chosen: Sequence[int],
    places: Sequence[str | None],
    bound: str,
    index: int,
) -> None:
    figure.add_scatter(
        x=[points[i].intensity for i in chosen],
        y=[points[i].gflops for i in chosen],
        mode="markers+text",
        name=f"{bound}-bound",
        marker={"color": palette.colour(index), "symbol": palette.symbol(index), "size": 11},
        text=[shortened(points[i].name, 20) if places[i] else "" for i in chosen],
        textposition=[places[i] or "top center" for i in chosen],
        textfont={"size": 12},
        cliponaxis=False,
        customdata=[[points[i].name, format_ns(points[i].seconds * 1e9)] for i in chosen],
        hovertemplate="%{customdata[0]}: %{customdata[1]}<br>%{x:.3g} operations a byte, "
        "%{y:.3g} GFLOP/s<extra>" + bound + "-bound</extra>",
    )


def _roofline_in_words(ceilings: Ceilings, points: Sequence[RooflinePoint]) -> str:
    roof = (
        f"Roofline: this machine moves {short(ceilings.gigabytes_per_second)} GB/s "
        f"and computes {short(ceilings.gflops)} GFLOP/s."
    )
    if not points:
        return f"{roof} No operation was recorded."
    longest = max(points, key=lambda point: point.seconds)
    by_bound = "; ".join(
        f"{bound}-bound: {', '.join(point.name for point in points if point.bound == bound)}"
        for bound, _ in _BOUNDS
        if any(point.bound == bound for point in points)
    )
    return (
        f"{roof} {by_bound}. Most time goes to {longest.name}, "
        f"which reaches {short(longest.gflops)} GFLOP/s."
    )


def _rows(ceilings: Ceilings, points: Sequence[RooflinePoint]) -> list[dict[str, object]]:
    return [
        {
            "operation": point.name,
            "time": format_ns(point.seconds * 1e9),
            "operations per byte": short(point.intensity),
            "GFLOP/s": short(point.gflops),
            "bound": point.bound,
        }
        for point in sorted(points, key=lambda point: -point.seconds)
    ]
