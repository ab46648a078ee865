"""Results for dashboards that are computed, not measured: what is shown can be told in advance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinytorch import dashboards


@dataclass(frozen=True)
class FakeFrame:
    step: int
    phase: str
    written: tuple[int, ...]
    read: tuple[int, ...]
    capacity: int
    label: str = ""


@dataclass(frozen=True)
class FakeTrace:
    positions: list[int]
    latency_ns: list[float]
    cache_bytes: list[int]
    frames: list[FakeFrame] = field(default_factory=list)
    note: str = ""


class Writer:
    """Counts what it is asked for. Uncached a token costs its position, cached always 10 us."""

    def __init__(self, noise: float = 0.0) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.noise = noise

    def __call__(self, cached: bool, window: int | None, kv_heads: int, length: int) -> FakeTrace:
        self.asked.append((cached, window, kv_heads, length))
        positions = list(range(8, length))
        kept = [min(at, window or at) if cached else 0 for at in positions]
        jitter = 1 + self.noise * np.random.default_rng(len(self.asked)).normal(size=length)
        times = [(10_000.0 if cached else 10_000.0 * at) * jitter[at] for at in positions]
        frames = [FakeFrame(n, "decode", (at,), (at,), length) for n, at in enumerate(positions)]
        return FakeTrace(positions, times, [64 * kv_heads * n for n in kept], frames, "A note.")


def memoization_board(measure: Any) -> dashboards.MemoizationDashboard:
    return dashboards.MemoizationDashboard(
        measure, lengths=[32, 64, 128], windows=[None, 16], kv_heads=[4, 2, 1]
    )


@dataclass(frozen=True)
class FakeSensitivity:
    name: str
    bits: list[int]
    sqnr_db: list[float]
    metric: list[float]


@dataclass(frozen=True)
class FakeOutcome:
    values: np.ndarray
    levels: np.ndarray
    clip: tuple[float, float]
    rms_error: float
    sqnr_db: float
    size_bytes: int
    metric: float
    metric_interval: tuple[float, float]
    layers: list[FakeSensitivity]
    metric_name: str = "accuracy (%)"
    higher_is_better: bool = True
    full_size_bytes: int = 4096
    full_metric: float = 98.0
    note: str = "A note."


LAYERS = [
    FakeSensitivity("conv.weight", [8, 4, 2], [44.0, 20.0, 8.0], [98.0, 97.0, 60.0]),
    FakeSensitivity("head.weight", [8, 4, 2], [45.0, 21.0, 9.0], [98.0, 98.0, 95.0]),
]


class Rounder:
    """Counts what it is asked for. Every bit halves the step; at 2 bits the metric falls."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __call__(self, layer: str, bits: int, *rest: str) -> FakeOutcome:
        self.asked.append((layer, bits, *rest))
        values = np.random.default_rng(0).normal(size=1024)
        edge = float(np.abs(values).max()) if rest[2] == "minmax" else 1.0
        levels = np.linspace(-edge, edge, 2**bits - 1)
        stored = levels[np.abs(levels - values[:, None]).argmin(axis=1)]
        noise = float(np.sqrt(np.mean((values - stored) ** 2)))
        metric = 98.0 if bits > 2 else 70.0
        return FakeOutcome(
            values,
            levels,
            (-edge, edge),
            noise,
            20 * float(np.log10(values.std() / noise)),
            1024 * bits // 8,
            metric,
            (metric - 1, metric + 1),
            LAYERS,
        )


def quantization_board(measure: Any) -> dashboards.QuantizationDashboard:
    return dashboards.QuantizationDashboard(
        measure,
        layers=["conv.weight", "head.weight"],
        bits=[8, 4, 2],
        calibrators=["minmax", "percentile"],
    )
