"""Figures that outlive the kernel: drawn by JupyterLab without it, a table where nothing can draw.

JupyterLab draws plotly's MIME type with the extension that comes with the plotly package, so
nothing is fetched. nbconvert, nbgrader's feedback and screen readers get words and a table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go
from IPython.display import display

from tinytorch.dashboards.captions import Row, summary_of, table_of, title_of
from tinytorch.dashboards.layout import CONFIG

PLOTLY_MIME = "application/vnd.plotly.v1+json"


def show(figure: go.Figure, summary: str | None = None, table: Sequence[Row] | None = None) -> None:
    """Display a figure that stays in the saved notebook, its words below it.

    Args:
        figure: Any plotly figure.
        summary: What it shows, in words; by default the words the figure carries.
        table: Its numbers, a dictionary a row, all with the same keys; by default those
            the figure carries.
    """
    words = summary_of(figure) if summary is None else summary
    rows = table_of(figure) if table is None else table
    display(static_bundle(figure, rows), raw=True)  # type: ignore[no-untyped-call]
    display({"text/plain": words, "text/html": f"<p>{escape(words)}</p>"}, raw=True)  # type: ignore[no-untyped-call]


def static_bundle(figure: go.Figure, table: Sequence[Row]) -> dict[str, object]:
    """Return the MIME bundle of a figure: the picture, and the table for whoever cannot draw it."""
    title = title_of(figure)
    drawing = json.loads(figure.to_json())
    drawing["layout"].pop(
        "meta", None
    )  # the words stand beside the picture; do not store them twice
    return {
        PLOTLY_MIME: {**drawing, "config": {**CONFIG, "responsive": True}},
        "text/html": html_table(title, table) if table else f"<p><b>{escape(title)}</b></p>",
        "text/plain": title,
    }


def html_table(caption: str, table: Sequence[Row]) -> str:
    """Return rows as an accessible HTML table; the first column names the row.

    Raises:
        ValueError: The rows do not all have the same keys.
    """
    columns = list(table[0])
    for number, row in enumerate(table):
        if list(row) != columns:
            raise ValueError(
                f"row {number} of the table {caption!r} has the columns {list(row)}, "
                f"row 0 has {columns}; give every row the same keys in the same order"
            )
    head = "".join(f'<th scope="col">{escape(str(column))}</th>' for column in columns)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in table)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cells(row: Row) -> str:
    first, *others = (escape(_text(value)) for value in row.values())
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
