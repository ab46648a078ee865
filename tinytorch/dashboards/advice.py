"""Words beside the picture: what the bottleneck is, what changed, what to try next."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.dashboards.results import ProfileResult, Region, RooflinePoint
from tinytorch.dashboards.time_figures import own_time_by_name
from tinytorch.dashboards.units import format_bytes, format_ns, short


def bottleneck_words(result: ProfileResult) -> str:
    """Return a sentence on where the most time goes and which ceiling stands above it."""
    sentences = [_longest_region(result.regions)]
    longest = _longest_point(result.roofline_points)
    if longest is not None:
        reached = longest.gflops / result.ceilings.gflops
        sentences.append(
            f"The longest operation is {longest.name}: {longest.bound}-bound, "
            f"{reached:.1%} of the machine's {short(result.ceilings.gflops)} GFLOP/s."
        )
    return " ".join(sentence for sentence in sentences if sentence)


def _longest_region(regions: Sequence[Region]) -> str:
    times = own_time_by_name(regions)
    total = sum(times.values())
    if not total:
        return "No region was recorded."
    name, time_ns = max(times.items(), key=lambda item: item[1])
    share, whole = f"{time_ns / total:.0%}", format_ns(total)
    return f"In the profiled run most time goes to {name}: {share} of {whole}."


def _longest_point(points: Sequence[RooflinePoint]) -> RooflinePoint | None:
    return max(points, key=lambda point: point.seconds, default=None)


def next_words(result: ProfileResult) -> str:
    """Return a sentence on what to try next, after the bound of the longest operation."""
    longest = _longest_point(result.roofline_points)
    if longest is None:
        return ""
    if longest.bound == "memory":
        return (
            "Try to move fewer bytes: smaller numbers (quantization), fused steps, "
            "results kept instead of computed again (a cache), or a larger batch."
        )
    if longest.gflops < 0.5 * result.ceilings.gflops:
        return (
            "Arithmetic is the ceiling and it is far away: try a faster kernel "
            "(vectorized, blocked) before you remove work."
        )
    return "It is near its ceiling: try to remove work (pruning, a smaller model, a cache)."


def memory_words(result: ProfileResult) -> str:
    """Return a sentence on the peak and its largest category."""
    sizes = {name: size for name, size in result.memory.items() if name != "peak"}
    if not any(sizes.values()):
        return ""
    largest = max(sizes, key=lambda name: sizes[name])
    parts = f"the largest part is {largest.replace('_', ' ')} ({format_bytes(sizes[largest])})"
    if "peak" in result.memory:
        return f"Memory peaks at {format_bytes(result.memory['peak'])}; {parts}."
    return f"Of the memory {parts}."


def change_words(baseline: ProfileResult, now: ProfileResult, baseline_name: str) -> str:
    """Return how the latency changed; overlapping intervals are no measurable change."""
    latency = f"{format_ns(now.latency_ns)} a run"
    if now is baseline:
        return f"{latency}. This is the baseline."
    if _intervals_overlap(baseline, now):
        return f"{latency}: no measurable change against the baseline ({baseline_name})."
    ratio = now.latency_ns / baseline.latency_ns
    factor, word = (ratio, "slower") if ratio >= 1 else (1 / ratio, "faster")
    return f"{latency}: {short(factor)} times {word} than the baseline ({baseline_name})."


def _intervals_overlap(baseline: ProfileResult, now: ProfileResult) -> bool:
    before = getattr(baseline, "latency_interval_ns", None)
    after = getattr(now, "latency_interval_ns", None)
    if before is None or after is None:
        return False
    return bool(before[0] <= after[1] and after[0] <= before[1])
