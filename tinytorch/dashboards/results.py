"""What a dashboard is given. It reads these attributes and computes none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np


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


class CacheFrame(Protocol):
    """One step of a cache at work: which positions it wrote and which it read."""

    @property
    def step(self) -> int:
        """The step's number."""

    @property
    def phase(self) -> str:
        """``"prefill"`` (the prompt is read) or ``"decode"`` (one token is made)."""

    @property
    def written(self) -> Sequence[int]:
        """Positions whose keys and values this step computed and stored."""

    @property
    def read(self) -> Sequence[int]:
        """Positions whose keys and values this step read."""

    @property
    def capacity(self) -> int:
        """How many positions there is room for."""

    @property
    def label(self) -> str:
        """The step in words, as the slider shows it."""


class GenerationTrace(Protocol):
    """One generation: what ``measure(cached, window, kv_heads, length)`` returns.

    A trace may also have ``latency_interval_ns: tuple[float, float]`` of its typical token. With
    it the dashboard says "no measurable change" where the intervals of two settings overlap;
    without it the tokens at equal positions are compared pair by pair.
    """

    @property
    def positions(self) -> Sequence[int]:
        """How long the sequence was when each token was made."""

    @property
    def latency_ns(self) -> Sequence[float]:
        """Time to make each token, nanoseconds."""

    @property
    def cache_bytes(self) -> Sequence[int]:
        """Bytes of the cache when each token was made; 0 without a cache."""

    @property
    def frames(self) -> Sequence[CacheFrame]:
        """The steps, for `cache_fill`; none where there is nothing to show."""

    @property
    def note(self) -> str:
        """A sentence of the lesson, shown with the dashboard's own; may be empty."""


class LayerSensitivity(Protocol):
    """What happens when one layer alone gets few bits."""

    @property
    def name(self) -> str:
        """The layer."""

    @property
    def bits(self) -> Sequence[int]:
        """The widths that were tried."""

    @property
    def sqnr_db(self) -> Sequence[float]:
        """Signal to quantization noise at each width, decibels."""

    @property
    def metric(self) -> Sequence[float]:
        """What the whole model reaches at each width: accuracy, loss."""


class QuantizationOutcome(Protocol):
    """One setting: what ``measure(layer, bits, scheme, granularity, calibrator)`` returns.

    An outcome may also have ``metric_interval: tuple[float, float]``. With it the dashboard says
    "no measurable change" where the intervals of two settings overlap.
    """

    @property
    def values(self) -> np.ndarray:
        """What was quantized, any shape."""

    @property
    def levels(self) -> np.ndarray:
        """The values that can be stored: the grid, in the unit of `values`, any shape."""

    @property
    def clip(self) -> tuple[float, float]:
        """The range of the grid; what lies outside is moved to its ends."""

    @property
    def rms_error(self) -> float:
        """Root of the mean squared difference between the values and what was stored."""

    @property
    def sqnr_db(self) -> float:
        """Signal to quantization noise of the values, decibels."""

    @property
    def size_bytes(self) -> int:
        """What is stored, with scales and zero points."""

    @property
    def metric(self) -> float:
        """What the model reaches with it."""

    @property
    def metric_name(self) -> str:
        """What `metric` is: ``"accuracy"``, ``"loss"``."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger metric is a better one."""

    @property
    def full_size_bytes(self) -> int:
        """What the same takes unquantized."""

    @property
    def full_metric(self) -> float:
        """What the unquantized model reaches."""

    @property
    def layers(self) -> Sequence[LayerSensitivity]:
        """Each layer alone at several widths, for `layer_sensitivity`."""

    @property
    def note(self) -> str:
        """A sentence of the lesson, shown with the dashboard's own; may be empty."""
