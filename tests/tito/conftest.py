from pathlib import Path

import pytest

from tests.tito.checkout import checkout
from tito.course import Course


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A checkout of its own, with the fixture lesson's text and nothing generated."""
    root = tmp_path / "course"
    root.mkdir()
    return checkout(root)
