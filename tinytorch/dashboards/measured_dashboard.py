"""What every dashboard does: measure what the controls say, draw it, say it, keep it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Generic

import ipywidgets
import plotly.graph_objects as go
from IPython.display import DisplayHandle, display

from tinytorch.dashboards.captions import table_of, title_of
from tinytorch.dashboards.charts import Chart
from tinytorch.dashboards.controls import button, grid, row
from tinytorch.dashboards.error_words import error_as_html, error_in_words
from tinytorch.dashboards.exports import write_csv, write_html, write_pngs
from tinytorch.dashboards.settings import MeasuredSettings, ResultT, SettingT
from tinytorch.dashboards.static import html_table, show

_INSTEAD = "Run this cell in JupyterLab to use the dashboard. What it showed last:"
_INSTEAD_HTML = f"<p><em>{_INSTEAD}</em></p>"


class MeasuredDashboard(ipywidgets.VBox, Generic[SettingT, ResultT]):  # type: ignore[misc]
    """Controls above words and charts. Every setting is measured once and kept.

    A dashboard of its own kind gives a title, `setting`, `_drawn` and `_csv`.

    Args:
        settings: Measures and keeps.
        controls: What `setting` reads, from left to right.
        charts: How many figures `_drawn` returns.
    """

    _title = ""

    def __init__(
        self,
        settings: MeasuredSettings[SettingT, ResultT],
        controls: Sequence[Any],
        charts: int,
    ) -> None:
        self._settings = settings
        self.error: Exception | None = None
        self._figures: list[go.Figure] = []
        self._sentences: list[str] = []
        self._record: DisplayHandle | None = None
        self._words = ipywidgets.HTML().add_class("tinytorch-words")
        self._charts = [Chart() for _ in range(charts)]
        self._grid = grid(self._charts)
        again = button("measure again", lambda: self._follow(again=True))
        rebase = button("use as baseline", self._rebase)
        super().__init__(
            [row([*controls, again, rebase]), self._words, self._grid],
            layout=ipywidgets.Layout(width="100%"),
        )
        self.add_class("tinytorch-dashboard")
        for control in controls:
            control.observe(lambda change: self._follow(), "value")
        self._follow()

    @property
    def setting(self) -> SettingT:
        """What the controls say."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it reads its controls")

    def _drawn(self) -> tuple[list[go.Figure], list[str]]:
        """Return the figures and the sentences of the current setting beside its baseline."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it draws")

    def _csv(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        """Return the column names and rows of everything that was measured."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it saves")

    def figures(self) -> list[go.Figure]:
        """Return the figures last drawn; none where nothing could be measured."""
        return list(self._figures)

    def words(self) -> list[str]:
        """Return what stands beside the charts: what changed, why, what to try next."""
        return list(self._sentences)

    def _rebase(self) -> None:
        if self._figures:
            self._settings.make_baseline()
        self._follow()

    def _follow(self, again: bool = False) -> None:
        """Measure what the controls say and draw it; show an error of the measured code."""
        setting = self.setting.in_words()
        self._words.value = f"<b>measuring {escape(setting)} …</b>"
        self.error = None
        try:
            self._settings.choose(self.setting, again=again)
            figures, sentences = self._drawn()
        except Exception as error:  # whatever the student's code raises is shown, not hidden
            self.error = error
            self._sentences = [error_in_words(error, setting)]
            older = bool(self._figures)
            self._words.value = error_as_html(error, self._sentences[0], charts_are_older=older)
        else:
            self._figures = figures
            self._sentences = [sentence for sentence in sentences if sentence]
            self._grid.layout.display = None
            for chart, figure in zip(self._charts, figures, strict=True):
                chart.draw(figure)
            self._words.value = _as_html(self._sentences)
        if self._record is not None:
            self._record.update(self._record_bundle(), raw=True)  # type: ignore[no-untyped-call]

    def static(self) -> None:
        """Display the current figures in a form that stays when the notebook is saved."""
        for figure in self.figures():
            show(figure)

    def save_html(self, path: str | PathLike[str]) -> None:
        """Write the current figures, words and tables as one page that needs no network."""
        write_html(Path(path), self._heading(), " ".join(self.words()), self.figures())

    def save_csv(self, path: str | PathLike[str]) -> None:
        """Write what was measured for every setting so far as a table."""
        write_csv(Path(path), *self._csv())

    def save_png(self, folder: str | PathLike[str]) -> list[Path]:
        """Write the current figures as PNG files into `folder` (needs the package kaleido)."""
        return write_pngs(Path(folder), self.figures())

    def _heading(self) -> str:
        return f"{self._title}: {self.setting.in_words()}"

    def _record_bundle(self) -> dict[str, str]:
        """Return what a saved notebook keeps: the widget itself is blank without its kernel."""
        words = " ".join(self.words())
        tables = [html_table(title_of(f), table_of(f)) for f in self.figures() if table_of(f)]
        details = f"<details><summary>The charts as tables</summary>{''.join(tables)}</details>"
        return {
            "text/plain": f"{self._heading()}. {words}",
            "text/html": f'<div class="tinytorch-record"><p>{escape(words)}</p>'
            f"{details if tables else ''}</div>",
        }

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return {**super()._repr_mimebundle_(**options), **self._record_bundle()}

    def _ipython_display_(self) -> None:
        # Two outputs: the widget, blank without its kernel, and the record, which follows every
        # measurement and stays in the saved notebook.
        live = {**super()._repr_mimebundle_(), "text/plain": _INSTEAD, "text/html": _INSTEAD_HTML}
        display(live, raw=True)  # type: ignore[no-untyped-call]
        record = display(self._record_bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        self._record = record


def _as_html(sentences: Sequence[str]) -> str:
    first, *others = sentences
    rest = escape(" ".join(others))
    return f"<b>{escape(first)}</b><br>{rest}"
