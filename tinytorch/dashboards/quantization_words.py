"""Words beside a quantization: what it costs, which error is larger, what to try next."""

from __future__ import annotations

import math

import numpy as np

from tinytorch.dashboards.comparison import intervals_overlap
from tinytorch.dashboards.quantization_setting import QuantizationSetting
from tinytorch.dashboards.results import QuantizationOutcome
from tinytorch.dashboards.sensitivity_figure import largest_loss
from tinytorch.dashboards.units import format_bytes, short

_FINER = {"tensor": "channel", "channel": "group"}


def change_words(before: QuantizationOutcome, now: QuantizationOutcome, baseline_name: str) -> str:
    """Return the metric beside full precision and beside the baseline."""
    name, unit = _name_and_unit(now.metric_name)
    words = f"{name} {short(now.metric)}{unit} (full precision {short(now.full_metric)}{unit})"
    if now is before:
        return f"{words}. This is the baseline."
    against = f"against the baseline ({baseline_name})"
    difference = now.metric - before.metric
    if intervals_overlap(before, now, "metric_interval") or difference == 0:
        return f"{words}: no measurable change of the {name} {against}."
    better = (difference > 0) == now.higher_is_better
    word = "better" if better else "worse"
    return f"{words}: {short(abs(difference))}{unit} {word} {against}."


def _name_and_unit(metric_name: str) -> tuple[str, str]:
    """Split ``"accuracy (%)"``, as an axis says it, into ``"accuracy"`` and ``" %"``."""
    name, _, unit = metric_name.partition(" (")
    return name, f" {unit.removesuffix(')')}" if unit else ""


def size_words(before: QuantizationOutcome, now: QuantizationOutcome) -> str:
    """Return the bytes, their share of full precision, and the baseline's."""
    share = now.size_bytes / now.full_size_bytes if now.full_size_bytes else math.nan
    words = (
        f"It takes {format_bytes(now.size_bytes)} of {format_bytes(now.full_size_bytes)} "
        f"({short(share)} of full precision)"
    )
    earlier = "" if now is before else f", the baseline {format_bytes(before.size_bytes)}"
    return f"{words}{earlier}."


def clipping_share(outcome: QuantizationOutcome) -> float:
    """Return the part of the squared error that comes from values outside the range."""
    values = np.asarray(outcome.values, dtype=np.float64)
    if not values.size or not outcome.rms_error > 0:
        return 0.0
    beyond = values - np.clip(values, *outcome.clip)
    return min(1.0, float(np.mean(beyond**2)) / float(outcome.rms_error) ** 2)


def error_words(now: QuantizationOutcome) -> str:
    """Return the error, and whether rounding or clipping makes most of it."""
    words = f"SQNR {short(now.sqnr_db)} dB, rms error {short(now.rms_error)}"
    if not now.rms_error > 0:
        return f"{words}: every value is stored exactly."
    share = clipping_share(now)
    if share > 0.5:
        return f"{words}; {share:.0%} of the squared error is clipping: values outside the range."
    return f"{words}; {1 - share:.0%} of the squared error is rounding: the step between levels."


def next_words(setting: QuantizationSetting, now: QuantizationOutcome, fewest_bits: int) -> str:
    """Return a sentence on what to try next."""
    finer = _FINER.get(setting.granularity)
    if clipping_share(now) > 0.5:
        return "Try next: a calibrator that keeps a wider range (min-max keeps it all)."
    if _as_good_as_full(now):
        if setting.bits > fewest_bits:
            return "The metric has not suffered. Try next: fewer bits."
        return "The metric has not suffered at the fewest bits. Try next: another layer."
    if finer:
        return f"Try next: one scale per {finer}, so that one outlier stretches fewer steps."
    return f"Try next: {_other_layers(setting, now)}more bits here, fewer where it costs nothing."


def _as_good_as_full(now: QuantizationOutcome) -> bool:
    interval = getattr(now, "metric_interval", None)
    if interval is not None and interval[0] <= now.full_metric <= interval[1]:
        return True
    loss = now.full_metric - now.metric if now.higher_is_better else now.metric - now.full_metric
    return loss <= 0


def _other_layers(setting: QuantizationSetting, now: QuantizationOutcome) -> str:
    losses = {
        layer.name: largest_loss(layer, now.full_metric, now.higher_is_better)
        for layer in now.layers
    }
    if not losses:
        return ""
    most = max(losses, key=lambda name: losses[name])
    return f"{most} is the most sensitive layer; " if most != setting.layer else ""
