"""Where the time went: bars by operation, and the nesting as an icicle."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import base_layout, shortened
from tinytorch.dashboards.paired_bars import Bar, paired_bars
from tinytorch.dashboards.results import Region
from tinytorch.dashboards.units import format_ns, time_unit

_OTHER = "other"
_OUTERMOST = "#595959"


def op_time_bars(
    regions: Sequence[Region],
    *,
    baseline: Sequence[Region] = (),
    baseline_name: str = "baseline",
    limit_ns: float | None = None,
    rows: int = 8,
    title: str = "Time by operation",
) -> go.Figure:
    """Draw the time spent in each region itself, regions of one name together.

    Args:
        regions: What was measured; bars are sums of `exclusive_ns`, so the shares sum to 100 %.
        baseline: An earlier measurement, drawn beside it on the same axis.
        baseline_name: What the legend calls it.
        limit_ns: The time axis reaches at least this far. Give it when several figures are to
            be compared; by default the longest bar of both measurements sets the end.
        rows: How many names are shown; the rest is one bar, "other".
        title: The figure's title.

    Returns:
        A figure with its words and table inside.
    """
    now, before = own_time_by_name(regions), own_time_by_name(baseline)
    names = _shown(before, now, rows)
    now, before = _folded(now, names), _folded(before, names)
    if _OTHER in now or _OTHER in before:
        names = [*names, _OTHER]
    limit_ns = max([limit_ns or 1.0, *now.values(), *before.values()])
    total = sum(now.values()) or 1.0
    shares = [now.get(name, 0.0) / total for name in names]
    figure = paired_bars(
        [
            Bar(name, f"{share:.0%}", now.get(name, 0.0), before.get(name, 0.0))
            for name, share in zip(names, shares, strict=True)
        ],
        title=title,
        baseline_name=baseline_name if before else None,
        axis_title="time",
        unit=time_unit(limit_ns),
        limit=limit_ns,
        marker={"color": palette.colour(0)},
    )
    return set_caption(
        figure, _bars_in_words(names, now, shares), _rows(names, now, before, shares)
    )


def own_time_by_name(regions: Sequence[Region]) -> dict[str, float]:
    """Return exclusive nanoseconds by name, regions of one name together."""
    times: dict[str, float] = {}
    for region in regions:
        times[region.name] = times.get(region.name, 0.0) + region.exclusive_ns
    return times


def longest_bar_ns(regions: Sequence[Region]) -> float:
    """Return the longest time under one name, at least one nanosecond."""
    return max([*own_time_by_name(regions).values(), 1.0])


def _shown(before: dict[str, float], now: dict[str, float], rows: int) -> list[str]:
    """Return the names with the largest shares, in the first measurement's order."""
    share = _largest_shares(before, now)
    shown = sorted(share, key=lambda name: -share[name])[:rows]
    first = before or now
    return sorted(shown, key=lambda name: (-first.get(name, 0.0), -now.get(name, 0.0)))


def _largest_shares(*measurements: dict[str, float]) -> dict[str, float]:
    largest: dict[str, float] = {}
    for times in measurements:
        total = sum(times.values()) or 1.0
        for name, time in times.items():
            largest[name] = max(largest.get(name, 0.0), time / total)
    return largest


def _folded(times: dict[str, float], names: Sequence[str]) -> dict[str, float]:
    kept = {name: time for name, time in times.items() if name in names}
    rest = sum(time for name, time in times.items() if name not in names)
    if rest:
        kept[_OTHER] = kept.get(_OTHER, 0.0) + rest
    return kept


def _bars_in_words(names: Sequence[str], now: dict[str, float], shares: Sequence[float]) -> str:
    if not now:
        return "Time by operation: nothing was recorded."
    ranked = sorted(zip(names, shares, strict=True), key=lambda pair: -pair[1])
    parts = ", ".join(
        f"{name} {format_ns(now.get(name, 0.0))} ({share:.0%})" for name, share in ranked
    )
    return f"Time by operation, {format_ns(sum(now.values()))} in all: {parts}."


def _rows(
    names: Sequence[str],
    now: dict[str, float],
    before: dict[str, float],
    shares: Sequence[float],
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name, share in zip(names, shares, strict=True):
        row: dict[str, object] = {"operation": name, "time": format_ns(now.get(name, 0.0))}
        row["share"] = f"{share:.1%}"
        if before:
            row["baseline"] = format_ns(before.get(name, 0.0))
        rows.append(row)
    return rows


def icicle(regions: Sequence[Region], *, title: str = "Time by nesting") -> go.Figure:
    """Draw the nesting of regions; a box is as wide as the region's time, its own and its parts'.

    Args:
        regions: Regions with their `path`, outermost first; a parent that was not measured
            itself gets a box as wide as its parts.
        title: The figure's title.

    Returns:
        A figure with its words and table inside. A click on a box zooms in.
    """
    boxes = _boxes(regions)
    total = sum(boxes.values())
    ids = list(boxes)
    colours = _coloursown_time_by_name(ids)
    figure = go.Figure(
        go.Icicle(
            ids=["/".join(path) for path in ids],
            labels=[shortened(path[-1]) for path in ids],
            parents=["/".join(path[:-1]) for path in ids],
            values=list(boxes.values()),  # each box its own time; plotly adds the parts
            branchvalues="remainder",
            tiling={"orientation": "v"},
            marker={
                "colors": [colours[path[-1]] for path in ids],
                "line": {"color": "#ffffff", "width": 1},
            },
            texttemplate="%{label}<br>%{percentRoot:.0%}",
            textfont={"color": "#ffffff", "size": 13},
            insidetextfont={"color": "#ffffff", "size": 13},
            hovertemplate="%{id}<br>%{percentRoot:.1%} of the whole<extra></extra>",
            pathbar={"visible": False},
            leaf={"opacity": 1},
            sort=False,
        ),
        base_layout(title, legend=False),
    )
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 42, "b": 8}, uniformtext={"minsize": 11, "mode": "hide"}
    )
    return set_caption(figure, _nesting_in_words(regions, total), _nesting_rows(regions))


def _boxes(regions: Sequence[Region]) -> dict[tuple[str, ...], float]:
    """Return own time by path, a parent before its parts, regions of one path together."""
    boxes: dict[tuple[str, ...], float] = {}
    for region in sorted(regions, key=lambda region: len(region.path)):
        for depth in range(1, len(region.path)):
            boxes.setdefault(region.path[:depth], 0.0)
        boxes[region.path] = boxes.get(region.path, 0.0) + region.exclusive_ns
    return boxes


def _coloursown_time_by_name(paths: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """Give each name one colour; every box also says its name, so hue is not the only sign."""
    inner = dict.fromkeys(path[-1] for path in paths if len(path) > 1)
    colours = {path[-1]: _OUTERMOST for path in paths if len(path) == 1}
    for index, name in enumerate(inner):
        colours[name] = palette.behind_white_text(index)
    return colours


def _nesting_in_words(regions: Sequence[Region], total: float) -> str:
    if not regions or not total:
        return "Time by nesting: nothing was recorded."
    widest = sorted(
        (region for region in regions if len(region.path) > 1),
        key=lambda region: -region.inclusive_ns,
    )[:3]
    parts = ", ".join(f"{' / '.join(r.path)} {r.inclusive_ns / total:.0%}" for r in widest)
    return f"Time by nesting, {format_ns(total)} in all" + (f"; widest: {parts}." if parts else ".")


def _nesting_rows(regions: Sequence[Region]) -> list[dict[str, object]]:
    return [
        {
            "region": " / ".join(region.path),
            "calls": region.calls,
            "with its parts": format_ns(region.inclusive_ns),
            "itself": format_ns(region.exclusive_ns),
        }
        for region in regions
    ]
