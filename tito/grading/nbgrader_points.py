"""The points that nbgrader reads out of a graded cell, by its own rules and without importing it.

A test holds these functions against `nbgrader.utils.determine_grade`.
"""

from __future__ import annotations

import math

from tito.lessons import notebook as nb

NO_RESPONSE = "No response."


def worth(cell: nb.Cell) -> float:
    """The most that a graded cell can earn."""
    points = cell["metadata"]["nbgrader"]["points"]
    return float(points)


def automatic_points(cell: nb.Cell) -> float | None:
    """What a graded cell earned by itself; None when a person has to decide.

    An answer that is still the text it was given out with earns 0. A test earns 0 when it has an
    error or printed on stderr, the number that is its value if there is one, and else all.
    """
    most = worth(cell)
    if nb.is_solution(cell):
        return 0.0 if is_untouched(cell) else None
    if cell["cell_type"] != "code":
        return None
    for output in cell["outputs"]:
        kind = output["output_type"]
        if kind == "error" or (kind == "stream" and output.get("name") == "stderr"):
            return 0.0
        if kind == "execute_result":
            return _partial(output["data"].get("text/plain"), most)
    return most


def is_untouched(cell: nb.Cell) -> bool:
    """Whether a cell's text is the one it was given out with."""
    given: dict[str, object] = cell["metadata"]["nbgrader"]
    return given.get("checksum") == nb.checksum(cell)


def _partial(said: object, most: float) -> float:
    """A test's value as points; nbgrader takes what is no such number for full marks."""
    try:
        points = float(said) if isinstance(said, str) else most
    except ValueError:
        return most
    if points > most:
        raise ValueError(f"a test worth {most:g} points claims {points:g}")
    return points if points >= 0 and not math.isnan(points) else most
