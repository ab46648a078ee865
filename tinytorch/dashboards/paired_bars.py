"""Horizontal bars of one measurement, beside those of an earlier one on the same axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.layout import axis, base_layout, shortened
from tinytorch.dashboards.units import Unit


class Bar(NamedTuple):
    """One row: what it is called, what is written at its end, its lengths in base units."""

    label: str
    text: str
    now: float
    before: float


def paired_bars(
    bars: Sequence[Bar],
    *,
    title: str,
    baseline_name: str | None,
    axis_title: str,
    unit: Unit,
    limit: float,
    marker: Mapping[str, object],
) -> go.Figure:
    """Draw `bars` from top to bottom; without a `baseline_name` there is no earlier measurement."""
    figure = go.Figure(layout=base_layout(title, legend=baseline_name is not None))
    labels = [shortened(bar.label) for bar in bars]
    if baseline_name is not None:
        figure.add_bar(
            y=labels,
            x=[bar.before / unit.size for bar in bars],
            orientation="h",
            name=baseline_name,
            marker=palette.BASELINE_BAR,
            hovertemplate=f"%{{y}}: %{{x:.4g}} {unit.name}<extra>{baseline_name}</extra>",
        )
    figure.add_bar(
        y=labels,
        x=[bar.now / unit.size for bar in bars],
        orientation="h",
        name="now",
        marker=marker,
        text=[bar.text for bar in bars],
        textposition="outside",
        constraintext="none",
        cliponaxis=False,
        hovertemplate=f"%{{y}}: %{{x:.4g}} {unit.name} (%{{text}})<extra>now</extra>",
    )
    return figure.update_layout(
        barmode="group",
        bargap=0.25,
        xaxis=axis(f"{axis_title} ({unit.name})", range=[0, 1.2 * limit / unit.size]),
        yaxis=axis("", autorange="reversed", showgrid=False),
    )
