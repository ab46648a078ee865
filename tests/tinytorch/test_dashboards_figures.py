"""The figures draw what they are given: heights, axes, words, tables."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch import dashboards
from tinytorch.dashboards.captions import summary_of, table_of
from tinytorch.dashboards.label_places import free_places
from tinytorch.dashboards.layout import decades_around, log_ticks, shortened
from tinytorch.dashboards.roofline_figure import roofline_axes
from tinytorch.dashboards.units import format_bytes, format_ns


@dataclass(frozen=True)
class FakeRegion:
    path: tuple[str, ...]
    exclusive_ns: int
    inclusive_ns: int = 0
    calls: int = 1

    @property
    def name(self) -> str:
        return self.path[-1]


@dataclass(frozen=True)
class FakeCeilings:
    gflops: float = 100.0
    gigabytes_per_second: float = 10.0


@dataclass(frozen=True)
class FakePoint:
    name: str
    intensity: float
    gflops: float
    bound: str
    seconds: float = 1e-3


REGIONS = [
    FakeRegion(("gpt",), 100, 1000),
    FakeRegion(("gpt", "blocks.0", "attention"), 300, 300),
    FakeRegion(("gpt", "blocks.1", "attention"), 200, 200),
    FakeRegion(("gpt", "blocks.0", "norm"), 400, 400),
]
POINTS = [
    FakePoint("matmul", 50.0, 60.0, "compute"),
    FakePoint("add", 0.1, 0.8, "memory"),
    FakePoint("embedding", 0.0, 0.0, "memory"),
]
TIMELINE = [
    (1000, 0, "start"),
    (1500, 4096, "matmul"),
    (2500, 8192, "softmax"),
    (3000, 1024, "end"),
]


def every_figure() -> list[go.Figure]:
    return [
        dashboards.op_time_bars(REGIONS, baseline=REGIONS[:2]),
        dashboards.icicle(REGIONS),
        dashboards.memory_timeline(TIMELINE, baseline=TIMELINE[:2]),
        dashboards.memory_breakdown({"parameters": 10, "peak": 30}, baseline={"gradients": 5}),
        dashboards.roofline(FakeCeilings(), POINTS, baseline_points=POINTS[:1]),
        dashboards.distribution({"a": [1.0, 2.0], "b": [3.0]}, x_title="ms"),
        dashboards.scaling_curve({"a": [(1, 2), (2, 4)]}, x_title="tokens", y_title="ms", log=True),
        dashboards.histogram({"a": [0.0, 1.0]}, x_title="weight"),
    ]


def empty_figures() -> list[go.Figure]:
    return [
        dashboards.op_time_bars([]),
        dashboards.icicle([]),
        dashboards.memory_timeline([]),
        dashboards.memory_breakdown({}),
        dashboards.roofline(FakeCeilings(), []),
        dashboards.distribution({"a": []}, x_title="ms"),
        dashboards.scaling_curve({"a": []}, x_title="tokens", y_title="ms", log=True),
        dashboards.histogram({"a": []}, x_title="weight", log=True),
    ]


@pytest.mark.parametrize("figure", every_figure(), ids=lambda f: f.layout.title.text)
def test_a_figure_carries_words_a_table_and_no_invisible_number(figure: go.Figure) -> None:
    assert len(summary_of(figure)) > 10
    assert table_of(figure)
    columns = list(table_of(figure)[0])
    assert all(list(row) == columns for row in table_of(figure))
    assert "NaN" not in json.dumps(json.loads(figure.to_json()))


@pytest.mark.parametrize("figure", empty_figures(), ids=lambda f: f.layout.title.text)
def test_nothing_recorded_is_a_figure_with_words_not_an_error(figure: go.Figure) -> None:
    assert summary_of(figure)
    assert figure.to_json()


def test_bars_add_up_regions_of_one_name_and_show_shares() -> None:
    figure = dashboards.op_time_bars(REGIONS)
    bars = figure.data[0]
    assert list(zip(bars.y, bars.x, bars.text, strict=True)) == [
        ("attention", 500, "50%"),
        ("norm", 400, "40%"),
        ("gpt", 100, "10%"),
    ]
    assert "attention 500 ns (50%)" in summary_of(figure)


def test_bars_fold_the_rest_so_that_the_shares_still_sum_to_one() -> None:
    regions = [FakeRegion((f"op{n}",), 10 + n) for n in range(20)]
    figure = dashboards.op_time_bars(regions, rows=3)
    assert list(figure.data[0].y) == ["op19", "op18", "op17", "other"]
    assert sum(figure.data[0].x) == sum(region.exclusive_ns for region in regions)


def test_bars_of_now_and_baseline_share_one_fixed_axis() -> None:
    slow = [FakeRegion(("attention",), 256_000)]
    fast = [FakeRegion(("attention",), 1000)]
    figure = dashboards.op_time_bars(fast, baseline=slow)
    before, now = figure.data
    assert before.x[0] == 256 * now.x[0]  # autorange once drew these two equally long
    assert figure.layout.xaxis.range[1] > before.x[0]
    alone = dashboards.op_time_bars(fast, limit_ns=256_000)
    assert alone.layout.xaxis.range == figure.layout.xaxis.range


def test_a_bar_longer_than_the_limit_is_still_inside_the_axis() -> None:
    figure = dashboards.op_time_bars(REGIONS, limit_ns=10)
    assert figure.layout.xaxis.range[1] > max(figure.data[0].x)


def test_a_name_that_only_became_slow_now_gets_a_bar_of_its_own() -> None:
    before = [FakeRegion((f"op{n}",), 100 - n) for n in range(8)] + [FakeRegion(("late",), 1)]
    now = [FakeRegion((f"op{n}",), 100 - n) for n in range(8)] + [FakeRegion(("late",), 5000)]
    figure = dashboards.op_time_bars(now, baseline=before, rows=4)
    assert "late" in figure.data[1].y


def test_icicle_gives_missing_parents_a_box_and_keeps_the_total() -> None:
    figure = dashboards.icicle(REGIONS)
    boxes = figure.data[0]
    assert set(boxes.parents) - {""} <= set(boxes.ids)
    assert sum(boxes.values) == 1000
    assert len(set(boxes.ids)) == len(boxes.ids)


def test_memory_timeline_starts_at_zero_and_marks_the_peak() -> None:
    figure = dashboards.memory_timeline(TIMELINE)
    line, peak = figure.data
    assert (line.x[0], line.x[-1]) == (0, 2.0)  # microseconds
    assert (peak.x[0], peak.y[0], peak.text[0]) == (1.5, 8.0, "peak 8 KiB")
    assert "peak of 8 KiB comes after 1.5 µs, at softmax" in summary_of(figure)


def test_a_long_timeline_is_thinned_but_keeps_its_peak() -> None:
    samples = [(at, 10_000_000 if at == 4_321 else at % 7, f"op {at}") for at in range(30_000)]
    line = dashboards.memory_timeline(samples).data[0]
    assert len(line.x) <= 2000
    assert max(line.y) == pytest.approx(10_000_000 / 2**20)


def test_memory_breakdown_shows_the_peak_last_and_apart() -> None:
    figure = dashboards.memory_breakdown({"peak": 2048, "caches": 512, "parameters": 1024})
    assert list(figure.data[0].y) == ["parameters", "caches", "peak"]
    assert figure.data[0].marker.pattern.shape == ("", "", "/")


def test_roofline_reads_the_bound_and_leaves_out_what_has_no_place() -> None:
    figure = dashboards.roofline(FakeCeilings(), POINTS)
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name["compute-bound"].x) == [50.0]
    assert list(by_name["memory-bound"].x) == [0.1]
    assert by_name["memory-bound"].marker.symbol != by_name["compute-bound"].marker.symbol
    assert [row["operation"] for row in table_of(figure)] == ["matmul", "add", "embedding"]


def test_the_roof_is_the_lower_of_the_two_ceilings() -> None:
    roof = dashboards.roofline(FakeCeilings(100.0, 10.0), POINTS).data[0]
    np.testing.assert_allclose(roof.y, np.minimum(100.0, 10.0 * np.array(roof.x)))
    assert 10.0 in roof.x  # the ridge


def test_roofline_axes_can_be_shared() -> None:
    axes = roofline_axes(FakeCeilings(), POINTS)
    alone = dashboards.roofline(FakeCeilings(), POINTS[:1], axes=axes)
    assert (
        alone.layout.xaxis.range == dashboards.roofline(FakeCeilings(), POINTS).layout.xaxis.range
    )


def test_distribution_shows_every_sample_and_the_median() -> None:
    figure = dashboards.distribution({"slow tail": [1.0, 2.0, 30.0]}, x_title="ms", limits=(0, 40))
    dots, median = figure.data
    assert sorted(dots.x) == [1.0, 2.0, 30.0]
    assert set(median.x) == {2.0}
    assert figure.layout.xaxis.range == (0, 40)
    assert table_of(figure)[0]["median"] == "2"


def test_scaling_curve_marks_the_measured_sizes_on_a_log_axis() -> None:
    points = [(32, 1.0), (64, 4.1), (128, 16.0)]
    figure = dashboards.scaling_curve({"naive": points}, x_title="n", y_title="ms", log="x")
    assert list(figure.layout.xaxis.tickvals) == [32, 64, 128]
    assert figure.layout.yaxis.type is None
    assert figure.layout.yaxis.rangemode == "tozero"


def test_series_differ_by_more_than_colour() -> None:
    series = {name: [(1.0, 1.0), (2.0, 2.0)] for name in "abcdefgh"}
    figure = dashboards.scaling_curve(series, x_title="n", y_title="ms")
    signs = [(trace.line.color, trace.line.dash) for trace in figure.data]
    symbols = [(trace.line.color, trace.marker.symbol) for trace in figure.data]
    assert len(set(signs)) == len(set(symbols)) == 8


def test_histogram_counts_every_value_once_over_shared_bins() -> None:
    values = np.random.default_rng(3).normal(size=(20, 50))
    figure = dashboards.histogram({"w": values, "half": values[:10]}, x_title="weight", bins=13)
    assert sum(figure.data[0].y[:-1]) == values.size  # the last step repeats its height
    assert sum(figure.data[1].y[:-1]) == values.size // 2
    assert list(figure.data[0].x) == list(figure.data[1].x)


@given(st.floats(1e-2, 1e16))
def test_formatted_numbers_read_back_to_three_digits(value: float) -> None:
    times = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}
    sizes = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    for text, units in ((format_ns(value), times), (format_bytes(value), sizes)):
        number, unit = text.split(" ")
        assert float(number) * units[unit] == pytest.approx(value, rel=5.1e-3)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1))
def test_decades_hold_every_value_with_room(values: list[float]) -> None:
    low, high = decades_around(values)
    assert low < min(values) <= max(values) < high
    assert math.log10(low) == pytest.approx(round(math.log10(low)))


@given(st.floats(1e-6, 1e6), st.floats(1.6, 1e6))
def test_log_axes_have_a_readable_number_of_ticks(low: float, factor: float) -> None:
    ticks = log_ticks(low, low * factor)
    assert len(ticks) <= 9
    assert ticks == sorted(set(ticks))
    assert all(low * 0.99 <= tick <= low * factor * 1.01 for tick in ticks)


@given(st.lists(st.tuples(st.floats(0.02, 90), st.floats(0.02, 90)), max_size=12))
def test_labels_never_lie_on_each_other(points: list[tuple[float, float]]) -> None:
    labelled = [(x, y, "matmul") for x, y in points]
    places = free_places(labelled, (0.01, 100.0), (0.01, 100.0))
    boxes = [_box_of(x, y, place) for (x, y), place in zip(points, places, strict=True) if place]
    for index, (left, bottom) in enumerate(boxes):
        for other_left, other_bottom in boxes[index + 1 :]:
            apart = abs(left - other_left) >= 41.9 or abs(bottom - other_bottom) >= 14.9
            assert apart, (boxes, places)


def _box_of(x: float, y: float, place: str) -> tuple[float, float]:
    """The lower left corner, in pixels, of a label of six letters (42 by 15 pixels)."""
    across, up = (math.log10(x) + 2) / 4 * 440, (math.log10(y) + 2) / 4 * 170
    vertical, horizontal = place.split(" ")
    beside = 8 if vertical == "middle" else 0
    left = {"center": across - 21, "right": across + beside, "left": across - 42 - beside}
    bottom = {"top": up + 8, "bottom": up - 8 - 15, "middle": up - 7.5}
    return left[horizontal], bottom[vertical]


def test_a_crowded_point_goes_without_a_label() -> None:
    places = free_places([(1.0, 1.0, "n" * 30)] * 9, (0.01, 100.0), (0.01, 100.0))
    assert None in places
    assert places[0] is not None


@given(st.text(min_size=1, max_size=80))
def test_long_names_keep_both_ends(name: str) -> None:
    short = shortened(name)
    assert len(short) <= 26
    assert short[0] == name[0]
    assert short[-1] == name[-1]
