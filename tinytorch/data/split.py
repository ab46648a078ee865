"""Labelled images, divided into what a model learns from and what it is judged by."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Split(NamedTuple):
    """Images (N, C, H, W) float32 in [0, 1] and labels (N,) int64, for training and for test."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int64]
