"""What a student's page shows of the tests that were hidden."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tito.lessons.nbgrader_settings import BEGIN_HIDDEN_TESTS
from tito.lessons.roles import visible_text

REMARK = "# (hidden tests ran here)"


class Shown(StrEnum):
    """How much of hidden tests a student sees."""

    CODE = "code"
    MESSAGES = "messages"
    NOTHING = "nothing"


def hide_tests(cell: Any, shown: Shown) -> None:
    """Take out of a cell what a student is not to see of hidden tests.

    `code` leaves the cell alone. `messages` keeps what the tests said of the work, without their
    code and without tracebacks, which quote it. `nothing` keeps the points only.

    Args:
        cell: A cell, as a dictionary; it is changed.
        shown: How much stays.
    """
    hidden = cell["cell_type"] == "code" and BEGIN_HIDDEN_TESTS in cell["source"]
    if shown is Shown.CODE or not hidden:
        return
    cell["source"] = f"{visible_text(cell['source'])}\n{REMARK}"
    if shown is Shown.NOTHING:
        cell["outputs"] = []
        return
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            output["traceback"] = [f"{output['ename']}: {output['evalue']}"]
