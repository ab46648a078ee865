"""The shipped images of handwritten digits."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.split import Split

LARGEST_PIXEL = 16


def digits() -> Split:
    """Read 1797 handwritten digits: 1437 to learn from and 360 to test on.

    Each class has the same share in both parts, and the split never changes.

    Returns:
        Images (1437, 1, 8, 8) and (360, 1, 8, 8), labels 0 to 9.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
        Learning Repository, 1998, https://doi.org/10.24432/C50P49 (CC BY 4.0).

    Example:
        >>> digits().train_images.shape
        (1437, 1, 8, 8)
    """
    with (files("tinytorch.data") / "digits.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        return Split(
            _scaled(stored["train_images"]),
            stored["train_labels"].astype(np.int64),
            _scaled(stored["test_images"]),
            stored["test_labels"].astype(np.int64),
        )


def _scaled(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    images = pixels[:, None].astype(np.float32)  # (N, 1, 8, 8)
    images /= LARGEST_PIXEL
    return images
