"""A cache at work, step by step: what is computed anew, what is read, what only waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from tinytorch.dashboards import palette
from tinytorch.dashboards.animation import set_steps
from tinytorch.dashboards.captions import set_caption
from tinytorch.dashboards.layout import axis, base_layout
from tinytorch.dashboards.results import CacheFrame

_MOST_CELLS = 256  # one cell may stand for several positions
_MOST_ROWS = 8
_MOST_FRAMES = 40
_HEIGHT = 340


class _Look(NamedTuple):
    name: str
    symbol: str
    colour: str
    size: int


_EMPTY = _Look("empty", "square-open", palette.BASELINE, 13)
_LOOKS = (  # in the order of drawing: what is written lies on top
    _Look("stored, not read", "square", palette.BASELINE, 7),
    _Look("read", "circle", palette.colour(0), 8),
    _Look("written now", "diamond", palette.colour(1), 10),
)


def cache_fill(
    frames: Sequence[CacheFrame],
    *,
    height: int = _HEIGHT,
    title: str = "The cache, step by step",
) -> go.Figure:
    """Draw the positions of a cache as cells: written now, read, stored, empty.

    The figure plays: a button and a slider walk through the steps. Before that it shows the last
    step. A long generation is thinned to 40 steps with the first and the last among them, and of
    a large cache one cell is several positions.

    Args:
        frames: The steps in order, each with `step`, `phase`, `written`, `read`, `capacity`
            and `label`.
        height: The figure's height in pixels.
        title: The figure's title.

    Returns:
        A figure with its words and table inside.

    Raises:
        ValueError: A position lies outside its frame's capacity, a capacity is below 1, or a phase
            is unknown.
    """
    for frame in frames:
        _check(frame)
    capacity = max([1, *(frame.capacity for frame in frames)])
    cells = _Cells(capacity)
    states = _states_after(frames, capacity)
    shown = _thinned(len(frames))
    figure = go.Figure(layout=base_layout(title, height=height))
    figure.add_scatter(**_marks(_EMPTY, np.arange(cells.count), cells))
    last = cells.of(states[-1] if frames else np.zeros(capacity, np.int8))
    for look, at in zip(_LOOKS, last, strict=True):
        figure.add_scatter(**_marks(look, at, cells))
    names = [_step_name(frame) for frame in frames]
    figure.add_scatter(**_words_above(names[-1] if names else "nothing was recorded"))
    steps = [
        [
            *(go.Scatter(**cells.places(at)) for at in cells.of(states[n])),
            go.Scatter(text=[names[n]]),
        ]
        for n in shown
    ]
    set_steps(figure, [str(frames[n].step) for n in shown], steps)
    _set_axes(figure, cells, with_controls=len(shown) > 1)
    return set_caption(figure, _in_words(frames, cells), _rows(frames))


def _check(frame: CacheFrame) -> None:
    if frame.phase not in ("prefill", "decode"):
        raise ValueError(
            f"step {frame.step} has the phase {frame.phase!r}; give 'prefill' or 'decode'"
        )
    if frame.capacity < 1:
        raise ValueError(f"step {frame.step} has the capacity {frame.capacity}; give 1 or more")
    outside = [at for at in (*frame.written, *frame.read) if not 0 <= at < frame.capacity]
    if outside:
        raise ValueError(
            f"step {frame.step} names position {outside[0]}, but its capacity is "
            f"{frame.capacity}; give positions from 0 to {frame.capacity - 1}"
        )


State = np.ndarray  # (capacity,) int8: 0 empty, 1 stored, 2 read, 3 written


def _states_after(frames: Sequence[CacheFrame], capacity: int) -> list[State]:
    """Return what each position is in each step."""
    stored = np.zeros(capacity, bool)
    states = []
    for frame in frames:
        written, read = _indices(frame.written), _indices(frame.read)
        stored[written] = True
        state = stored.astype(np.int8)
        state[read] = 2
        state[written] = 3
        states.append(state)
    return states


def _indices(positions: Iterable[int]) -> np.ndarray:
    return np.fromiter(positions, dtype=np.int64)


def _thinned(count: int) -> list[int]:
    """Return at most `_MOST_FRAMES` numbers below `count`, evenly spread, both ends kept."""
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, _MOST_FRAMES))})


class _Cells:
    """Places positions in rows of cells; a cell may hold several positions."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.per_cell = -(-capacity // _MOST_CELLS)
        self.count = -(-capacity // self.per_cell)
        self.columns = next(n for n in (16, 32) if n * _MOST_ROWS >= self.count)
        self.rows = -(-self.count // self.columns)

    def of(self, state: State) -> list[np.ndarray]:
        """Return the cells of each of `_LOOKS`; the busiest position decides for its cell."""
        padded = np.zeros(self.count * self.per_cell, np.int8)
        padded[: len(state)] = state
        busiest = padded.reshape(self.count, self.per_cell).max(axis=1)
        return [np.flatnonzero(busiest == value) for value in (1, 2, 3)]

    def places(self, cells: np.ndarray) -> dict[str, Any]:
        """Return plotly's x and y of cells, in the smallest numbers there are."""
        return {
            "x": (cells % self.columns).astype(np.int8),
            "y": (cells // self.columns).astype(np.int16),
        }


def _marks(look: _Look, at: np.ndarray, cells: _Cells) -> dict[str, Any]:
    return {
        **cells.places(at),
        "mode": "markers",
        "name": look.name,
        "marker": {"symbol": look.symbol, "color": look.colour, "size": look.size},
        "hovertemplate": f"{look.name}<extra></extra>",
    }


def _step_name(frame: CacheFrame) -> str:
    return frame.label or f"step {frame.step}, {frame.phase}"


def _words_above(words: str) -> dict[str, Any]:
    return {
        "x": [-0.5],
        "y": [-1.0],
        "text": [words],
        "mode": "text",
        "textposition": "middle right",
        "textfont": {"size": 13},
        "cliponaxis": False,
        "showlegend": False,
        "hoverinfo": "skip",
    }


def _set_axes(figure: go.Figure, cells: _Cells, *, with_controls: bool) -> None:
    per_row = cells.columns * cells.per_cell
    rows = list(range(0, cells.rows, -(-cells.rows // 8)))
    together = "" if cells.per_cell == 1 else f" ({cells.per_cell} a cell)"
    figure.update_layout(
        xaxis=axis(
            "",
            range=[-0.7, cells.columns - 0.3],
            showticklabels=False,
            showgrid=False,
            zeroline=False,
        ),
        yaxis=axis(
            f"position{together}",
            range=[cells.rows - 0.4, -1.5],
            tickvals=rows,
            ticktext=[str(row * per_row) for row in rows],
            showgrid=False,
            zeroline=False,
        ),
        margin={"b": 104 if with_controls else 16},
    )


def _in_words(frames: Sequence[CacheFrame], cells: _Cells) -> str:
    if not frames:
        return "The cache, step by step: nothing was recorded."
    written = sum(len(set(frame.written)) for frame in frames)
    reads = sum(len(set(frame.read)) for frame in frames)
    stored = len({position for frame in frames for position in frame.written})
    again = f", {written / stored:.3g} times each" if written > stored else ", each once"
    return (
        f"The cache over {len(frames)} steps, room for {cells.capacity} positions: keys and "
        f"values of {stored} positions were computed{again}; positions were read {reads} times; "
        f"the last step read {len(set(frames[-1].read))} and wrote {len(set(frames[-1].written))}."
    )


def _rows(frames: Sequence[CacheFrame]) -> list[dict[str, object]]:
    numbers = sorted({round(at) for at in np.linspace(0, len(frames) - 1, min(len(frames), 12))})
    return [
        {
            "step": frames[number].step,
            "phase": frames[number].phase,
            "what": frames[number].label,
            "written": len(set(frames[number].written)),
            "read": len(set(frames[number].read)),
            "capacity": frames[number].capacity,
        }
        for number in numbers
    ]
