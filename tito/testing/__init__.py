"""What test cells import: comparisons that explain, fresh random inputs, counted work, a clock."""

from __future__ import annotations

from typing import Any

from tito.testing.clock import FakeClock
from tito.testing.comparisons import assert_close, assert_int, expect_error
from tito.testing.in_sandbox import inside
from tito.testing.parts import part, parts_failed
from tito.testing.seeds import fresh, seed_of, seeds_drawn
from tito.testing.speed import reference, speedup
from tito.testing.work import Work, counted

__all__ = [
    "FakeClock",
    "Work",
    "assert_close",
    "assert_int",
    "counted",
    "expect_error",
    "fresh",
    "inside",
    "judge_hooks",
    "part",
    "parts_failed",
    "reference",
    "seed_of",
    "seeds_drawn",
    "speedup",
]

judge_hooks: Any = None
"""The judge, in its own process while it runs a cell; None in a kernel."""
