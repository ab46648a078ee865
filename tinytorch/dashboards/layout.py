"""The one look of all figures: sizes, margins, legend, axes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

HEIGHT = 320
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
            "xref": "container",
            "y": 1.0,
            "yanchor": "bottom",
            "font": {"size": 12},
        },
        "margin": {"l": 64, "r": 24, "t": 66 if legend else 42, "b": 52},
        "hoverlabel": {"font": {"size": 12}},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
    }


def axis(title: str, **options: Any) -> dict[str, Any]:
    """Return an axis with a title and a light grid; `options` are plotly's own."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12}},
        "automargin": True,
        "gridcolor": "#e0e0e0",
        "zerolinecolor": "#e0e0e0",
        "tickfont": {"size": 12},
        **options,
    }


def log_axis(
    title: str, limits: tuple[float, float] | None = None, **options: Any
) -> dict[str, Any]:
    """Return a logarithmic axis; `limits` are values (not exponents)."""
    if limits is not None:
        options["range"] = [math.log10(limits[0]), math.log10(limits[1])]
    return axis(title, **{"type": "log", "dtick": 1, "exponentformat": "power"} | options)


def decades_around(values: Iterable[float]) -> tuple[float, float]:
    """Return the powers of ten that enclose the positive `values`, at least one decade apart."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    if not positive:
        return 1.0, 10.0
    low = math.floor(math.log10(min(positive)))
    high = max(math.ceil(math.log10(max(positive))), low + 1)
    return 10.0**low, 10.0**high


def shortened(name: str, limit: int = 26) -> str:
    """Return `name`, its middle left out where it is longer than `limit` characters."""
    if len(name) <= limit:
        return name
    head = (limit - 1) // 2
    return f"{name[:head]}…{name[head + 1 - limit :]}"
