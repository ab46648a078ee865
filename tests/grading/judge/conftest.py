"""Sandboxes for the tests of the judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.grading.judge.transport import ForkedSandbox
from tito.grading.judge.link import Link

Connect = Callable[..., Link]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes links to forked sandboxes in which a student's cell ran; a test may begin."""
    opened: list[ForkedSandbox] = []

    def connected(source: str = "", seconds: float = 20.0, **options: object) -> Link:
        sandbox = ForkedSandbox()
        opened.append(sandbox)
        link = Link(sandbox, **options)  # type: ignore[arg-type]
        shown: list[object] = []
        reply = link.run_cell(source, shown.append)
        assert reply["status"] == "ok", shown
        link.begin_cell(time.monotonic() + seconds, test=True)
        return link

    yield connected
    for sandbox in opened:
        sandbox.close()
