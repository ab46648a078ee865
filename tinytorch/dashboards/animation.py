"""Steps of a figure: a play button and a slider, drawn by plotly alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

_MILLISECONDS = 350  # a frame: slow enough to follow, a generation of 40 steps in 14 s
_BUTTON = {"bgcolor": "#ffffff", "bordercolor": "#8C8C8C", "font": {"size": 12, "color": "#212121"}}


def set_steps(figure: go.Figure, labels: Sequence[str], frames: Sequence[Sequence[Any]]) -> None:
    """Give `figure` one frame a label, a play button, and a slider that stands at the last one.

    Args:
        figure: Its traces are left as they are: what is seen before anything is played.
        labels: What stands below the slider at each step; a few letters.
        frames: Traces of each step; they replace the figure's last traces.
    """
    if len(frames) < 2:
        return
    places = list(range(len(figure.data) - len(frames[0]), len(figure.data)))
    figure.frames = [
        go.Frame(name=str(number), data=list(traces), traces=places)
        for number, traces in enumerate(frames)
    ]
    figure.update_layout(updatemenus=[_play_and_pause()], sliders=[_slider(labels)])


def still(figure: go.Figure) -> go.Figure:
    """Return `figure` as it looks before it is played, without the controls of the playing."""
    if not figure.frames:
        return figure
    layout = figure.layout.to_plotly_json()
    kept = {name: part for name, part in layout.items() if name not in ("updatemenus", "sliders")}
    return go.Figure(figure.data, kept)


def _timing(milliseconds: int) -> dict[str, Any]:
    return {
        "mode": "immediate",
        "fromcurrent": True,
        "frame": {"duration": milliseconds, "redraw": False},
        "transition": {"duration": 0},
    }


def _play_and_pause() -> dict[str, Any]:
    return {
        "type": "buttons",
        "direction": "left",
        "showactive": False,
        "x": 0,
        "xanchor": "left",
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 10, "r": 8},
        **_BUTTON,
        "buttons": [
            {"label": "▶ play", "method": "animate", "args": [None, _timing(_MILLISECONDS)]},
            {"label": "❚❚ pause", "method": "animate", "args": [[None], _timing(0)]},
        ],
    }


def _slider(labels: Sequence[str]) -> dict[str, Any]:
    return {
        "active": len(labels) - 1,
        "x": 0,
        "xanchor": "left",
        "len": 1,
        "y": 0,
        "yanchor": "top",
        "pad": {"t": 48, "l": 8, "r": 20},
        "ticklen": 3,
        "tickcolor": "#8C8C8C",
        "currentvalue": {"visible": False},
        "bgcolor": "#e0e0e0",
        "bordercolor": "#8C8C8C",
        "activebgcolor": "#0072B2",
        "font": {"size": 11, "color": "#212121"},
        "steps": [
            {"label": label, "method": "animate", "args": [[str(number)], _timing(0)]}
            for number, label in enumerate(labels)
        ],
    }
