"""What a dashboard is given. It reads these attributes and computes none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Region(Protocol):
    """One named part of a run, with its place in the nesting."""

    @property
    def name(self) -> str:
        """The short name, ``"attention"``; bars with the same name are drawn as one."""

    @property
    def path(self) -> tuple[str, ...]:
        """The nesting, outermost first, this region last: ``("gpt", "blocks.0", "norm1")``."""

    @property
    def calls(self) -> int:
        """How often the region was entered."""

    @property
    def inclusive_ns(self) -> int:
        """Nanoseconds in the region and the regions inside it, all calls together."""

    @property
    def exclusive_ns(self) -> int:
        """Nanoseconds in the region alone, all calls together."""


class Ceilings(Protocol):
    """What the machine can do at most, measured."""

    @property
    def gflops(self) -> float:
        """Peak arithmetic, 10^9 operations a second."""

    @property
    def gigabytes_per_second(self) -> float:
        """Peak memory bandwidth, 10^9 bytes a second."""


class RooflinePoint(Protocol):
    """One operation's place under the roof."""

    @property
    def name(self) -> str:
        """The operation."""

    @property
    def seconds(self) -> float:
        """Time spent in it."""

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: operations for each byte moved."""

    @property
    def gflops(self) -> float:
        """What it reached, 10^9 operations a second."""

    @property
    def bound(self) -> str:
        """Which ceiling is above it: ``"compute"`` or ``"memory"``."""


MemorySample = tuple[int, int, str]  # (time_ns, live_bytes, what happened)


class ProfileResult(Protocol):
    """One measured setting: what ``measure(model, batch_size, sequence_length)`` returns.

    A result may also have ``latency_interval_ns: tuple[float, float]``. With it the dashboard
    says "no measurable change" where the intervals of two settings overlap.
    """

    @property
    def latency_ns(self) -> float:
        """Typical time of one run, nanoseconds."""

    @property
    def regions(self) -> Sequence[Region]:
        """Where the time went."""

    @property
    def memory(self) -> Mapping[str, int]:
        """Bytes by category: parameters, activations, gradients, optimizer_state, peak."""

    @property
    def timeline(self) -> Sequence[MemorySample]:
        """Live bytes over time."""

    @property
    def ceilings(self) -> Ceilings:
        """The roof."""

    @property
    def roofline_points(self) -> Sequence[RooflinePoint]:
        """The operations under the roof."""
