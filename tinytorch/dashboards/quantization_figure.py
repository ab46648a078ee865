"""Values before quantization and the grid they must move to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import HEIGHT, axis, base_layout, log_axis, log_ticks
from tinytorch.dashboards.units import short

Limits = tuple[float, float]

_BINS = 80
_MOST_MARKS = 600  # more levels than pixels cannot be told apart
_FLOOR = 0.5  # where a logarithmic axis of counts begins


def quantization_histogram(
    values: ArrayLike,
    levels: ArrayLike,
    clip: Limits | None = None,
    *,
    baseline_levels: ArrayLike | None = None,
    limits: Limits | None = None,
    bins: int = _BINS,
    height: int | None = None,
    title: str = "Values and the grid",
) -> go.Figure:
    """Draw how often values occur, the levels they are rounded to, and the range that is kept.

    Args:
        values: What is quantized, any shape.
        levels: The values that can be stored, in the same unit: (levels,), or (grids, levels)
            where channels or groups have their own.
        clip: The range of the grid; outside it is shaded. By default the outermost levels.
        baseline_levels: An earlier grid, drawn in grey below.
        limits: Ends of the axis; by default all values and the clip range.
        bins: How many bins between the limits.
        height: The figure's height in pixels.
        title: The figure's title.

    Returns:
        A figure with its words and table inside. Counts are on a logarithmic axis: one outlier
        among a million values is seen.

    Raises:
        ValueError: A value or a level is NaN or infinite.
    """
    data, grid = _finite(values, "value"), np.unique(_finite(levels, "level"))
    clip = clip if clip is not None else _ends(grid)
    limits = limits or _limits(data, clip)
    figure = go.Figure(layout=base_layout(title, height=height or HEIGHT))
    counts, edges = np.histogram(data, bins=bins, range=limits)
    heights = _Heights(int(counts.max(initial=2)))
    _add_clip(figure, clip, limits)
    figure.add_scatter(**_outline(counts, edges))
    if baseline_levels is not None:
        earlier = np.unique(_finite(baseline_levels, "level of the baseline"))
        marks = _level_marks(earlier, "baseline's levels", palette.BASELINE, heights.lower_strip)
        figure.add_scatter(**marks)
    figure.add_scatter(**_level_marks(grid, "levels", palette.colour(1), heights.upper_strip))
    figure.update_layout(
        xaxis=axis("value", range=_with_room(limits), zeroline=False), yaxis=heights.axis()
    )
    facts = _facts(data, np.asarray(levels, dtype=np.float64), clip)
    return set_caption(figure, _in_words(title, facts), [facts])


def value_limits(values: np.ndarray, clip: Limits) -> Limits:
    """Return ends of an axis that hold all values and the clip range."""
    return _limits(_finite(values, "value"), clip)


def _finite(values: ArrayLike, what: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64).ravel()
    wrong = np.flatnonzero(~np.isfinite(array))
    if wrong.size:
        raise ValueError(
            f"{wrong.size} of {array.size} {what}s are NaN or infinite, the first at flat index "
            f"{wrong[0]}; give finite numbers"
        )
    return array


def _ends(grid: np.ndarray) -> Limits:
    return (float(grid[0]), float(grid[-1])) if grid.size else (0.0, 0.0)


def _limits(data: np.ndarray, clip: Limits) -> Limits:
    low = min(float(data.min(initial=math.inf)), float(clip[0]))
    high = max(float(data.max(initial=-math.inf)), float(clip[1]))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _with_room(limits: Limits) -> list[float]:
    room = 0.03 * (limits[1] - limits[0])
    return [limits[0] - room, limits[1] + room]


def _outline(counts: np.ndarray, edges: np.ndarray) -> dict[str, Any]:
    heights = np.append(counts, counts[-1:]).astype(float)  # the last step reaches the last edge
    return {
        "x": edges,
        "y": np.maximum(heights, _FLOOR),
        "mode": "lines",
        "name": "values",
        "line": {"shape": "hv", "color": palette.colour(0), "width": 2},
        "hovertemplate": "from %{x:.4g}: %{y:.0f}<extra>values</extra>",
    }


class _Heights:
    """A logarithmic axis of counts with two strips below it, where the grids lie."""

    def __init__(self, most: int) -> None:
        self._most = max(2, most)
        decades = math.log10(self._most / _FLOOR)
        self.upper_strip = _FLOOR * 10.0 ** (-0.09 * decades)
        self.lower_strip = _FLOOR * 10.0 ** (-0.21 * decades)
        self._end = _FLOOR * 10.0 ** (-0.29 * decades)

    def axis(self) -> dict[str, Any]:
        """Return the axis, with ticks at whole counts only."""
        counts = log_ticks(1.0, 1.6 * self._most)
        options = log_axis("values in a bin", (self._end, 1.6 * self._most))
        return {**options, "tickvals": counts, "ticktext": [short(count) for count in counts]}


def _level_marks(grid: np.ndarray, name: str, colour: str, height: float) -> dict[str, Any]:
    shown = grid[:: max(1, -(-len(grid) // _MOST_MARKS))]
    return {
        "x": shown,
        "y": np.full(len(shown), height),
        "mode": "markers",
        "name": name,
        "marker": {
            "symbol": "line-ns",
            "size": 11,
            "line": {"color": colour, "width": 1.5 if len(shown) < 80 else 1},
        },
        "hovertemplate": f"%{{x:.4g}}<extra>{name}</extra>",
    }


def _add_clip(figure: go.Figure, clip: Limits, limits: Limits) -> None:
    """Shade what lies outside the range of the grid."""
    low, high = _with_room(limits)
    for start, end in ((low, clip[0]), (clip[1], high)):
        figure.add_vrect(
            x0=start,
            x1=max(start, end),
            fillcolor=palette.BASELINE,
            opacity=0.22,
            line_width=0,
            layer="below",
        )


def _facts(data: np.ndarray, levels: np.ndarray, clip: Limits) -> dict[str, object]:
    outside = int(((data < clip[0]) | (data > clip[1])).sum())
    each_row = np.atleast_2d(levels) if levels.size else np.zeros((0, 1))
    grids = np.sort(each_row.reshape(-1, each_row.shape[-1]), axis=1)  # (grids, levels)
    steps = np.diff(grids, axis=1)
    steps = steps[steps > 0]
    each = f" in each of {len(grids)} grids" if len(grids) > 1 else ""
    return {
        "values": data.size,
        "smallest": short(float(data.min())) if data.size else "none",
        "largest": short(float(data.max())) if data.size else "none",
        "levels": f"{len(np.unique(grids[0]))}{each}" if levels.size else "none",
        "step": short(float(np.median(steps))) if steps.size else "none",
        "range of the grid": f"{short(float(clip[0]))} to {short(float(clip[1]))}",
        "outside": f"{outside} ({outside / data.size:.2%})" if data.size else "0",
    }


def _in_words(title: str, facts: dict[str, object]) -> str:
    if not facts["values"]:
        return f"{title}: no values were given."
    count, _, where = str(facts["levels"]).partition(" ")
    levels = f"{count} levels {where}".strip()
    return (
        f"{title}: {facts['values']} values from {facts['smallest']} to {facts['largest']}; "
        f"{levels}, typically {facts['step']} apart; the grid covers "
        f"{facts['range of the grid']}, outside lie {facts['outside']}."
    )
