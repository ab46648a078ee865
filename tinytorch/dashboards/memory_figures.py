"""Where the memory was: live bytes over time, and bytes by category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import axis, base_layout
from tinytorch.dashboards.paired_bars import Bar, paired_bars
from tinytorch.dashboards.results import MemorySample
from tinytorch.dashboards.units import Unit, format_bytes, format_ns, size_unit, time_unit

_MOST_POINTS = 2000


def memory_timeline(
    samples: Sequence[MemorySample],
    *,
    baseline: Sequence[MemorySample] = (),
    baseline_name: str = "baseline",
    limit_bytes: float | None = None,
    limit_ns: float | None = None,
    title: str = "Live memory over time",
) -> go.Figure:
    """Draw live bytes as steps over time, the peak marked.

    Args:
        samples: (time_ns, live_bytes, label) in order of time; the axis starts at the first.
        baseline: An earlier measurement, drawn dashed on the same axes.
        baseline_name: What the legend calls it.
        limit_bytes: The end of the bytes axis; by default the higher peak sets it.
        limit_ns: The end of the time axis; by default the longer run sets it.
        title: The figure's title.

    Returns:
        A figure with its words and table inside.
    """
    everything = [*samples, *baseline]
    limit_bytes = limit_bytes or max([*(size for _, size, _ in everything), 1])
    limit_ns = limit_ns or max(duration_ns(samples), duration_ns(baseline), 1)
    size, time = size_unit(limit_bytes), time_unit(limit_ns)
    figure = go.Figure(layout=base_layout(title, legend=bool(baseline)))
    if baseline:
        figure.add_scatter(
            **_steps(baseline, time, size),
            name=baseline_name,
            line={"shape": "hv", "color": palette.BASELINE, "width": 2, "dash": "dash"},
        )
    figure.add_scatter(
        **_steps(samples, time, size),
        name="now",
        line={"shape": "hv", "color": palette.colour(0), "width": 2},
    )
    if samples:
        _mark_peak(figure, samples, time, size)
    figure.update_layout(
        xaxis=axis(f"time ({time.name})", range=[0, 1.02 * limit_ns / time.size]),
        yaxis=axis(f"live ({size.name})", range=[0, 1.18 * limit_bytes / size.size]),
    )
    return set_caption(figure, _timeline_in_words(samples), _largest_rises(samples))


def duration_ns(samples: Sequence[MemorySample]) -> int:
    """Return the time from the first sample to the last, nanoseconds."""
    return samples[-1][0] - samples[0][0] if samples else 0


def _steps(samples: Sequence[MemorySample], time: Unit, size: Unit) -> dict[str, object]:
    start = samples[0][0] if samples else 0
    kept = _thinned(samples)
    return {
        "x": [(at - start) / time.size for at, _, _ in kept],
        "y": [live / size.size for _, live, _ in kept],
        "text": [label for _, _, label in kept],
        "mode": "lines",
        "hovertemplate": f"%{{text}}<br>%{{x:.4g}} {time.name}, %{{y:.4g}} {size.name}",
    }


def _thinned(samples: Sequence[MemorySample]) -> list[MemorySample]:
    """Keep the highest sample of each stretch: a long run draws quickly and keeps its peak."""
    if len(samples) <= _MOST_POINTS:
        return list(samples)
    stretch = -(-len(samples) // _MOST_POINTS)
    parts = [samples[start : start + stretch] for start in range(0, len(samples), stretch)]
    return [max(part, key=lambda sample: sample[1]) for part in parts]


def _mark_peak(figure: go.Figure, samples: Sequence[MemorySample], time: Unit, size: Unit) -> None:
    at, live, label = max(samples, key=lambda sample: sample[1])
    duration = duration_ns(samples) or 1
    late = (at - samples[0][0]) / duration > 0.5
    figure.add_scatter(
        x=[(at - samples[0][0]) / time.size],
        y=[live / size.size],
        mode="markers+text",
        marker={"color": palette.colour(1), "symbol": "diamond", "size": 10},
        text=[f"peak {format_bytes(live)}"],
        textposition="top left" if late else "top right",
        cliponaxis=False,
        showlegend=False,
        hovertemplate=f"peak, at {label}<extra></extra>",
    )


def _timeline_in_words(samples: Sequence[MemorySample]) -> str:
    if not samples:
        return "Live memory over time: nothing was recorded."
    at, live, label = max(samples, key=lambda sample: sample[1])
    after, whole = format_ns(at - samples[0][0]), format_ns(duration_ns(samples))
    return (
        f"Live memory over {whole}: the peak of {format_bytes(live)} comes after {after}, "
        f"at {label}; at the end {format_bytes(samples[-1][1])} are live."
    )


def _largest_rises(samples: Sequence[MemorySample], rows: int = 8) -> list[dict[str, object]]:
    if not samples:
        return []
    start = samples[0][0]
    steps = [
        (after[1] - before[1], after) for before, after in pairwise(samples) if after[1] > before[1]
    ]
    largest = sorted(steps, key=lambda step: -step[0])[:rows]
    return [
        {
            "at": format_ns(at - start),
            "what": label,
            "added": format_bytes(added),
            "live": format_bytes(live),
        }
        for added, (at, live, label) in sorted(largest, key=lambda step: step[1][0])
    ]


_CATEGORIES = ("parameters", "gradients", "optimizer_state", "activations")


def memory_breakdown(
    categories: Mapping[str, int],
    *,
    baseline: Mapping[str, int] | None = None,
    baseline_name: str = "baseline",
    limit_bytes: float | None = None,
    title: str = "Memory by category",
) -> go.Figure:
    """Draw bytes by category, one bar each, with the peak as a bar of its own.

    Args:
        categories: Bytes by name; `parameters`, `gradients`, `optimizer_state` and
            `activations` come first, `peak` last.
        baseline: An earlier measurement, drawn beside it on the same axis.
        baseline_name: What the legend calls it.
        limit_bytes: The end of the axis; by default the longest bar sets it.
        title: The figure's title.

    Returns:
        A figure with its words and table inside.
    """
    before = dict(baseline or {})
    names = _in_order(categories, before)
    limit_bytes = limit_bytes or max([*categories.values(), *before.values(), 1])
    bars = [
        Bar(_spoken(name), format_bytes(size), size, before.get(name, 0))
        for name in names
        for size in [categories.get(name, 0)]
    ]
    figure = paired_bars(
        bars,
        title=title,
        baseline_name=baseline_name if before else None,
        axis_title="size",
        unit=size_unit(limit_bytes),
        limit=limit_bytes,
        marker={
            "color": [palette.colour(1 if name == "peak" else 0) for name in names],
            "pattern": {
                "shape": ["/" if name == "peak" else "" for name in names],
                "solidity": 0.2,
            },
        },
    )
    parts = ", ".join(f"{bar.label} {bar.text}" for bar in bars)
    return set_caption(figure, f"{title}: {parts}.", _category_rows(bars, bool(before)))


def _in_order(categories: Mapping[str, int], before: Mapping[str, int]) -> list[str]:
    given = {**categories, **before}
    names = [name for name in dict.fromkeys([*_CATEGORIES, *given]) if name in given]
    return sorted(names, key=lambda name: name == "peak")  # the whole after its parts


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _category_rows(bars: Sequence[Bar], with_baseline: bool) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for bar in bars:
        baseline = {"baseline": format_bytes(bar.before)} if with_baseline else {}
        rows.append({"category": bar.label, "size": bar.text, **baseline})
    return rows
