"""Words beside a generation: what changed, what grows and why, what to try next."""

from __future__ import annotations

from collections.abc import Sequence

from tinytorch.dashboards.comparison import intervals_overlap, paired_ratio, times_words
from tinytorch.dashboards.generation_figures import ends_of, typical_ns
from tinytorch.dashboards.results import GenerationTrace
from tinytorch.dashboards.units import format_bytes, format_ns, short

_FLAT = 1.25  # a last quarter this much slower than the first is no growth worth a word


def change_words(before: GenerationTrace, now: GenerationTrace, baseline_name: str) -> str:
    """Return how the time of a token changed, at the positions that both generations have."""
    latency = f"{format_ns(typical_ns(now))} a token"
    if now is before:
        return f"{latency}. This is the baseline."
    overlap = intervals_overlap(before, now, "latency_interval_ns")
    pairs = paired_ratio(_times(before), _times(now))
    same = (pairs is not None and not pairs.is_measurable()) if overlap is None else overlap
    if same:
        return f"{latency}: no measurable change against the baseline ({baseline_name})."
    ratio = pairs.median if pairs else typical_ns(now) / typical_ns(before)
    where = f" at {pairs.pairs} equal positions" if pairs else ""
    factor, word = times_words(ratio, "slower", "faster")
    return f"{latency}: {short(factor)} times {word} than the baseline{where} ({baseline_name})."


def _times(trace: GenerationTrace) -> dict[int, float]:
    return {int(at): float(t) for at, t in zip(trace.positions, trace.latency_ns, strict=True)}


def growth_words(now: GenerationTrace, cached: bool, window: int | None) -> str:
    """Return how the time of a token grows along the text, and what grows."""
    if not len(now.positions):
        return "No token was recorded."
    first, last = ends_of(now)
    growth = last / first
    start, end = now.positions[0], now.positions[-1]
    if growth < _FLAT:
        cause = (
            "what each token costs alike (the projections) is the bottleneck, not the positions "
            "it looks back at."
        )
        return f"From {start} to {end} tokens the time stays level ({short(growth)} times): {cause}"
    words = f"From {start} to {end} tokens the time grows {short(growth)} times"
    return f"{words}: {_what_grows(cached, window, end)}."


def _what_grows(cached: bool, window: int | None, end: int) -> str:
    if not cached:
        return "every token computes all keys and values before it again"
    if window is None:
        return "the keys and values that each token reads grow with the text"
    if end <= window:
        return "the text is shorter than the window, so every token still reads more"
    return "the window bounds what a token reads, so something else grows; look for a copy"


def memory_words(before: GenerationTrace, now: GenerationTrace) -> str:
    """Return what the cache holds at the end and how it got there."""
    if not len(now.cache_bytes) or not now.cache_bytes[-1]:
        return "Nothing is kept: the cache takes no memory."
    first, last = now.cache_bytes[0], now.cache_bytes[-1]
    tokens = now.positions[-1] - now.positions[0]
    if last > first and tokens:
        how = f", {format_bytes((last - first) / tokens)} more with each token"
    else:
        how = ", the same from the first token on"
    words = f"The cache ends at {format_bytes(last)}{how}"
    earlier = before.cache_bytes[-1] if before is not now and len(before.cache_bytes) else 0
    return f"{words} (baseline {format_bytes(earlier)})." if earlier else f"{words}."


def next_words(
    now: GenerationTrace, cached: bool, window: int | None, kv_heads: int, fewest_heads: int
) -> str:
    """Return a sentence on what to try next."""
    if not cached:
        return "Try next: turn the cache on."
    ideas: list[str] = []
    first, last = ends_of(now) if len(now.positions) else (1.0, 1.0)
    if last / first >= _FLAT and window is None:
        ideas.append("a window, which bounds what a token reads and what is stored")
    if kv_heads > fewest_heads:
        ideas.append("fewer key-value heads, which divide the bytes of the cache")
    if last / first < _FLAT:
        ideas.append("a faster step: compiled, or with smaller weights (quantization)")
    if window is not None:
        ideas.append("the same text without the window, to see what forgetting costs in quality")
    return f"Try next: {_listed(ideas)}." if ideas else ""


def _listed(ideas: Sequence[str]) -> str:
    return "; or ".join(ideas)
