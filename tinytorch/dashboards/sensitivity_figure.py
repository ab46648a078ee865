"""Which layers need their bits: each layer alone at several widths, in small multiples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import axis, base_layout, shortened
from tinytorch.dashboards.results import LayerSensitivity
from tinytorch.dashboards.units import short

_COLUMNS = 6
_MOST_LAYERS = 12
_PANEL, _TOP, _BOTTOM = 105, 84, 52  # pixels: a panel; what stands above and below all of them
_NAMES = 22  # pixels between panels and legend, for the layers' names
_LETTERS, _PART = 14, 3  # of a panel's name, and of its parts where it is too long
_GAP_ACROSS = 0.02  # share of the plot between panels
_GAP_DOWN = 46  # pixels between blocks: ticks of the upper, names of the lower


class _Measure(NamedTuple):
    name: str
    attribute: str
    look: int
    limits: tuple[float, float]


def layer_sensitivity(
    layers: Sequence[LayerSensitivity],
    *,
    metric_name: str = "metric",
    higher_is_better: bool = True,
    full_metric: float | None = None,
    chosen: tuple[str, int] | None = None,
    columns: int = _COLUMNS,
    most: int = _MOST_LAYERS,
    height: int | None = None,
    title: str = "Each layer alone at few bits",
) -> go.Figure:
    """Draw one pair of panels a layer: the model's metric and the layer's SQNR over its bits.

    Args:
        layers: Each with `name`, `bits`, `sqnr_db` and `metric`.
        metric_name: What the metric is, with its unit.
        higher_is_better: Whether a larger metric is a better one.
        full_metric: What the unquantized model reaches: a dotted line.
        chosen: A layer and its bits to mark; it is among those drawn.
        columns: At most so many layers stand side by side.
        most: How many layers are drawn: those with the largest losses. The table has all.
        height: The figure's height in pixels; by default it follows the number of layers.
        title: The figure's title.

    Returns:
        A figure with its words and table inside. All panels of a row share their axis.

    Raises:
        ValueError: A layer's lists differ in length.
    """
    for layer in layers:
        _check(layer)
    losses = [largest_loss(layer, full_metric, higher_is_better) for layer in layers]
    drawn = _most_sensitive(layers, losses, most, chosen)
    blocks = max(1, -(-len(drawn) // columns))
    columns = max(1, -(-len(drawn) // blocks))  # eight layers are four and four, not six and two
    height = height or _TOP + _BOTTOM + 2 * blocks * _PANEL + (blocks - 1) * _GAP_DOWN
    measures = _measures(drawn, metric_name, full_metric)
    grid = _Grid(columns, blocks, height - _TOP - _BOTTOM)
    traces: list[go.Scatter] = []
    layout = base_layout(title, height=height) | {"annotations": []}
    names = panel_names([layer.name for layer in drawn])
    for number, layer in enumerate(drawn):
        layout["annotations"].append(_name_of_panel(grid.place(number, 0), names[number]))
        for row, measure in enumerate(measures):
            place = grid.place(number, row)
            traces += _lines(place, layer, measure, full_metric if row == 0 else None)
            traces += _mark(place, layer, measure, chosen)
            layout |= _panel_axes(place, measure, _widths(layer))
    layout["margin"] |= {"t": _TOP, "b": _BOTTOM}
    layout["legend"]["y"] = 1 + _NAMES / grid.pixels
    figure = go.Figure(traces, layout)
    words = _in_words(title, layers, losses, metric_name, higher_is_better, len(drawn))
    return set_caption(figure, words, _rows(layers, metric_name))


def panel_names(names: Sequence[str]) -> list[str]:
    """Return names short enough for a panel: ``blocks.0.attention.qkv`` is ``blo.0.att.qkv``."""
    ends = {name.rpartition(".")[2] for name in names}
    if len(ends) == 1 and all("." in name for name in names):
        names = [name.rpartition(".")[0] for name in names]  # what all have tells nothing
    if max(map(len, names), default=0) > _LETTERS:
        names = [".".join(part[:_PART] for part in name.split(".")) for name in names]
    return [shortened(name, _LETTERS) for name in names]


def _check(layer: LayerSensitivity) -> None:
    counts = [len(layer.bits), len(layer.sqnr_db), len(layer.metric)]
    if len(set(counts)) > 1:
        raise ValueError(
            f"layer {layer.name!r} has {counts[0]} bits, {counts[1]} sqnr_db and {counts[2]} "
            "metric; give one of each for every width"
        )


def largest_loss(
    layer: LayerSensitivity, full_metric: float | None, higher_is_better: bool
) -> float:
    """Return how much worse the model is at the layer's worst width."""
    if not len(layer.metric):
        return 0.0
    sign = 1.0 if higher_is_better else -1.0
    best = max(sign * value for value in layer.metric)
    reference = best if full_metric is None else sign * full_metric
    return reference - min(sign * value for value in layer.metric)


def _most_sensitive(
    layers: Sequence[LayerSensitivity],
    losses: Sequence[float],
    most: int,
    chosen: tuple[str, int] | None,
) -> list[LayerSensitivity]:
    """Return at most `most` layers, in the model's order, the chosen one among them."""

    def rank(number: int) -> tuple[bool, float]:
        return chosen is None or layers[number].name != chosen[0], -losses[number]

    return [layers[number] for number in sorted(sorted(range(len(layers)), key=rank)[:most])]


def _measures(
    layers: Sequence[LayerSensitivity], metric_name: str, full_metric: float | None
) -> list[_Measure]:
    metrics = [value for layer in layers for value in layer.metric]
    reference = [] if full_metric is None else [full_metric]
    ratios = [value for layer in layers for value in layer.sqnr_db]
    return [
        _Measure(metric_name, "metric", 0, _around([*metrics, *reference])),
        _Measure("SQNR (dB)", "sqnr_db", 1, _around(ratios)),
    ]


def _around(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.12 * (high - low) or 0.1 * abs(high) or 0.5
    return low - room, high + room


class _Place(NamedTuple):
    """Where a panel stands: its axes' names and the part of the plot it fills."""

    serial: int
    row: int
    is_first: bool  # of its line
    is_last_block: bool
    x_domain: tuple[float, float]
    y_domain: tuple[float, float]

    @property
    def axis_number(self) -> str:
        """What plotly puts behind "x" and "xaxis"."""
        return "" if self.serial == 0 else str(self.serial + 1)


class _Grid:
    """Blocks of two rows of panels, a layer's metric above its SQNR."""

    def __init__(self, columns: int, blocks: int, pixels: float) -> None:
        self.columns, self.blocks, self.pixels = columns, blocks, max(1.0, pixels)
        self._gap = min(_GAP_DOWN / self.pixels, 0.6 / blocks)
        self._height = (1.0 - (blocks - 1) * self._gap) / (2 * blocks)
        self._width = (1.0 - (columns - 1) * _GAP_ACROSS) / columns

    def place(self, number: int, row: int) -> _Place:
        """Return where layer `number` has its panel of the given row."""
        block, column = divmod(number, self.columns)
        left = column * (self._width + _GAP_ACROSS)
        top = 1.0 - (2 * block + row) * self._height - block * self._gap
        return _Place(
            2 * number + row,
            row,
            column == 0,
            block == self.blocks - 1,
            (max(0.0, left), min(1.0, left + self._width)),
            (max(0.0, top - 0.94 * self._height), min(1.0, top)),
        )


def _lines(
    place: _Place, layer: LayerSensitivity, measure: _Measure, reference: float | None
) -> list[go.Scatter]:
    look, widths = measure.look, _widths(layer)
    axes = {"xaxis": f"x{place.axis_number}", "yaxis": f"y{place.axis_number}"}
    line = go.Scatter(
        x=[str(bits) for bits in layer.bits],
        y=[float(value) for value in getattr(layer, measure.attribute)],
        mode="lines+markers",
        name=measure.name,
        legendgroup=measure.name,
        showlegend=place.serial == place.row,
        line={"color": palette.colour(look), "dash": palette.dash(look), "width": 2},
        marker={"symbol": palette.symbol(look), "size": 7},
        hovertemplate=f"{layer.name}, %{{x}} bits: %{{y:.4g}}<extra>{measure.name}</extra>",
        **axes,
    )
    if reference is None:
        return [line]
    level = go.Scatter(
        x=[widths[0], widths[-1]],
        y=[reference, reference],
        mode="lines",
        name="full precision",
        legendgroup="full precision",
        showlegend=place.serial == place.row,
        line={"color": palette.BASELINE, "dash": "dot", "width": 2},
        hoverinfo="skip",
        **axes,
    )
    return [line, level]


def _widths(layer: LayerSensitivity) -> list[str]:
    return [str(bits) for bits in sorted(layer.bits, reverse=True)] or [""]


def _panel_axes(place: _Place, measure: _Measure, widths: Sequence[str]) -> dict[str, Any]:
    lower, number = place.row == 1, place.axis_number
    bits = "bits" if lower and place.is_first and place.is_last_block else ""
    return {
        f"xaxis{number}": axis(
            bits,
            domain=place.x_domain,
            anchor=f"y{number}",
            type="category",
            categoryorder="array",
            categoryarray=list(widths),
            range=[-0.4, len(widths) - 0.6],
            showticklabels=lower,
        ),
        f"yaxis{number}": axis(
            measure.name if place.is_first else "",
            domain=place.y_domain,
            anchor=f"x{number}",
            range=list(measure.limits),
            showticklabels=place.is_first,
            nticks=4,
            zeroline=False,
        ),
    }


def _name_of_panel(place: _Place, name: str) -> dict[str, Any]:
    return {
        "text": name,
        "x": sum(place.x_domain) / 2,
        "y": place.y_domain[1],
        "xref": "paper",
        "yref": "paper",
        "xanchor": "center",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 12},
    }


def _mark(
    place: _Place, layer: LayerSensitivity, measure: _Measure, chosen: tuple[str, int] | None
) -> list[go.Scatter]:
    """Return a ring around what was chosen, where it is in this panel."""
    if chosen is None or chosen[0] != layer.name or chosen[1] not in list(layer.bits):
        return []
    at = list(layer.bits).index(chosen[1])
    ring = go.Scatter(
        x=[str(chosen[1])],
        y=[float(getattr(layer, measure.attribute)[at])],
        xaxis=f"x{place.axis_number}",
        yaxis=f"y{place.axis_number}",
        mode="markers",
        name="chosen",
        legendgroup="chosen",
        showlegend=place.row == 0,
        marker={
            "symbol": "circle-open",
            "size": 15,
            "color": palette.colour(2),
            "line": {"width": 3},
        },
        hoverinfo="skip",
    )
    return [ring]


def _in_words(
    title: str,
    layers: Sequence[LayerSensitivity],
    losses: Sequence[float],
    metric_name: str,
    higher_is_better: bool,
    drawn: int,
) -> str:
    if not layers:
        return f"{title}: nothing was recorded."
    ranked = sorted(zip(losses, (layer.name for layer in layers), strict=True), reverse=True)
    word = "falls" if higher_is_better else "rises"
    worst = ", ".join(f"{name} by {short(loss)}" for loss, name in ranked[:3])
    hidden = len(layers) - drawn
    more = f" {hidden} less sensitive layers are in the table alone." if hidden else ""
    return f"{title}: the {metric_name} {word} most with {worst}.{more}"


def _rows(layers: Sequence[LayerSensitivity], metric_name: str) -> list[dict[str, object]]:
    return [
        {
            "layer": layer.name,
            "bits": int(bits),
            "SQNR (dB)": short(float(ratio)),
            metric_name: short(float(metric)),
        }
        for layer in layers
        for bits, ratio, metric in zip(layer.bits, layer.sqnr_db, layer.metric, strict=True)
    ]
