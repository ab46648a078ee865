"""Live plotly charts in a notebook, drawn from one copy of plotly.js a page.

plotly's own ``FigureWidget`` sends its bundle of 5 MB once for each figure. Here one
``PlotlyOnce`` brings it to the page, and every ``Chart`` waits for it.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import anywidget
import plotly
import plotly.graph_objects as go
import traitlets

from tinytorch.dashboards.captions import summary_of
from tinytorch.dashboards.layout import CONFIG

_HERE = Path(__file__).parent


@cache
def _packed_plotly() -> bytes:
    bundle = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return gzip.compress(bundle.read_bytes(), compresslevel=6, mtime=0)


class PlotlyOnce(anywidget.AnyWidget):
    """Carries the plotly.js of the installed plotly package to the page; nothing is fetched."""

    _esm = _HERE / "plotly_once.js"
    packed = traitlets.Bytes(help="plotly.min.js, gzipped").tag(sync=True)

    @traitlets.default("packed")
    def _default_packed(self) -> bytes:
        return _packed_plotly()


_carriers: list[PlotlyOnce] = []


def plotly_once() -> PlotlyOnce:
    """Return this kernel's one carrier of plotly.js, making it at the first call."""
    if not _carriers or _carriers[0].comm is None:
        _carriers[:] = [PlotlyOnce()]
    return _carriers[0]


class Chart(anywidget.AnyWidget):
    """One plotly figure that fills its width, follows the theme, and has an accessible name."""

    _esm = _HERE / "chart.js"
    _css = _HERE / "chart.css"
    figure_json = traitlets.Unicode('{"data": [], "layout": {}}').tag(sync=True)
    config = traitlets.Dict(CONFIG).tag(sync=True)
    description_text = traitlets.Unicode("").tag(sync=True)

    def __init__(self, figure: go.Figure | None = None, summary: str | None = None) -> None:
        plotly_once()
        super().__init__()
        if figure is not None:
            self.draw(figure, summary)

    def draw(self, figure: go.Figure, summary: str | None = None) -> None:
        """Show `figure`; `summary` says what it shows (by default the words it carries)."""
        with self.hold_sync():  # one message, one redraw
            self.description_text = summary_of(figure) if summary is None else summary
            self.figure_json = figure.to_json()
