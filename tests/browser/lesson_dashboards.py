"""The dashboards of memoization and quantization on one page, and what a person does to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .dashboard_check import Turn
from .dashboard_notebook import write_notebook
from .lab_page import LabPage

BOARDS = 2
_FOLDER = Path(__file__).parent
_GENERATION = (_FOLDER / "timed_generation.py").read_text(encoding="utf-8")
_CNN = (_FOLDER / "quantized_cnn.py").read_text(encoding="utf-8")

_MEMOIZATION = """
from tinytorch import dashboards
memoization = dashboards.MemoizationDashboard(
    measure_generation, lengths=[32, 64, 128], windows=[None, 16], kv_heads=[4, 2])
"""
_QUANTIZATION = """
from tinytorch import dashboards
quantization = dashboards.QuantizationDashboard(
    measure_quantization, layers=list(WEIGHTS), calibrators=["minmax", "percentile"])
"""
_UNWIRED = """
for control in (quantization._layer, quantization._bits):
    control.unobserve_all()
"""
_FRAMELESS = """
import json
chart = memoization._charts[3]
chart.figure_json = json.dumps({**json.loads(chart.figure_json), "frames": []})
"""


def write_lesson_dashboards(path: Path, *, broken: bool = False) -> Path:
    """Write the notebook; `broken`: an animation without frames, and two dead controls."""
    cells = [
        _GENERATION + _MEMOIZATION + (_FRAMELESS if broken else "") + "memoization",
        _CNN + _QUANTIZATION + (_UNWIRED if broken else "") + "quantization",
    ]
    return write_notebook(path, "# Two dashboards", cells, folded=2)


def _choose(board: int, number: int, key: str = "ArrowDown") -> Callable[[LabPage], None]:
    def act(page: LabPage) -> None:
        root = page.locate(".tinytorch-dashboard").nth(board)
        control = root.locator("select").nth(number)
        control.click(trial=True)  # waits until it is enabled
        control.focus()
        page.page.keyboard.press(key)

    return act


def _slide(board: int, number: int) -> Callable[[LabPage], None]:
    def act(page: LabPage) -> None:
        root = page.locate(".tinytorch-dashboard").nth(board)
        root.locator("[role=slider]").nth(number).focus()
        page.page.keyboard.press("ArrowRight")

    return act


def _click_in_cache(selector: str, at: float = 0.5) -> Callable[[LabPage], None]:
    def act(page: LabPage) -> None:
        target = page.locate(f".tinytorch-chart {selector}").first
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None
        page.page.mouse.click(box["x"] + at * box["width"], box["y"] + box["height"] / 2)

    return act


def _walk(key: str) -> Callable[[LabPage], None]:
    def act(page: LabPage) -> None:
        page.locate(".tinytorch-chart").nth(3).focus()
        page.page.keyboard.press(key)

    return act


def _step(name: str, act: Callable[[LabPage], None]) -> Turn:
    return Turn(name, act, board=0, chart=3, moves_words=False)


PLAYING = (
    _step("the play button", _click_in_cache(".updatemenu-button")),
    _step("the slider of the steps (mouse)", _click_in_cache(".slider-rail-touch-rect", 0.6)),
    _step("the steps (keyboard)", _walk("Home")),
)
TURNS = (
    Turn("the cache (keyboard)", _choose(0, 0)),
    Turn("the window (keyboard)", _choose(0, 1), chart=1),
    Turn("the heads (keyboard)", _slide(0, 0), chart=1),
    Turn("the length (keyboard)", _slide(0, 1), chart=2),
    *PLAYING,
    Turn("the layer (keyboard)", _choose(1, 0), board=1),
    Turn("the bits (keyboard)", _slide(1, 0), board=1, chart=1),
    Turn("the scheme (keyboard)", _choose(1, 1), board=1),
    Turn("the granularity (keyboard)", _choose(1, 2), board=1),
    Turn("the calibrator (keyboard)", _choose(1, 3), board=1),
)
BROKEN_TURNS = (
    PLAYING[0],
    *(turn for turn in TURNS if turn.name.startswith(("the layer", "the bits"))),
)
