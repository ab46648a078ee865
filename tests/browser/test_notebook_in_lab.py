"""Static figures, and a whole lesson, in a real JupyterLab."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .dashboard_notebook import write_notebook, write_static_notebook
from .lab_server import LabServer
from .run_notebook import run_notebook_in_lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_LESSONS = sorted(Path(__file__).parents[2].glob("source/*/*.ipynb"))


def test_static_figures_are_drawn_without_network(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    notebook = write_static_notebook(tmp_path / "static.ipynb")
    run = run_notebook_in_lab(notebook, tmp_path, browser=browser, server=lab)
    assert run.problems() == []
    assert len(run.charts) == 11


def test_a_cell_error_and_a_lost_figure_are_told(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    no_figure = "display({'application/vnd.plotly.v1+json': {'data': 5}}, raw=True)"
    notebook = write_notebook(tmp_path / "broken.ipynb", "# Broken", [no_figure, "1 / 0"])
    run = run_notebook_in_lab(notebook, tmp_path, browser=browser, server=lab, drawing_seconds=3)
    problems = run.problems()
    assert "cell error: ZeroDivisionError: division by zero" in problems
    assert "0 of 1 figures were drawn" in problems


@pytest.mark.parametrize("lesson", _LESSONS, ids=lambda path: path.stem)
def test_the_reference_lesson_runs_and_every_figure_is_readable(
    browser: Browser, lab: LabServer, tmp_path: Path, lesson: Path
) -> None:
    run = run_notebook_in_lab(lesson, tmp_path, browser=browser, server=lab)
    assert run.problems() == []
    assert run.pictures
