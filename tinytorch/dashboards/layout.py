"""The one look of all figures: sizes, margins, legend, axes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinytorch.dashboards.units import short

HEIGHT = 320
_MOST_TICKS = 8
CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,  # nothing leaves the machine
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}
_FONT = {"size": 13, "family": "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"}


def base_layout(title: str, *, height: int = HEIGHT, legend: bool = True) -> dict[str, Any]:
    """Return the layout every figure starts from: title, legend under it, plot under that."""
    return {
        "template": "none",
        "title": {
            "text": title,
            "font": {"size": 15},
            "x": 0,
            "xanchor": "left",
            "xref": "container",
            "y": 0.98,
            "yanchor": "top",
            "yref": "container",
            "pad": {"l": 10, "t": 4},
        },
        "font": _FONT,
        "height": height,
        "autosize": True,
        "showlegend": legend,
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.0,
            "yanchor": "bottom",
            "font": {"size": 12},
        },
        "margin": {"l": 64, "r": 24, "t": 60 if legend else 40, "b": 52},
        "hoverlabel": {"font": {"size": 12}},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
    }


def axis(title: str, **options: Any) -> dict[str, Any]:
    """Return an axis with a title and a light grid; `options` are plotly's own."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12}},
        "automargin": True,
        "ticks": "outside",
        "ticklen": 5,
        "tickcolor": "rgba(0,0,0,0)",  # a little room between the labels of crossing axes
        "gridcolor": "#e0e0e0",
        "zerolinecolor": "#e0e0e0",
        "tickfont": {"size": 12},
        **options,
    }


def log_axis(
    title: str, limits: tuple[float, float], measured: Iterable[float] = ()
) -> dict[str, Any]:
    """Return a logarithmic axis between two positive values, its ticks plain numbers.

    A few `measured` values are the ticks themselves; else round numbers are.
    """
    low, high = limits
    own = sorted(set(measured))
    ticks = own if 0 < len(own) <= _MOST_TICKS else log_ticks(low, high)
    return axis(
        title,
        type="log",
        range=[math.log10(low), math.log10(high)],
        tickvals=ticks,
        ticktext=[short(tick) for tick in ticks],
        zeroline=False,
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers in the interval: 1, 2, 5, 10 ..., or powers of ten where it is long."""
    steps = (1.0,) if high / low > 200 else (1.0, 2.0, 5.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def decades_around(values: Iterable[float]) -> tuple[float, float]:
    """Return powers of ten around the positive `values`, none of which is at the very edge."""
    smallest, largest = padded(values)
    return 10.0 ** math.floor(math.log10(smallest)), 10.0 ** math.ceil(math.log10(largest))


def padded(values: Iterable[float], factor: float = 1.25) -> tuple[float, float]:
    """Return the ends of a logarithmic axis that leaves room on both sides of the values."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    if not positive:
        return 1.0, 10.0
    return min(positive) / factor, max(positive) * factor


def shortened(name: str, limit: int = 26) -> str:
    """Return `name`, its middle left out where it is longer than `limit` characters."""
    if len(name) <= limit:
        return name
    head = (limit - 1) // 2
    return f"{name[:head]}…{name[head + 1 - limit :]}"
