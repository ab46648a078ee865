"""Runs any notebook in a real JupyterLab and looks at it.

python -m tests.browser.run_notebook NOTEBOOK PICTURES [--dark]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from .chromium import browser_path, launched
from .lab_page import LabPage
from .lab_server import LabServer
from .look import problems_of_charts


@dataclass(frozen=True)
class LabRun:
    """What was seen of a notebook after all its cells had run."""

    cells: list[dict[str, Any]]
    charts: list[dict[str, Any]]
    dashboard_errors: list[str]
    refused: list[str]
    console_errors: list[str]
    pictures: list[Path]

    def problems(self) -> list[str]:
        """Return what is wrong; empty where everything ran and every figure is readable."""
        planned = sum(cell["plots"] for cell in self.cells)
        drawn = sum(not chart["live"] for chart in self.charts)
        return [
            *(f"cell error: {error}" for cell in self.cells for error in cell["errors"]),
            *(f"cell did not run: {c['source']}" for c in self.cells if not c["executed"]),
            *([f"{drawn} of {planned} figures were drawn"] if drawn != planned else []),
            *problems_of_charts(self.charts),
            *(f"dashboard: {error}" for error in self.dashboard_errors),
            *(f"request to elsewhere: {address}" for address in self.refused),
            *(f"console error: {text}" for text in self.console_errors),
        ]


def run_notebook_in_lab(
    notebook: Path,
    pictures: Path,
    *,
    browser: Browser,
    server: LabServer,
    seconds: float = 600,
    drawing_seconds: float = 60,
) -> LabRun:
    """Open a copy of `notebook` in JupyterLab, run all cells, and picture each drawn output.

    Args:
        notebook: Any notebook; it is not changed.
        pictures: A folder for screenshots, one for each cell with figures or widgets.
        browser: A running browser.
        server: A running JupyterLab.
        seconds: How long the cells may take.
        drawing_seconds: How long the figures may take after that.
    """
    page = LabPage(browser, server)
    try:
        page.open(server.add(notebook))
        page.run_all(seconds)
        cells = page.ask("cells")
        planned = sum(cell["plots"] for cell in cells)
        live = 4 * page.locate(".tinytorch-dashboard").count()
        page.follows(
            "charts",
            f"(charts) => charts.length >= {planned + live} && charts.every((c) => c.marks > 0)",
            drawing_seconds,
        )
        return LabRun(
            cells=cells,
            charts=page.ask("charts"),
            dashboard_errors=page.ask("dashboardErrors"),
            refused=page.refused,
            console_errors=page.console_errors,
            pictures=_picture_outputs(page, pictures, notebook.stem),
        )
    finally:
        page.close()


def _picture_outputs(page: LabPage, folder: Path, stem: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = page.locate(".jp-CodeCell .jp-Cell-outputWrapper:has(.js-plotly-plot)")
    paths = []
    for number in range(drawn.count()):
        path = folder / f"{stem}-{number + 1:02}.png"
        drawn.nth(number).scroll_into_view_if_needed()
        drawn.nth(number).screenshot(path=str(path))
        paths.append(path)
    return paths


def main() -> int:
    """Run one notebook from the command line; 0 where nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args()
    path = browser_path()
    if path is None:
        parser.error("no Chromium on PATH; name one with BROWSER_PATH")
    theme = "JupyterLab Dark" if given.dark else "JupyterLab Light"
    with LabServer(theme) as server, launched(path) as browser:
        run = run_notebook_in_lab(given.notebook, given.pictures, browser=browser, server=server)
    for line in [*run.problems(), *map(str, run.pictures)]:
        sys.stdout.write(line + "\n")
    return 1 if run.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
