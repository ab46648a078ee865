"""The memoization dashboard without a browser: what it measures, says, keeps and saves."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch import dashboards
from tinytorch.dashboards.captions import summary_of, table_of
from tinytorch.dashboards.comparison import paired_ratio
from tinytorch.dashboards.memoization_setting import MemoizationSetting
from tinytorch.dashboards.memoization_words import change_words, growth_words

from .dashboard_results import FakeTrace, Writer, memoization_board


def lines_of(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data if trace.mode == "lines"}


def test_each_setting_is_measured_once_and_the_first_is_without_a_cache() -> None:
    writer = Writer()
    board = memoization_board(writer)
    board._cached.value = True
    board._window.value = 16
    board._window.label = "none"
    board._heads.value = 1
    assert writer.asked == [
        (False, None, 4, 32),
        (True, None, 4, 32),
        (True, 16, 4, 32),
        (True, None, 1, 32),
    ]
    board.children[0].children[4].click()  # measure again
    assert writer.asked[-1] == (True, None, 1, 32)
    assert len(writer.asked) == 5


def test_a_window_rests_while_there_is_no_cache() -> None:
    writer = Writer()
    board = memoization_board(writer)
    assert board._window.disabled
    board._window.value = 16
    assert writer.asked == [(False, None, 4, 32)]
    board._cached.value = True
    assert not board._window.disabled
    assert writer.asked[-1] == (True, 16, 4, 32)


def test_the_list_of_windows_always_shows_its_choice() -> None:
    """ipywidgets shows an empty list for a chosen None; the next arrow key is then lost."""
    board = memoization_board(Writer())
    board._cached.value = True
    shown = [(board._window.index, board._window.label)]
    for label in ("16", "none"):
        board._window.label = label
        shown.append((board._window.index, board._window.label))
    assert shown == [(0, "none"), (1, "16"), (0, "none")]
    assert board.setting.window is None


def test_axes_hold_every_setting_seen_and_the_baseline_stays() -> None:
    board = memoization_board(Writer())
    board._length.value = 128
    widest = [figure.layout for figure in board.figures()[:3]]
    board._cached.value = True
    for before, figure in zip(widest[:2], board.figures(), strict=False):
        assert figure.layout.xaxis.range == before.xaxis.range
    latency = lines_of(board.figures()[0])
    assert list(latency["baseline"].y) != list(latency["now"].y)
    low, high = board.figures()[0].layout.yaxis.range
    for line in latency.values():
        assert low < math.log10(min(line.y)) <= math.log10(max(line.y)) < high


def test_bytes_are_drawn_as_they_were_measured() -> None:
    board = memoization_board(Writer())
    board._cached.value = True
    bytes_now = lines_of(board.figures()[1])["now"]
    unit = {"B": 1, "KiB": 1024}[board.figures()[1].layout.yaxis.title.text[7:-1]]
    np.testing.assert_allclose(np.array(bytes_now.y) * unit, [256 * at for at in range(8, 32)])


def test_words_name_the_change_the_cause_the_memory_and_what_to_try() -> None:
    board = memoization_board(Writer())
    assert "This is the baseline" in board.words()[0]
    assert "computes all keys and values before it again" in board.words()[1]
    assert "takes no memory" in board.words()[2]
    assert "turn the cache on" in board.words()[3]
    assert board.words()[4] == "A note."
    board._cached.value = True
    assert "19.5 times faster than the baseline at 24 equal positions" in board.words()[0]
    assert "stays level" in board.words()[1]
    assert "ends at 7.75 KiB, 256 B more with each token" in board.words()[2]
    assert "fewer key-value heads" in board.words()[3]
    board._window.value = 16
    assert "without the window" in board.words()[3]


def test_a_full_window_is_constant_memory() -> None:
    def measure(cached: bool, window: int | None, kv_heads: int, length: int) -> FakeTrace:
        return FakeTrace([20, 21, 22], [1.0, 1.0, 1.0], [4096, 4096, 4096])

    assert (
        "ends at 4 KiB, the same from the first token on" in memoization_board(measure).words()[2]
    )


def trace(times: list[float], **more: Any) -> FakeTrace:
    made = FakeTrace(list(range(len(times))), times, [0] * len(times))
    for name, value in more.items():
        object.__setattr__(made, name, value)
    return made


def test_noise_is_no_measurable_change_and_a_small_true_change_is_seen() -> None:
    noise = np.random.default_rng(5).lognormal(sigma=0.2, size=(2, 100))
    before, now = trace(list(100 * noise[0])), trace(list(100 * noise[1]))
    assert "no measurable change against the baseline (b)" in change_words(before, now, "b")
    slower = trace(list(130 * noise[1]))
    assert "times slower than the baseline at 100 equal positions" in change_words(
        before, slower, "b"
    )


def test_given_intervals_decide_before_the_pairs_do() -> None:
    before = trace([100.0] * 20, latency_interval_ns=(90.0, 110.0))
    near = trace([120.0] * 20, latency_interval_ns=(105.0, 130.0))
    far = trace([120.0] * 20, latency_interval_ns=(115.0, 130.0))
    assert "no measurable change" in change_words(before, near, "b")
    assert "1.2 times slower" in change_words(before, far, "b")


@given(
    st.lists(st.floats(1.0, 1e3), min_size=6, max_size=60),
    st.lists(st.floats(1.0, 1e3), min_size=6, max_size=60),
)
def test_the_interval_holds_the_median_and_turns_around(
    first: list[float], second: list[float]
) -> None:
    before, now = dict(enumerate(first)), dict(enumerate(second))
    ratio, back = paired_ratio(before, now), paired_ratio(now, before)
    assert ratio is not None
    assert back is not None
    assert ratio.low <= ratio.median * (1 + 1e-12)
    assert ratio.median <= ratio.high * (1 + 1e-12)
    assert back.low == pytest.approx(1 / ratio.high)
    assert ratio.pairs == min(len(first), len(second))
    assert ratio.is_measurable() == back.is_measurable()


def test_the_interval_covers_the_true_ratio_as_often_as_it_says() -> None:
    """Simulated against a known median: an interval that is too short is found out."""
    rng = np.random.default_rng(11)
    for count in (6, 20, 57):
        hits = 0
        for _ in range(600):
            draws = rng.lognormal(sigma=0.5, size=count)
            ratio = paired_ratio(dict.fromkeys(range(count), 1.0), dict(enumerate(draws)))
            assert ratio is not None
            hits += ratio.low <= 1.0 <= ratio.high
        assert hits / 600 > 0.925, count


def test_five_pairs_are_no_interval() -> None:
    few = dict.fromkeys(range(5), 1.0)
    assert paired_ratio(few, few) is None


@pytest.mark.parametrize(
    ("cached", "window", "end", "said"),
    [
        (False, None, 40, "computes all keys and values"),
        (True, None, 40, "reads grow with the text"),
        (True, 64, 40, "shorter than the window"),
        (True, 16, 40, "something else grows"),
    ],
)
def test_growth_has_a_cause(cached: bool, window: int | None, end: int, said: str) -> None:
    growing = FakeTrace(list(range(end)), [1.0 + at for at in range(end)], [0] * end)
    assert said in growth_words(growing, cached, window)


def test_one_interrupted_token_neither_bends_the_line_nor_moves_the_axis() -> None:
    def measure(cached: bool, window: int | None, kv_heads: int, length: int) -> FakeTrace:
        times = [1000.0] * 40
        times[20] = 1e9
        return FakeTrace(list(range(40)), times, [0] * 40)

    board = memoization_board(measure)
    figure = board.figures()[0]
    assert max(lines_of(figure)["now"].y) == min(lines_of(figure)["now"].y)
    assert 10 ** figure.layout.yaxis.range[1] < 100
    assert "1 of 40 tokens lie outside the axis" in summary_of(figure)


def test_an_error_is_shown_and_a_wrong_result_is_not_kept() -> None:
    def measure(cached: bool, window: int | None, kv_heads: int, length: int) -> Any:
        if not cached:
            raise ZeroDivisionError("no tokens")
        if kv_heads == 2:
            return FakeTrace([1, 2], [1.0], [1, 2])
        return Writer()(cached, window, kv_heads, length)

    board = memoization_board(measure)
    assert "raised ZeroDivisionError in measure" in board.words()[0]
    board._cached.value = True
    assert board.error is None
    assert len(board.figures()) == 4
    board._heads.value = 2
    assert "2 positions, 1 latency_ns, 2 cache_bytes" in board.words()[0]
    board._heads.value = 1
    assert board.error is None


def test_a_result_that_is_no_generation_is_explained() -> None:
    board = memoization_board(lambda *setting: None)
    assert "measure(cached, window, kv_heads, length) returned NoneType" in board.words()[0]
    assert "a generation needs positions" in board.words()[0]


@pytest.mark.parametrize("empty", ["lengths", "windows", "kv_heads", "cached"])
def test_no_choice_is_refused(empty: str) -> None:
    choices: dict[str, Any] = {"lengths": [32], empty: []}
    with pytest.raises(ValueError, match="name at least one"):
        dashboards.MemoizationDashboard(Writer(), **choices)


def test_save_csv_has_a_row_for_each_token_of_each_setting(tmp_path: Path) -> None:
    board = memoization_board(Writer())
    board._cached.value = True
    board.save_csv(tmp_path / "generation.csv")
    with (tmp_path / "generation.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 24
    assert rows[-1] == {
        "cached": "True",
        "window": "",
        "kv_heads": "4",
        "length": "32",
        "position": "31",
        "latency_ns": "10000.0",
        "cache_bytes": "7936",
    }


def test_save_html_does_not_play_by_itself(tmp_path: Path) -> None:
    page = tmp_path / "generation.html"
    memoization_board(Writer()).save_html(page)
    text = page.read_text(encoding="utf-8")
    assert text.count("Plotly.newPlot(") == 4
    assert text.count("Plotly.addFrames(") == 1
    assert "Plotly.animate(" not in text.split("</head>")[1].rpartition("plotly.js v")[2][-100_000:]
    assert 'src="http' not in text


def test_the_record_holds_words_and_four_tables() -> None:
    record = memoization_board(Writer())._record_bundle()
    assert record["text/plain"].startswith("Generation: no cache, 4 KV heads, length 32.")
    assert record["text/html"].count("<table>") == 4


def test_the_cost_table_names_every_setting_seen() -> None:
    board = memoization_board(Writer())
    board._cached.value = True
    board._heads.value = 1
    rows = table_of(board.figures()[2])
    assert [row["point"] for row in rows] == ["now", "baseline", "seen before"]
    assert [row["cache"] for row in rows] == ["1.94 KiB", "0 B", "7.75 KiB"]


def test_a_setting_reads_as_words() -> None:
    assert MemoizationSetting(False, None, 4, 64).in_words() == "no cache, 4 KV heads, length 64"
    assert MemoizationSetting(True, 32, 1, 64).in_words() == (
        "cache, window 32, 1 KV head, length 64"
    )
