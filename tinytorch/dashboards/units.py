"""Numbers with units a person reads: one unit for a whole axis, three digits in a sentence."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """A unit and how many base units (nanoseconds, bytes) it holds."""

    name: str
    size: float


_TIMES = (Unit("ns", 1.0), Unit("µs", 1e3), Unit("ms", 1e6), Unit("s", 1e9))
_SIZES = (Unit("B", 1.0), Unit("KiB", 2.0**10), Unit("MiB", 2.0**20), Unit("GiB", 2.0**30))


def time_unit(largest_ns: float) -> Unit:
    """Return the largest time unit that is not above `largest_ns`."""
    return _fitting(_TIMES, largest_ns)


def size_unit(largest_bytes: float) -> Unit:
    """Return the largest unit of size that is not above `largest_bytes`."""
    return _fitting(_SIZES, largest_bytes)


def format_ns(time_ns: float) -> str:
    """Return a duration as text: ``format_ns(1_234_000) == "1.23 ms"``."""
    return _with_unit(time_ns, time_unit(time_ns))


def format_bytes(size_bytes: float) -> str:
    """Return a size as text: ``format_bytes(1536) == "1.5 KiB"``."""
    return _with_unit(size_bytes, size_unit(size_bytes))


def _fitting(units: tuple[Unit, ...], value: float) -> Unit:
    return next((unit for unit in reversed(units) if abs(value) >= unit.size), units[0])


def _with_unit(value: float, unit: Unit) -> str:
    return f"{short(value / unit.size)} {unit.name}"


def short(value: float) -> str:
    """Return a number with three significant digits and no exponent where that is readable."""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        digits = f"{value:.3g}"
        return f"{value:.0f}" if "e" in digits else digits
    return f"{value:.2e}"
