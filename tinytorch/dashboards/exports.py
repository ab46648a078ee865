"""What a dashboard shows as a file: a page of its own, a table, pictures. Whole files or none."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import io
import json
import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.io import to_html

from tinytorch.dashboards.animation import still
from tinytorch.dashboards.captions import summary_of, table_of, title_of
from tinytorch.dashboards.layout import CONFIG
from tinytorch.dashboards.static import html_table

_STYLE = """
body { font-family: system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.2rem 0.8rem; border-bottom: 1px solid #ddd; text-align: left; }
caption { text-align: left; font-weight: bold; padding: 0.3rem 0; }
"""


def write_html(path: Path, title: str, words: str, figures: Sequence[go.Figure]) -> None:
    """Write one page with the figures, their words and tables; it needs no network."""
    parts = []
    for number, figure in enumerate(figures):
        drawing = to_html(
            figure,
            full_html=False,
            include_plotlyjs=number == 0,  # one copy for the page, from the installed package
            include_mathjax=False,
            auto_play=False,
            config={**CONFIG, "responsive": True},
        )
        table = table_of(figure)
        parts.append(
            f"<section><h2>{escape(title_of(figure))}</h2><p>{escape(summary_of(figure))}</p>"
            f"{drawing}{html_table(title_of(figure), table) if table else ''}</section>"
        )
    page = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(words)}</p>"
        f"{''.join(parts)}</body></html>"
    )
    _write_whole(path, page)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table, its column names first."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    _write_whole(path, text.getvalue())


def write_pngs(folder: Path, figures: Sequence[go.Figure]) -> list[Path]:
    """Write each figure as a PNG into `folder` and return the paths.

    Raises:
        RuntimeError: The optional package kaleido is not installed.
    """
    if importlib.util.find_spec("kaleido") is None:
        raise RuntimeError(
            "PNG pictures need the optional package kaleido and a Chromium: "
            "`pip install kaleido`, or save the page with save_html(path)"
        )
    kaleido = importlib.import_module("kaleido")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for figure in figures:
        size = {"width": 900, "height": figure.layout.height, "scale": 2}
        # Called without plotly's wrapper, which lets kaleido fetch MathJax from the network.
        picture = kaleido.calc_fig_sync(
            json.loads(still(figure).to_json()),
            opts={"format": "png", **size},
            kopts={"mathjax": False},
        )
        path = folder / (re.sub(r"[^a-z0-9]+", "_", title_of(figure).lower()).strip("_") + ".png")
        path.write_bytes(picture)
        paths.append(path)
    return paths


def _write_whole(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
