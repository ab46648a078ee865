"""The four figures of one profile beside its baseline, on axes that several profiles share."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tinytorch.dashboards.memory_figures import duration_ns, memory_timeline
from tinytorch.dashboards.results import ProfileResult
from tinytorch.dashboards.roofline_figure import roofline, roofline_axes
from tinytorch.dashboards.time_figures import icicle, longest_bar_ns, op_time_bars


def profile_figures(
    now: ProfileResult,
    baseline: ProfileResult,
    baseline_name: str,
    compared: Sequence[ProfileResult],
) -> list[go.Figure]:
    """Draw time by operation, nesting, memory and roofline.

    Args:
        now: The profile to draw.
        baseline: The profile to draw beside it; the same object leaves it out.
        baseline_name: What the legends call it.
        compared: All profiles whose figures are to be compared; the axes hold every one of them.

    Returns:
        The figures, in this order.
    """
    before = None if baseline is now else baseline
    bars = op_time_bars(
        now.regions,
        baseline=before.regions if before else (),
        baseline_name=baseline_name,
        limit_ns=max(longest_bar_ns(profile.regions) for profile in compared),
    )
    memory = memory_timeline(
        now.timeline,
        baseline=before.timeline if before else (),
        baseline_name=baseline_name,
        limit_bytes=max([1, *(size for p in compared for _, size, _ in p.timeline)]),
        limit_ns=max([1, *(duration_ns(profile.timeline) for profile in compared)]),
    )
    roof = roofline(
        now.ceilings,
        now.roofline_points,
        baseline_points=before.roofline_points if before else (),
        baseline_name=baseline_name,
        axes=roofline_axes(now.ceilings, [point for p in compared for point in p.roofline_points]),
    )
    return [bars, icicle(now.regions), memory, roof]
