"""Uses a dashboard as a person would, and says what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .lab_page import LabPage
from .look import problems_of_charts

CHARTS = 4  # every dashboard has so many
_FIRST_DRAWING_SECONDS = 60  # plotly.js comes to the page; a busy machine needs long


class Turn(NamedTuple):
    """One thing a person does to a dashboard, and the chart that must follow.

    `board` and `chart` count from 0, on the page and in the dashboard.
    """

    name: str
    act: Callable[[LabPage], None]
    board: int = 0
    chart: int = 0
    moves_words: bool = True  # a step of an animation says nothing new


def problems_of_dashboard(
    page: LabPage,
    notebook: str,
    pictures: Path,
    patience_seconds: float = 15,
    turns: Sequence[Turn] | None = None,
    boards: int = 1,
) -> list[str]:
    """Run `notebook`, turn every control, and return what did not go as it should.

    Args:
        page: A fresh page.
        notebook: The notebook's name in the folder that JupyterLab serves.
        pictures: A folder for screenshots.
        patience_seconds: How long the picture may take to follow a control.
        turns: What to do; by default what the profiler's controls allow.
        boards: How many dashboards the notebook shows.
    """
    page.open(notebook)
    page.run_all()
    cells = page.ask("cells")
    problems = [f"cell error: {error}" for cell in cells for error in cell["errors"]]
    problems += [f"cell did not run: {c['source']}" for c in cells if not c["executed"]]
    drawn = f"(charts) => charts.length >= {CHARTS * boards} && charts.every((c) => c.marks > 0)"
    if not page.follows("charts", drawn, _FIRST_DRAWING_SECONDS):
        return [*problems, "the charts were not drawn"]
    page.screenshot(pictures / "before.png")
    problems += problems_of_charts(page.ask("charts"))
    problems += _problems_of_place(page, boards)
    problems += _problems_of_controls(page)
    for turn in PROFILER_TURNS if turns is None else turns:
        if not _picture_follows(page, turn, patience_seconds):
            problems.append(f"the picture did not follow {turn.name}")
    page.screenshot(pictures / "after.png")
    problems += [f"after the changes: {p}" for p in problems_of_charts(page.ask("charts"))]
    problems += [f"request to elsewhere: {address}" for address in page.refused]
    problems += [f"console error: {text}" for text in page.console_errors]
    return problems


def _length_by_keyboard(page: LabPage) -> None:
    page.locate(".tinytorch-dashboard [role=slider]").nth(1).focus()
    page.page.keyboard.press("ArrowRight")


def _batch_by_mouse(page: LabPage) -> None:
    handle = page.locate(".tinytorch-dashboard [role=slider]").nth(0).bounding_box()
    assert handle is not None
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    page.page.mouse.move(x, y)
    page.page.mouse.down()
    page.page.mouse.move(x + 120, y, steps=6)
    page.page.mouse.up()


def _model_by_keyboard(page: LabPage) -> None:
    page.locate(".tinytorch-dashboard select").focus()
    page.page.keyboard.press("ArrowDown")


PROFILER_TURNS = (
    Turn("the sequence length (keyboard)", _length_by_keyboard),
    Turn("the batch size (mouse)", _batch_by_mouse),
    Turn("the model (keyboard)", _model_by_keyboard),
)


def _picture_follows(page: LabPage, turn: Turn, patience_seconds: float) -> bool:
    """Turn a control; the words and what the chart draws must change."""
    number, board = CHARTS * turn.board + turn.chart, turn.board
    words, drawn = page.ask("words")[board], page.ask("charts")[number]["drawn"]
    turn.act(page)
    moved = f"(charts) => charts[{number}].drawn !== {json.dumps(drawn)}"
    if not turn.moves_words:
        return page.follows("charts", moved, patience_seconds)
    settled = f"(w) => w[{board}] !== {json.dumps(words)} && !w[{board}].includes('measuring')"
    return page.follows("words", settled, patience_seconds) and page.follows(
        "charts", moved, patience_seconds
    )


def _problems_of_place(page: LabPage, boards: int) -> list[str]:
    """The first row of charts is in view at once; all of a dashboard is, once scrolled to."""
    problems = []
    view = page.ask("viewport")
    for chart in page.ask("charts")[:2]:
        if chart["bottom"] > view["bottom"]:
            problems.append(f"below the fold: {chart['title']}")
    for board in range(boards):
        box = page.locate(".tinytorch-dashboard").nth(board)
        box.evaluate("(box) => box.scrollIntoView()")
        charts = page.ask("charts")[CHARTS * board : CHARTS * (board + 1)]
        if max(chart["bottom"] for chart in charts) > view["bottom"]:
            problems.append(f"the dashboard does not fit the window: {charts[0]['title']}")
    return problems


def _problems_of_controls(page: LabPage) -> list[str]:
    controls = page.ask("controls")
    problems = [f"control without a name: {c}" for c in controls if not c["name"].strip()]
    problems += [f"out of the keyboard's reach: {c['name']}" for c in controls if c["tabIndex"] < 0]
    sliders = [control for control in controls if control["tag"] == "div"]
    problems += [f"slider without a value: {c['name']}" for c in sliders if not c["value"]]
    if len(controls) < 5:
        problems.append(f"controls are missing: {[control['name'] for control in controls]}")
    return problems
