"""The controls of a dashboard, and the grid its charts stand in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ipywidgets

from tinytorch.dashboards.charts import Chart

_CHOICE_WIDTH, _SLIDER_WIDTH = "15em", "20em"


def dropdown(description: str, values: Iterable[Any], *, width: str = _CHOICE_WIDTH) -> Any:
    """Return a list to choose one of `values` from, plain values or (label, value) pairs.

    Raises:
        ValueError: There is nothing to choose.
    """
    return _control(ipywidgets.Dropdown, description, values, width)


def slider(description: str, values: Iterable[Any], *, width: str = _SLIDER_WIDTH) -> Any:
    """Return a slider over `values`, which acts when it is let go.

    Raises:
        ValueError: There is nothing to choose.
    """
    return _control(ipywidgets.SelectionSlider, description, values, width, continuous_update=False)


def _control(
    control: Any, description: str, values: Iterable[Any], width: str, **options: Any
) -> Any:
    choices = list(values)
    if not choices:
        raise ValueError(f"the dashboard was given no {description}; name at least one to measure")
    return control(
        options=choices,
        description=description,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width=width, margin="0 1em 0 0"),
        **options,
    )


def button(description: str, act: Callable[[], None]) -> Any:
    """Return a button that calls `act`."""
    made = ipywidgets.Button(description=description, layout=ipywidgets.Layout(width="10.5em"))
    made.on_click(lambda button: act())
    return made


def row(controls: Sequence[Any]) -> Any:
    """Return the controls in one row, which breaks where the window is narrow."""
    layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
    return ipywidgets.HBox(list(controls), layout=layout)


def grid(charts: Sequence[Chart]) -> Any:
    """Return the charts in at most two columns, hidden until there is something to see."""
    columns = "repeat(auto-fit, minmax(min(100%, max(26em, 40%)), 1fr))"
    layout = ipywidgets.Layout(
        grid_template_columns=columns, width="100%", grid_gap="0 1em", display="none"
    )
    return ipywidgets.GridBox(list(charts), layout=layout)
