"""The dashboards of memoization and quantization in a real JupyterLab, and broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from .dashboard_check import problems_of_dashboard
from .lab_page import LabPage
from .lab_server import LabServer
from .lesson_dashboards import BOARDS, BROKEN_TURNS, TURNS, write_lesson_dashboards

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_every_control_of_both_dashboards_moves_a_readable_picture(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    notebook = lab.add(write_lesson_dashboards(tmp_path / "lessons.ipynb"))
    page = LabPage(browser, lab)
    problems = problems_of_dashboard(
        page, notebook, tmp_path, patience_seconds=30, turns=TURNS, boards=BOARDS
    )
    page.close()
    assert problems == []


def test_the_check_refuses_a_cache_that_does_not_play_and_dead_controls(
    browser: Browser, lab: LabServer, tmp_path: Path
) -> None:
    notebook = lab.add(write_lesson_dashboards(tmp_path / "broken_lessons.ipynb", broken=True))
    page = LabPage(browser, lab)
    problems = problems_of_dashboard(
        page, notebook, tmp_path, patience_seconds=2, turns=BROKEN_TURNS, boards=BOARDS
    )
    page.close()
    for turn in BROKEN_TURNS:
        assert f"the picture did not follow {turn.name}" in problems
