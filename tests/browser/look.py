"""What a look at a chart would find: empty, narrow, cut or overlapping text, tiny letters."""

from __future__ import annotations

from typing import Any

SMALLEST_LETTERS = 11  # pixels


def problems_of_charts(charts: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with each chart that page_state.js describes."""
    problems: list[str] = []
    for chart in charts:
        problems += [f"{chart['title']}: {problem}" for problem in _problems(chart)]
    return problems


def _problems(chart: dict[str, Any]) -> list[str]:
    problems = []
    if not chart["marks"]:
        problems.append("nothing is drawn")
    if chart["width"] < 0.9 * chart["holderWidth"]:
        problems.append(f"{chart['width']:.0f} of {chart['holderWidth']:.0f} pixels are used")
    if chart["cut"]:
        problems.append(f"cut text {chart['cut']}")
    if chart["overlapping"]:
        problems.append(f"overlapping text {chart['overlapping']}")
    if chart["smallest"] < SMALLEST_LETTERS:
        problems.append(f"letters of {chart['smallest']} pixels")
    if chart["live"]:
        if not chart["label"]:
            problems.append("no accessible name")
        if chart["tabIndex"] < 0:
            problems.append("out of the keyboard's reach")
    return problems
