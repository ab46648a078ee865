"""Uses the profiler dashboard as a person would, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .lab_page import LabPage
from .look import problems_of_charts

_CHARTS_DRAWN = "(charts) => charts.length >= 4 && charts.every((chart) => chart.marks > 0)"


def problems_of_dashboard(
    page: LabPage, notebook: str, pictures: Path, patience_seconds: float = 15
) -> list[str]:
    """Run `notebook`, turn every control, and return what did not go as it should.

    Args:
        page: A fresh page.
        notebook: The notebook's name in the folder that JupyterLab serves.
        pictures: A folder for screenshots.
        patience_seconds: How long the picture may take to follow a control.
    """
    page.open(notebook)
    page.run_all()
    cells = page.ask("cells")
    problems = [f"cell error: {error}" for cell in cells for error in cell["errors"]]
    problems += [f"cell did not run: {c['source']}" for c in cells if not c["executed"]]
    if not page.follows("charts", _CHARTS_DRAWN, patience_seconds):
        return [*problems, "the charts were not drawn"]
    page.screenshot(pictures / "before.png")
    problems += problems_of_charts(page.ask("charts"))
    problems += _problems_of_place(page)
    problems += _problems_of_controls(page)
    for control, turn in _TURNS.items():
        if not _picture_follows(page, turn, patience_seconds):
            problems.append(f"the picture did not follow {control}")
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


_TURNS = {
    "the sequence length (keyboard)": _length_by_keyboard,
    "the batch size (mouse)": _batch_by_mouse,
    "the model (keyboard)": _model_by_keyboard,
}


def _picture_follows(
    page: LabPage, turn: Callable[[LabPage], None], patience_seconds: float
) -> bool:
    """Turn a control; the words and the longest bars must change."""
    words, bars = page.ask("words")[0], page.ask("charts")[0]["data"][-1]["x"]
    turn(page)
    return (
        page.follows("words", f"(words) => words[0] !== {words!r}", patience_seconds)
        and page.follows("words", '(w) => !w[0].includes("measuring")', patience_seconds)
        and page.follows("charts", f"(c) => `${{c[0].data.at(-1).x}}` !== `${{{bars!r}}}`")
    )


def _problems_of_place(page: LabPage) -> list[str]:
    """The first row of charts is in view at once; all of it is, once scrolled to."""
    problems = []
    view = page.ask("viewport")
    for chart in page.ask("charts")[:2]:
        if chart["bottom"] > view["bottom"]:
            problems.append(f"below the fold: {chart['title']}")
    page.locate(".tinytorch-dashboard").evaluate("(box) => box.scrollIntoView()")
    charts = page.ask("charts")
    if max(chart["bottom"] for chart in charts) > view["bottom"]:
        problems.append("the dashboard does not fit the window")
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
