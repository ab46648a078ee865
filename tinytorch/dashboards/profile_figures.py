"""The four figures of one profile beside its baseline, on axes that several profiles share."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tinytorch.dashboards.memory_figures import duration_ns, memory_timeline
from tinytorch.dashboards.results import ProfileResult
from tinytorch.dashboards.roofline_figure import roofline, roofline_axes
from tinytorch.dashboards.time_figures import icicle, longest_bar_ns, op_time_bars

_ROWS = 6
_HEIGHT = 285  # two rows of charts and the words above them fit a laptop's screen


def profile_figures(
    now: ProfileResult,
    baseline: ProfileResult,
    compared: Sequence[ProfileResult],
) -> list[go.Figure]:
    """Draw time by operation, nesting, memory and roofline.

    Args:
        now: The profile to draw.
        baseline: The profile to draw beside it; the same object leaves it out.
        compared: All profiles whose figures are to be compared; the axes hold every one of them.

    Returns:
        The figures, in this order.
    """
    before = None if baseline is now else baseline
    bars = op_time_bars(
        now.regions,
        baseline=before.regions if before else (),
        rows=_ROWS,
        limit_ns=max(longest_bar_ns(profile.regions) for profile in compared),
    )
    memory = memory_timeline(
        now.timeline,
        baseline=before.timeline if before else (),
        limit_bytes=max([1, *(size for p in compared for _, size, _ in p.timeline)]),
        limit_ns=max([1, *(duration_ns(profile.timeline) for profile in compared)]),
    )
    roof = roofline(
        now.ceilings,
        now.roofline_points,
        baseline_points=before.roofline_points if before else (),
        axes=roofline_axes(now.ceilings, [point for p in compared for point in p.roofline_points]),
    )
    figures = [bars, icicle(now.regions), memory, roof]
    for figure in figures:
        figure.layout.height = _HEIGHT
    return figures
