"""Finds for each point's label a place where it covers neither a point nor another label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_WIDTH, _HEIGHT = 440.0, 170.0  # the plot's inner size in pixels where two charts share a row
_LETTER, _LINE = 7.0, 15.0  # width of a letter, height of a line of text
_MARK, _STROKE = 8.0, 2.0  # half the width of a mark, of a drawn line


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )


def free_places(
    points: Sequence[tuple[float, float, str]],
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    avoid: Sequence[tuple[float, float]] = (),
) -> list[str | None]:
    """Return plotly's `textposition` for each point, None where no place is free.

    Args:
        points: (x, y, label) with positive x and y, the most important first.
        x_limits: Ends of the logarithmic x axis, as values.
        y_limits: Ends of the logarithmic y axis, as values.
        avoid: More places to leave free: points along a line that is drawn.

    Returns:
        One position a point, in the order given.
    """
    centres = [
        (_pixel(x, x_limits, _WIDTH), _pixel(y, y_limits, _HEIGHT)) if _on_log_axes(x, y) else None
        for x, y, _ in points
    ]
    taken = [_Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in filter(None, centres)]
    for x, y in avoid:
        across, up = _pixel(x, x_limits, _WIDTH), _pixel(y, y_limits, _HEIGHT)
        taken.append(_Box(across - _STROKE, up - _STROKE, across + _STROKE, up + _STROKE))
    places: list[str | None] = []
    for centre, (_, _, label) in zip(centres, points, strict=True):
        chosen = None if centre is None else _first_free(_candidates(*centre, label), taken)
        if chosen is not None:
            taken.append(chosen[1])
        places.append(chosen[0] if chosen else None)
    return places


def _on_log_axes(x: float, y: float) -> bool:
    return 0 < x < math.inf and 0 < y < math.inf


def _pixel(value: float, limits: tuple[float, float], length: float) -> float:
    low, high = math.log10(limits[0]), math.log10(limits[1])
    return (math.log10(value) - low) / (high - low) * length


def _candidates(x: float, y: float, label: str) -> Iterable[tuple[str, _Box]]:
    width = _LETTER * len(label)
    for vertical, bottom in (("top", y + _MARK), ("bottom", y - _MARK - _LINE)):
        for horizontal, left in (("center", x - width / 2), ("right", x), ("left", x - width)):
            yield f"{vertical} {horizontal}", _Box(left, bottom, left + width, bottom + _LINE)
    middle = y - _LINE / 2
    yield "middle right", _Box(x + _MARK, middle, x + _MARK + width, middle + _LINE)
    yield "middle left", _Box(x - _MARK - width, middle, x - _MARK, middle + _LINE)


def _first_free(
    candidates: Iterable[tuple[str, _Box]], taken: Sequence[_Box]
) -> tuple[str, _Box] | None:
    for place, box in candidates:
        inside = box.left >= 0 and box.right <= _WIDTH and box.bottom >= 0 and box.top <= _HEIGHT
        if inside and not any(box.meets(other) for other in taken):
            return place, box
    return None
