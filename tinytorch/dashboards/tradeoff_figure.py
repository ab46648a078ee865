"""What each setting costs and what it buys: one point a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import axis, base_layout


class Spot(NamedTuple):
    """One setting: its name, its place in the units of the axes, and the numbers in words.

    `y_interval` is where y lies for certain, in the axis's unit; drawn as a bar through the point.
    """

    name: str
    x: float
    y: float
    x_text: str
    y_text: str
    y_interval: tuple[float, float] | None = None


class _Look(NamedTuple):
    name: str
    symbol: str
    colour: str
    size: int


_SEEN = _Look("seen before", "circle-open", palette.colour(2), 10)
_REFERENCE = _Look("", "square", palette.colour(3), 11)
_BASELINE = _Look("baseline", "x", palette.BASELINE, 11)
_NOW = _Look("now", "diamond", palette.colour(0), 13)


def tradeoff(
    now: Spot,
    *,
    baseline: Spot | None,
    seen: Sequence[Spot],
    reference: Spot | None = None,
    title: str,
    x_title: str,
    y_title: str,
    x_axis: dict[str, Any],
    y_axis: dict[str, Any],
) -> go.Figure:
    """Draw settings as points: now, the baseline, others seen, and a reference.

    Args:
        now: The current setting.
        baseline: What it is compared with; None where it is the same.
        seen: The other settings.
        reference: A point that is no setting: full precision.
        title: The figure's title.
        x_title: What x is, for the table.
        y_title: What y is, for the table.
        x_axis: plotly's options of the x axis, with its title and range.
        y_axis: plotly's options of the y axis, with its title and range.

    Returns:
        A figure with its words and table inside.
    """
    groups = [(_SEEN, list(seen))]
    if reference is not None:
        groups.append((_REFERENCE._replace(name=reference.name), [reference]))
    if baseline is not None:
        groups.append((_BASELINE, [baseline]))
    groups.append((_NOW, [now]))
    figure = go.Figure(layout=base_layout(title))
    for look, spots in groups:
        if spots:
            figure.add_scatter(**_marks(look, spots, x_title, y_title))
    figure.update_layout(xaxis=x_axis, yaxis=y_axis)
    rows = [
        {"point": look.name, "setting": spot.name, x_title: spot.x_text, y_title: spot.y_text}
        for look, spots in reversed(groups)
        for spot in spots
    ]
    words = "; ".join(
        f"{row['point']}: {row[x_title]} and {row[y_title]}"
        for row in rows
        if row["point"] != _SEEN.name
    )
    return set_caption(figure, f"{title} ({x_title} and {y_title}): {words}.", rows)


def _marks(look: _Look, spots: Sequence[Spot], x_title: str, y_title: str) -> dict[str, Any]:
    return {
        "x": [spot.x for spot in spots],
        "y": [spot.y for spot in spots],
        "text": [
            f"{spot.name}<br>{x_title}: {spot.x_text}<br>{y_title}: {spot.y_text}" for spot in spots
        ],
        "mode": "markers",
        "name": look.name,
        "marker": {
            "symbol": look.symbol,
            "color": look.colour,
            "size": look.size,
            "line": {"width": 2 if look.symbol.endswith("-open") else 0},
        },
        "error_y": _bars(look, spots),
        "cliponaxis": False,
        "hovertemplate": "%{text}<extra>" + look.name + "</extra>",
    }


def _bars(look: _Look, spots: Sequence[Spot]) -> dict[str, Any]:
    ends = [spot.y_interval or (spot.y, spot.y) for spot in spots]
    return {
        "visible": any(spot.y_interval for spot in spots),
        "symmetric": False,
        "array": [end[1] - spot.y for spot, end in zip(spots, ends, strict=True)],
        "arrayminus": [spot.y - end[0] for spot, end in zip(spots, ends, strict=True)],
        "color": look.colour,
        "thickness": 1.5,
        "width": 5,
    }


def linear_axis(title: str, values: Sequence[float], *, from_zero: bool = True) -> dict[str, Any]:
    """Return a linear axis that holds all `values` with room at its ends."""
    low, high = (0.0 if from_zero else min(values)), max(values)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return axis(title, range=[low if from_zero else low - room, high + room], zeroline=False)
