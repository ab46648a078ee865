"""The rule for tests that need walls: CI runs them, or fails; elsewhere they are skipped."""

from __future__ import annotations

import os

import pytest

from tito.grading.sandbox.levels import Level, why_not


def need_walls() -> None:
    """Skip the running test where namespaces do not work; fail it in CI."""
    why = why_not(Level.NAMESPACES)
    if why is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"namespaces must work in CI, and do not: {why}")
    pytest.skip(f"no namespaces: {why}")
