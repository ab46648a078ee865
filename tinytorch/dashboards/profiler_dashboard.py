"""A profile you can turn: choose model, batch and sequence, see where time and memory go."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import ipywidgets
import plotly.graph_objects as go
from IPython.display import DisplayHandle, display

from tinytorch.dashboards.advice import bottleneck_words, change_words, memory_words, next_words
from tinytorch.dashboards.captions import table_of, title_of
from tinytorch.dashboards.charts import Chart
from tinytorch.dashboards.exports import write_csv, write_html, write_pngs
from tinytorch.dashboards.profile_figures import profile_figures
from tinytorch.dashboards.settings import Measure, MeasuredSettings, Setting
from tinytorch.dashboards.static import html_table, show

_TITLE = "Profile"
_INSTEAD = "Run this cell in JupyterLab to use the dashboard. What it showed last:"
_INSTEAD_HTML = f"<p><em>{_INSTEAD}</em></p>"
_CHARTS = 4


class ProfilerDashboard(ipywidgets.VBox):  # type: ignore[misc]
    """Controls above four charts: time by operation, nesting, memory, roofline.

    Every setting is measured once, by the callable you hand in, and kept. The first one is the
    baseline; it stays beside "now" on the same axes. An error in your code is shown in the
    dashboard with its traceback, and kept in `error`.

    Args:
        measure: Called as ``measure(model_name, batch_size, sequence_length)``; returns a
            `tinytorch.dashboards.results.ProfileResult`.
        models: Names to choose from; the first of each list is measured at once.
        batch_sizes: Batch sizes to choose from.
        sequence_lengths: Sequence lengths to choose from.

    Raises:
        ValueError: One of the three lists is empty.
    """

    def __init__(
        self,
        measure: Measure,
        models: Iterable[str],
        batch_sizes: Iterable[int],
        sequence_lengths: Iterable[int],
    ) -> None:
        self._settings = MeasuredSettings(measure)
        self.error: Exception | None = None
        self._figures: list[go.Figure] = []
        self._sentences: list[str] = []
        self._record: DisplayHandle | None = None
        self._model = _choice(ipywidgets.Dropdown, "model", models)
        self._batch = _choice(ipywidgets.SelectionSlider, "batch size", batch_sizes)
        self._length = _choice(ipywidgets.SelectionSlider, "sequence length", sequence_lengths)
        self._words = ipywidgets.HTML().add_class("tinytorch-words")
        self._charts = [Chart() for _ in range(_CHARTS)]
        self._grid = _grid(self._charts)
        super().__init__(
            [self._control_row(), self._words, self._grid],
            layout=ipywidgets.Layout(width="100%"),
        )
        self.add_class("tinytorch-dashboard")
        for control in (self._model, self._batch, self._length):
            control.observe(lambda change: self._follow(), "value")
        self._follow()

    def _control_row(self) -> ipywidgets.HBox:
        narrow = ipywidgets.Layout(width="10.5em")
        again = ipywidgets.Button(description="measure again", layout=narrow)
        again.on_click(lambda button: self._follow(again=True))
        baseline = ipywidgets.Button(description="use as baseline", layout=narrow)
        baseline.on_click(lambda button: self._rebase())
        return ipywidgets.HBox(
            [self._model, self._batch, self._length, again, baseline],
            layout=ipywidgets.Layout(flex_flow="row wrap", align_items="center"),
        )

    @property
    def setting(self) -> Setting:
        """What the controls say."""
        return Setting(self._model.value, self._batch.value, self._length.value)

    def figures(self) -> list[go.Figure]:
        """Return the four figures last drawn; none where nothing could be measured."""
        return list(self._figures)

    def words(self) -> list[str]:
        """Return what the charts say: what changed, the bottleneck, the memory, what to try."""
        return list(self._sentences)

    def _rebase(self) -> None:
        if self._figures:
            self._settings.make_baseline()
        self._follow()

    def _follow(self, again: bool = False) -> None:
        """Measure what the controls say and draw it; show an error of the measured code."""
        self._words.value = f"<b>measuring {escape(self.setting.in_words())} …</b>"
        self.error = None
        try:
            self._settings.choose(self.setting, again=again)
            figures, sentences = _drawn(self._settings)
        except Exception as error:  # whatever the student's code raises is shown, not hidden
            self.error = error
            self._sentences = [_error_in_words(error, self.setting)]
            self._words.value = _error_as_html(error, self._sentences[0], bool(self._figures))
        else:
            self._figures, self._sentences = figures, sentences
            self._grid.layout.display = None
            for chart, figure in zip(self._charts, figures, strict=True):
                chart.draw(figure)
            self._words.value = _words_as_html(sentences)
        if self._record is not None:
            self._record.update(self._record_bundle(), raw=True)  # type: ignore[no-untyped-call]

    def static(self) -> None:
        """Display the current figures in a form that stays when the notebook is saved."""
        for figure in self.figures():
            show(figure)

    def save_html(self, path: str | PathLike[str]) -> None:
        """Write the current figures, words and tables as one page that needs no network."""
        write_html(Path(path), self._title(), " ".join(self.words()), self.figures())

    def save_csv(self, path: str | PathLike[str]) -> None:
        """Write every region of every setting measured so far as a row."""
        write_csv(Path(path), self._settings.measured())

    def save_png(self, folder: str | PathLike[str]) -> list[Path]:
        """Write the current figures as PNG files into `folder` (needs the package kaleido)."""
        return write_pngs(Path(folder), self.figures())

    def _title(self) -> str:
        return f"{_TITLE}: {self.setting.in_words()}"

    def _record_bundle(self) -> dict[str, str]:
        """Return what a saved notebook keeps: the widget itself is blank without its kernel."""
        words = " ".join(self.words())
        tables = [html_table(title_of(f), table_of(f)) for f in self.figures() if table_of(f)]
        details = f"<details><summary>The charts as tables</summary>{''.join(tables)}</details>"
        return {
            "text/plain": f"{self._title()}. {words}",
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


def _drawn(settings: MeasuredSettings) -> tuple[list[go.Figure], list[str]]:
    """Return the figures and the sentences of the current setting beside its baseline."""
    now, before = settings.now(), settings.baseline()
    change = change_words(before.result, now.result, before.setting.in_words())
    sentences = [
        f"{now.setting.in_words()}: {change}",
        bottleneck_words(now.result),
        memory_words(now.result),
        next_words(now.result),
    ]
    figures = profile_figures(now.result, before.result, settings.compared())
    return figures, [sentence for sentence in sentences if sentence]


def _choice(control: Any, description: str, values: Iterable[Any]) -> Any:
    options = list(values)
    if not options:
        raise ValueError(f"the dashboard was given no {description}; name at least one to measure")
    is_slider = control is ipywidgets.SelectionSlider
    return control(
        options=options,
        description=description,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="20em" if is_slider else "15em", margin="0 1em 0 0"),
        **({"continuous_update": False} if is_slider else {}),
    )


def _grid(charts: list[Chart]) -> ipywidgets.GridBox:
    columns = "repeat(auto-fit, minmax(min(100%, max(26em, 40%)), 1fr))"  # at most two
    layout = ipywidgets.Layout(
        grid_template_columns=columns, width="100%", grid_gap="0 1em", display="none"
    )
    return ipywidgets.GridBox(charts, layout=layout)


def _words_as_html(sentences: list[str]) -> str:
    first, *others = sentences
    rest = escape(" ".join(others))
    return f"<b>{escape(first)}</b><br>{rest}"


def _error_in_words(error: Exception, setting: Setting) -> str:
    place = ""
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        place = f" in {frames[-1].name}, line {frames[-1].lineno}"
    return f"Measuring {setting.in_words()} raised {type(error).__name__}{place}: {error}"


def _error_as_html(error: Exception, words: str, charts_are_older: bool) -> str:
    trace = "".join(traceback.format_exception(error))
    older = (
        "<br>The charts show the last setting that could be measured." if charts_are_older else ""
    )
    return (
        f'<div class="tinytorch-error"><b>{escape(words)}</b>{older}'
        f"<details><summary>Traceback</summary><pre>{escape(trace)}</pre></details></div>"
    )
