"""The profiler dashboard in a real JupyterLab, and three notebooks in which it must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .dashboard_check import problems_of_dashboard
from .dashboard_notebook import write_dashboard_notebook, write_error_notebook
from .lab_page import LabPage
from .lab_server import LabServer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_every_control_moves_a_readable_picture(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    notebook = lab.add(write_dashboard_notebook(tmp_path / "dashboard.ipynb"))
    page = LabPage(browser, lab)
    assert problems_of_dashboard(page, notebook, tmp_path) == []
    page.close()


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        (
            "unwired",
            [
                "the picture did not follow the sequence length (keyboard)",
                "the picture did not follow the batch size (mouse)",
                "the picture did not follow the model (keyboard)",
            ],
        ),
        (
            "faulty",
            [
                "cell error: RuntimeError: meant to fail",
                "request to elsewhere: https://cdn.plot.ly/pixel.png",
                "Time by operation: no accessible name",
            ],
        ),
    ],
)
def test_the_check_refuses_a_broken_dashboard(
    browser: Browser, lab: LabServer, tmp_path: Path, kind: str, faults: list[str]
) -> None:
    notebook = lab.add(write_dashboard_notebook(tmp_path / f"{kind}.ipynb", kind))
    page = LabPage(browser, lab)
    problems = problems_of_dashboard(page, notebook, tmp_path, patience_seconds=4)
    page.close()
    for fault in faults:
        assert fault in problems


def test_an_error_of_the_measured_code_is_seen_and_gone_after_the_next_setting(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    notebook = lab.add(write_error_notebook(tmp_path / "raising.ipynb"))
    page = LabPage(browser, lab)
    page.open(notebook)
    page.run_all()
    page.wait_for("dashboardErrors", "(errors) => errors.length === 1")
    page.screenshot(tmp_path / "error.png")
    error = page.ask("dashboardErrors")[0]
    assert "ZeroDivisionError in measure_one" in error
    page.locate(".tinytorch-dashboard [role=slider]").nth(1).focus()
    page.page.keyboard.press("ArrowRight")
    page.wait_for("charts", "(charts) => charts.length === 4 && charts.every((c) => c.marks)")
    assert page.ask("dashboardErrors") == []
    assert all(chart["width"] > 300 for chart in page.ask("charts"))
    page.close()


def test_the_charts_come_back_when_the_page_is_loaded_again(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    notebook = lab.add(write_dashboard_notebook(tmp_path / "again.ipynb"))
    page = LabPage(browser, lab)
    page.open(notebook)
    page.run_all()
    drawn = "(charts) => charts.length === 4 && charts.every((chart) => chart.marks > 0)"
    page.wait_for("charts", drawn)
    page.command("docmanager:save")
    page.open(notebook)
    page.wait_for("charts", drawn)
    assert page.console_errors == []
    page.close()
