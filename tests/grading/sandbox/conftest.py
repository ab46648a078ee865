"""Sandboxes for tests. CI has walls, or fails; elsewhere tests that need them are skipped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grading.needed_walls import need_walls
from tests.grading.sandbox.cells import AGENT, write_agent
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.limits import Limits
from tito.grading.sandbox.process import Sandbox
from tito.grading.sandbox.zygote import Zygote
from tito.lessons.given import given_tree

SMALL = Limits(memory_bytes=768 << 20, processes=40, scratch_bytes=16 << 20, printed=2_000)


@pytest.fixture(scope="session")
def given() -> Iterator[Path]:
    """A given tree that every user may read; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="given-"))
    given_tree(folder, 14)
    write_agent(folder)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def walls() -> None:
    need_walls()


@pytest.fixture(scope="session")
def zygote(walls: None, given: Path) -> Iterator[Zygote]:
    with Zygote(given, Level.NAMESPACES, SMALL, AGENT) as started:
        yield started


@pytest.fixture
def sandbox(zygote: Zygote) -> Iterator[Sandbox]:
    with zygote.spawn() as started:
        yield started


@pytest.fixture(scope="module")
def shared(zygote: Zygote) -> Iterator[Sandbox]:
    """One sandbox for tests that do not end it."""
    with zygote.spawn() as started:
        yield started
