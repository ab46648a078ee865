"""The shipped CNN with one layer rounded to few bits: outcomes measured on the real test set."""

from dataclasses import dataclass

import numpy as np

from tinytorch import Tensor, no_grad, zoo
from tinytorch.data import digits

CNN = zoo.load("digits_cnn")
IMAGES, LABELS = digits().test_images, digits().test_labels
WEIGHTS = {
    name: parameter.data.copy() for name, parameter in CNN.named_parameters() if parameter.ndim > 1
}
PARAMETERS = dict(CNN.named_parameters())


@dataclass
class Sensitivity:
    name: str
    bits: list
    sqnr_db: list
    metric: list


@dataclass
class Outcome:
    values: np.ndarray
    levels: np.ndarray
    clip: tuple
    rms_error: float
    sqnr_db: float
    size_bytes: int
    metric: float
    metric_interval: tuple
    metric_name: str
    higher_is_better: bool
    full_size_bytes: int
    full_metric: float
    layers: list
    note: str


def accuracy():
    with no_grad():
        return 100 * float((CNN(Tensor(IMAGES)).data.argmax(axis=1) == LABELS).mean())


def rounded(weight, bits, scheme, granularity, calibrator):
    """Return the rounded weight, scales and zero points, one of each a row."""
    rows = weight.reshape(1 if granularity == "tensor" else len(weight), -1)
    keep = 100.0 if calibrator == "minmax" else 99.0
    low = np.minimum(np.percentile(rows, 100 - keep, axis=1), 0)
    high = np.maximum(np.percentile(rows, keep, axis=1), 0)
    if scheme == "symmetric":
        high = np.percentile(np.abs(rows), keep, axis=1)
        low, least = -high, -(2 ** (bits - 1) - 1)
    else:
        least = -(2 ** (bits - 1))
    most = 2 ** (bits - 1) - 1
    scale = (high - low) / (most - least)
    zero = np.rint(least - low / scale)
    codes = np.clip(np.rint(rows / scale[:, None] + zero[:, None]), least, most)
    levels = (np.arange(least, most + 1) - zero[:, None]) * scale[:, None]
    return ((codes - zero[:, None]) * scale[:, None]).reshape(weight.shape), levels


def with_weight(name, weight):
    PARAMETERS[name].data[...] = weight
    reached = accuracy()
    PARAMETERS[name].data[...] = WEIGHTS[name]
    return reached


def sqnr_db(weight, stored):
    return 10 * float(np.log10((weight**2).sum() / ((weight - stored) ** 2).sum()))


def scan(name, bits=(8, 4, 3, 2)):
    stored = [rounded(WEIGHTS[name], b, "symmetric", "tensor", "minmax")[0] for b in bits]
    noise = [sqnr_db(WEIGHTS[name], values) for values in stored]
    return Sensitivity(name, list(bits), noise, [with_weight(name, values) for values in stored])


FULL = accuracy()
LAYERS = [scan(name) for name in WEIGHTS]


def measure_quantization(layer, bits, scheme, granularity, calibrator):
    weight = WEIGHTS[layer]
    stored, levels = rounded(weight, bits, scheme, granularity, calibrator)
    reached = with_weight(layer, stored)
    error = 100 * 1.96 * np.sqrt(reached / 100 * (1 - reached / 100) / len(LABELS))
    return Outcome(
        weight,
        levels,
        (float(levels.min()), float(levels.max())),
        float(np.sqrt(np.mean((weight - stored) ** 2))),
        sqnr_db(weight, stored),
        weight.size * bits // 8 + 8 * len(levels),
        reached,
        (reached - error, reached + error),
        "accuracy (%)",
        True,
        weight.nbytes,
        FULL,
        LAYERS,
        f"Bytes are those of {layer}.",
    )
