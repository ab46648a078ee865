"""Grids, sensitivity and the quantization dashboard without a browser."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytorch import dashboards
from tinytorch.dashboards.captions import summary_of, table_of
from tinytorch.dashboards.quantization_setting import QuantizationSetting
from tinytorch.dashboards.quantization_words import clipping_share
from tinytorch.dashboards.sensitivity_figure import panel_names

from .dashboard_results import LAYERS, FakeSensitivity, Rounder, quantization_board

GRID = np.linspace(-1.0, 1.0, 7)


def trace_of(figure: Any, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def test_every_value_is_counted_once_and_every_level_is_marked() -> None:
    values = np.random.default_rng(1).normal(size=(30, 20))
    figure = dashboards.quantization_histogram(values, GRID, bins=17)
    counts = np.array(trace_of(figure, "values").y[:-1])
    assert counts[counts >= 1].sum() == values.size
    np.testing.assert_allclose(trace_of(figure, "levels").x, GRID)


def test_what_is_clipped_is_shaded_and_counted() -> None:
    figure = dashboards.quantization_histogram([0.0, 0.5, 3.0, -2.0], GRID)
    left, right = figure.layout.shapes
    assert (left.x1, right.x0) == (-1.0, 1.0)
    assert "outside lie 2 (50.00%)" in summary_of(figure)
    wide = dashboards.quantization_histogram([0.0, 0.5, 3.0, -2.0], GRID, clip=(-2.0, 3.0))
    assert "outside lie 0 (0.00%)" in summary_of(wide)


def test_an_outlier_among_a_million_is_drawn() -> None:
    values = np.append(np.zeros(1_000_000), 50.0)
    figure = dashboards.quantization_histogram(values, GRID)
    low, high = figure.layout.yaxis.range
    heights = np.log10(trace_of(figure, "values").y)
    assert low < np.log10(1.0) < high
    assert (heights[-1], heights[0]) != (heights[1], heights[1])
    assert heights.max() < high


def test_axes_can_be_shared() -> None:
    narrow = dashboards.quantization_histogram([0.1], GRID, limits=(-4.0, 4.0))
    wide = dashboards.quantization_histogram([-4.0, 4.0], GRID)
    assert narrow.layout.xaxis.range == wide.layout.xaxis.range


def test_grids_of_channels_are_told_apart_from_one_fine_grid() -> None:
    grids = np.stack([GRID, 2 * GRID])
    figure = dashboards.quantization_histogram([0.0, 1.0], grids)
    assert "7 in each of 2 grids levels" not in summary_of(figure)
    assert "7 levels in each of 2 grids, typically 0.5 apart" in summary_of(figure)
    assert len(trace_of(figure, "levels").x) == len(np.unique(grids))


def test_the_baseline_grid_lies_below_the_current_one() -> None:
    figure = dashboards.quantization_histogram([0.0], GRID, baseline_levels=GRID[::2])
    now, before = trace_of(figure, "levels"), trace_of(figure, "baseline's levels")
    assert max(before.y) < min(now.y) < min(trace_of(figure, "values").y)
    assert list(before.x) == list(GRID[::2])


@pytest.mark.parametrize(
    ("values", "levels", "said"),
    [
        ([0.0, np.nan, np.inf], GRID, "2 of 3 values are NaN or infinite, the first at .* 1"),
        ([0.0], [0.0, -np.inf], "1 of 2 levels are NaN or infinite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(values: Any, levels: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dashboards.quantization_histogram(values, levels)


@pytest.mark.parametrize(
    ("values", "levels"), [([], GRID), ([], []), ([1.0], []), ([2.0, 2.0], [2.0]), ([0.0], [0.0])]
)
def test_degenerate_input_is_a_figure_with_words(values: Any, levels: Any) -> None:
    figure = dashboards.quantization_histogram(values, levels)
    assert summary_of(figure)
    assert "NaN" not in json.dumps(json.loads(figure.to_json()))
    low, high = figure.layout.xaxis.range
    assert low < high


def test_a_million_levels_are_thinned() -> None:
    figure = dashboards.quantization_histogram([0.0], np.linspace(-1, 1, 1_000_000))
    assert len(trace_of(figure, "levels").x) <= 600


def test_each_layer_has_two_panels_on_shared_axes() -> None:
    figure = dashboards.layer_sensitivity(LAYERS, metric_name="accuracy (%)", full_metric=98.0)
    axes = figure.layout
    assert axes.yaxis.range == axes.yaxis3.range != axes.yaxis2.range == axes.yaxis4.range
    assert axes.yaxis.range[0] < 60.0 < 98.0 < axes.yaxis.range[1]
    drawn = [trace for trace in figure.data if trace.name == "accuracy (%)"]
    assert [list(trace.y) for trace in drawn] == [layer.metric for layer in LAYERS]
    assert drawn[0].line.dash != trace_of(figure, "SQNR (dB)").line.dash
    assert "falls most with conv.weight by 38, head.weight by 3" in summary_of(figure)
    assert len(table_of(figure)) == 6


def test_a_loss_rises() -> None:
    layers = [FakeSensitivity("a", [8, 2], [40.0, 5.0], [1.0, 3.0])]
    figure = dashboards.layer_sensitivity(
        layers, metric_name="loss", higher_is_better=False, full_metric=0.5
    )
    assert "the loss rises most with a by 2.5" in summary_of(figure)


def test_of_many_layers_the_most_sensitive_are_drawn_in_the_models_order() -> None:
    layers = [FakeSensitivity(f"l{n}", [8], [40.0], [float(n % 7)]) for n in range(20)]
    figure = dashboards.layer_sensitivity(layers, full_metric=7.0, most=3, chosen=("l6", 8))
    names = [note.text for note in figure.layout.annotations]
    assert names == ["l0", "l6", "l7"]  # l0 and l7 lose 7, l14 too; l6 is the chosen one
    assert "17 less sensitive layers are in the table alone" in summary_of(figure)
    assert len(table_of(figure)) == 20


@pytest.mark.parametrize(("count", "columns"), [(1, 6), (3, 1), (8, 1), (13, 6), (30, 8)])
def test_panels_never_lie_on_each_other(count: int, columns: int) -> None:
    layers = [FakeSensitivity(f"l{n}", [8, 2], [40.0, 5.0], [1.0, 0.5]) for n in range(count)]
    layout = dashboards.layer_sensitivity(layers, columns=columns, most=30).layout
    boxes = []
    for number in range(2 * count):
        end = "" if number == 0 else str(number + 1)
        boxes.append((*layout[f"xaxis{end}"].domain, *layout[f"yaxis{end}"].domain))
    for index, (left, right, bottom, top) in enumerate(boxes):
        assert 0 <= left < right <= 1
        assert 0 <= bottom < top <= 1 + 1e-9
        for other in boxes[index + 1 :]:
            apart = right <= other[0] or other[1] <= left or top <= other[2] or other[3] <= bottom
            assert apart, (boxes[index], other)


def test_names_of_panels_are_short_and_different() -> None:
    assert panel_names(["features.0.weight", "features.4.weight"]) == ["features.0", "features.4"]
    names = [f"blocks.{n}.attention.{part}" for n in range(4) for part in ("qkv", "out")]
    assert panel_names(names)[0] == "blo.0.att.qkv"
    assert len(set(panel_names(names))) == len(names)
    assert panel_names([]) == []


def test_no_layers_and_a_ragged_layer() -> None:
    assert "nothing was recorded" in summary_of(dashboards.layer_sensitivity([]))
    ragged = FakeSensitivity("a", [8, 2], [40.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="'a' has 2 bits, 1 sqnr_db and 2 metric"):
        dashboards.layer_sensitivity([ragged])


def test_each_setting_is_measured_once() -> None:
    rounder = Rounder()
    board = quantization_board(rounder)
    board._bits.value = 4
    board._bits.value = 8
    board._scheme.value = "affine"
    board._granularity.value = "group"
    board._calibrator.value = "percentile"
    board._layer.value = "head.weight"
    assert rounder.asked == [
        ("conv.weight", 8, "symmetric", "tensor", "minmax"),
        ("conv.weight", 4, "symmetric", "tensor", "minmax"),
        ("conv.weight", 8, "affine", "tensor", "minmax"),
        ("conv.weight", 8, "affine", "group", "minmax"),
        ("conv.weight", 8, "affine", "group", "percentile"),
        ("head.weight", 8, "affine", "group", "percentile"),
    ]


def test_words_name_the_metric_the_error_the_bytes_and_what_to_try() -> None:
    board = quantization_board(Rounder())
    assert "accuracy 98 % (full precision 98 %). This is the baseline." in board.words()[0]
    assert "of the squared error is rounding" in board.words()[1]
    assert "1 KiB of 4 KiB (0.25 of full precision)" in board.words()[2]
    assert "Try next: fewer bits" in board.words()[3]
    board._bits.value = 4
    assert "no measurable change of the accuracy against the baseline" in board.words()[0]
    board._bits.value = 2
    assert "28 % worse against the baseline (conv.weight, 8 bits" in board.words()[0]
    assert "one scale per channel" in board.words()[3]
    board._calibrator.value = "percentile"
    board._bits.value = 8
    assert "of the squared error is clipping" in board.words()[1]
    assert "keeps a wider range" in board.words()[3]


def test_clipping_and_rounding_share_the_error() -> None:
    rounder = Rounder()
    assert clipping_share(rounder("a", 4, "symmetric", "tensor", "minmax")) == 0.0
    assert clipping_share(rounder("a", 8, "symmetric", "tensor", "percentile")) > 0.9


def test_the_histogram_keeps_its_axis_and_the_baseline_grid_of_the_same_layer() -> None:
    board = quantization_board(Rounder())
    board._bits.value = 4
    figure = board.figures()[0]
    assert len(trace_of(figure, "baseline's levels").x) == 255
    axis = figure.layout.xaxis.range
    board._calibrator.value = "percentile"
    assert board.figures()[0].layout.xaxis.range == axis
    board._layer.value = "head.weight"
    assert all(trace.name != "baseline's levels" for trace in board.figures()[0].data)


def test_the_cost_figure_shows_full_precision_and_intervals() -> None:
    board = quantization_board(Rounder())
    board._bits.value = 2
    figure = board.figures()[2]
    full, now = trace_of(figure, "full precision"), trace_of(figure, "now")
    assert (full.x[0], full.y[0], now.x[0], now.y[0]) == (4.0, 98.0, 0.25, 70.0)
    assert list(now.error_y.array) == [1.0]
    low, high = figure.layout.yaxis.range
    assert low < 69.0 < 99.0 < high
    assert [row["point"] for row in table_of(figure)] == ["now", "baseline", "full precision"]


def test_save_csv_has_a_row_for_each_setting(tmp_path: Path) -> None:
    board = quantization_board(Rounder())
    board._bits.value = 2
    board.save_csv(tmp_path / "q.csv")
    with (tmp_path / "q.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["bits"], row["size_bytes"], row["metric"]) for row in rows] == [
        ("8", "1024", "98.0"),
        ("2", "256", "70.0"),
    ]


@pytest.mark.parametrize("empty", ["layers", "bits", "schemes", "granularities", "calibrators"])
def test_no_choice_is_refused(empty: str) -> None:
    choices: dict[str, Any] = {"layers": ["a"], empty: []}
    with pytest.raises(ValueError, match="name at least one"):
        dashboards.QuantizationDashboard(Rounder(), **choices)


def test_a_result_that_is_no_quantization_is_explained() -> None:
    board = quantization_board(lambda *setting: None)
    assert "measure(layer, bits, scheme, granularity, calibrator) returned" in board.words()[0]


def test_the_record_holds_words_and_four_tables() -> None:
    record = quantization_board(Rounder())._record_bundle()
    assert record["text/html"].count("<table>") == 4
    assert "A note." in record["text/plain"]


def test_a_setting_reads_as_words() -> None:
    setting = QuantizationSetting("head", 4, "affine", "channel", "minmax")
    assert setting.in_words() == "head, 4 bits, affine, per channel, minmax"
