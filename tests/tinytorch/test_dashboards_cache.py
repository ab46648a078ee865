"""The cache, step by step: what each cell is in each step, what is thinned, what is refused."""

from __future__ import annotations

import json

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch import dashboards
from tinytorch.dashboards.animation import still
from tinytorch.dashboards.captions import summary_of, table_of
from tinytorch.dashboards.static import PLOTLY_MIME, static_bundle

from .dashboard_results import FakeFrame


def cached_frames(steps: int, capacity: int, prompt: int = 3) -> list[FakeFrame]:
    """A prompt is read, then one token a step: each position is written once."""
    first = FakeFrame(0, "prefill", tuple(range(prompt)), tuple(range(prompt)), capacity, "prompt")
    rest = [
        FakeFrame(n, "decode", (prompt + n - 1,), tuple(range(prompt + n)), capacity, f"token {n}")
        for n in range(1, steps)
    ]
    return [first, *rest]


def cells_of(
    traces: list[go.Scatter] | tuple[go.Scatter, ...], columns: int = 16
) -> list[set[int]]:
    """The numbers of the cells that are stored, read, written."""
    return [
        {int(y) * columns + int(x) for x, y in zip(trace.x, trace.y, strict=True)}
        for trace in traces
    ]


def test_a_step_shows_what_it_wrote_and_what_it_read() -> None:
    figure = dashboards.cache_fill(cached_frames(4, capacity=10))
    stored, read, written = cells_of(figure.frames[2].data[:3])
    assert (stored, read, written) == (set(), {0, 1, 2, 3}, {4})
    assert figure.frames[2].data[3].text == ("token 2",)


def test_before_it_is_played_the_figure_shows_the_last_step() -> None:
    figure = dashboards.cache_fill(cached_frames(4, capacity=10))
    assert cells_of(figure.data[1:4]) == cells_of(figure.frames[-1].data[:3])
    assert figure.data[4].text == ("token 3",)
    assert figure.layout.sliders[0].active == len(figure.frames) - 1
    assert len(figure.data[0].x) == 10  # room for ten


def test_the_slider_has_a_step_for_each_frame_and_the_buttons_play_them() -> None:
    figure = dashboards.cache_fill(cached_frames(5, capacity=10))
    steps = figure.layout.sliders[0].steps
    assert [list(step.args[0]) for step in steps] == [[frame.name] for frame in figure.frames]
    play, pause = figure.layout.updatemenus[0].buttons
    assert (play.args[0], list(pause.args[0])) == (None, [None])
    assert all(tuple(frame.traces) == (1, 2, 3, 4) for frame in figure.frames)


def test_what_is_stored_but_not_read_stays_visible() -> None:
    """A window of two: position 0 was written and is no longer read."""
    frames = [
        FakeFrame(0, "prefill", (0, 1), (0, 1), 4),
        FakeFrame(1, "decode", (2,), (1, 2), 4),
    ]
    stored, read, written = cells_of(dashboards.cache_fill(frames).data[1:4])
    assert (stored, read, written) == ({0}, {1}, {2})


def test_words_tell_recomputing_from_keeping() -> None:
    kept = summary_of(dashboards.cache_fill(cached_frames(4, capacity=8)))
    assert "of 6 positions were computed, each once" in kept
    again = [FakeFrame(n, "decode", tuple(range(n)), tuple(range(n)), 4) for n in (1, 2, 3)]
    assert "of 3 positions were computed, 2 times each" in summary_of(dashboards.cache_fill(again))


def test_the_table_names_the_steps() -> None:
    rows = table_of(dashboards.cache_fill(cached_frames(30, capacity=40)))
    assert rows[0] == {
        "step": 0,
        "phase": "prefill",
        "what": "prompt",
        "written": 3,
        "read": 3,
        "capacity": 40,
    }
    assert rows[-1]["step"] == 29
    assert len(rows) <= 12


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(0, 2000))
def test_long_generations_are_thinned_and_keep_both_ends(steps: int, spare: int) -> None:
    frames = cached_frames(steps, capacity=steps + 2 + spare)
    figure = dashboards.cache_fill(frames)
    assert len(figure.frames) <= 40
    assert len(figure.data[0].x) <= 256
    if steps > 1:
        assert figure.frames[0].data[3].text == ("prompt",)
        assert figure.frames[-1].data[3].text == (f"token {steps - 1}",)
    drawn = sum(len(trace.x) for trace in figure.data[1:4])
    per_cell = -(-frames[0].capacity // 256)
    assert drawn == -(-(steps + 2) // per_cell)  # every written position lies in a drawn cell


def test_the_largest_figure_is_a_small_message() -> None:
    frames = [
        FakeFrame(n, "decode", tuple(range(n + 1)), tuple(range(n + 1)), 256) for n in range(256)
    ]
    assert len(dashboards.cache_fill(frames).to_json()) < 60_000


def test_the_static_form_plays_without_a_kernel() -> None:
    figure = dashboards.cache_fill(cached_frames(4, capacity=8))
    drawing = static_bundle(figure, table_of(figure))[PLOTLY_MIME]
    assert isinstance(drawing, dict)
    assert len(drawing["frames"]) == 4
    assert json.loads(json.dumps(drawing))["layout"]["sliders"]


def test_a_picture_has_no_buttons() -> None:
    figure = dashboards.cache_fill(cached_frames(4, capacity=8))
    picture = still(figure)
    assert not picture.layout.sliders
    assert not picture.layout.updatemenus
    assert not picture.frames
    assert len(figure.frames) == 4  # the figure itself is as it was
    assert cells_of(picture.data[1:4]) == cells_of(figure.data[1:4])


@pytest.mark.parametrize("frames", [[], cached_frames(1, capacity=5)])
def test_one_step_or_none_needs_no_slider(frames: list[FakeFrame]) -> None:
    figure = dashboards.cache_fill(frames)
    assert not figure.layout.sliders
    assert summary_of(figure)
    assert figure.to_json()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            FakeFrame(3, "decode", (8,), (0,), 8),
            "position 8, but its capacity is 8; .* from 0 to 7",
        ),
        (FakeFrame(3, "decode", (0,), (-1,), 8), "position -1"),
        (FakeFrame(3, "warm-up", (0,), (0,), 8), "phase 'warm-up'; give 'prefill' or 'decode'"),
        (FakeFrame(3, "decode", (), (), 0), "capacity 0; give 1"),
    ],
)
def test_what_cannot_be_is_refused(frame: FakeFrame, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dashboards.cache_fill([frame])


def test_positions_may_be_an_array() -> None:
    frame = FakeFrame(0, "prefill", np.arange(3), np.arange(3), 4)  # type: ignore[arg-type]
    assert "3 positions" in summary_of(dashboards.cache_fill([frame]))
