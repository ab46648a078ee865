"""The words and numbers of a figure, kept inside the figure for whoever cannot see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

Row = Mapping[str, object]


def set_caption(figure: go.Figure, summary: str, table: Sequence[Row]) -> go.Figure:
    """Store what `figure` shows, in words and as a table, in its ``layout.meta``."""
    figure.layout.meta = {"summary": summary, "table": [dict(row) for row in table]}
    return figure


def _meta(figure: go.Figure) -> Mapping[str, Any]:
    meta = figure.layout.meta
    return meta if isinstance(meta, Mapping) else {}


def summary_of(figure: go.Figure) -> str:
    """Return the figure's words; its title for a figure that was made elsewhere."""
    return str(_meta(figure).get("summary") or title_of(figure))


def table_of(figure: go.Figure) -> list[Row]:
    """Return the figure's numbers, a dictionary a row; empty for a figure made elsewhere."""
    return list(_meta(figure).get("table", []))


def title_of(figure: go.Figure) -> str:
    """Return the figure's title as plain text."""
    return str(figure.layout.title.text or "Figure")
