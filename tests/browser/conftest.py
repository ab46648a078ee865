"""One browser and one JupyterLab for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from .chromium import browser_path, launched
from .lab_server import LabServer

_MISSING = "no Chromium on PATH and no BROWSER_PATH: the dashboards were not seen in a browser"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = browser_path()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(_MISSING)
        pytest.skip(_MISSING)
    with launched(path) as chromium:
        yield chromium


@pytest.fixture(scope="package")
def lab(browser: Browser) -> Iterator[LabServer]:
    with LabServer() as server:
        yield server
