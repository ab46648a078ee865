"""Pieces of a long sequence, for a language model."""

import numpy as np
from numpy.typing import NDArray


def token_windows(
    ids: NDArray[np.int64], length: int, stride: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Windows of a sequence, and for each token the one that follows it.

    Args:
        ids: (N,) tokens, N above `length`.
        length: T, tokens in a window.
        stride: from the start of one window to the start of the next; `length`: each token once.

    Returns:
        Inputs (W, T) and targets (W, T), read-only views that take no memory of their own.

    Example:
        >>> inputs, targets = token_windows(np.arange(6), length=2, stride=2)
        >>> inputs.tolist(), targets.tolist()
        ([[0, 1], [2, 3]], [[1, 2], [3, 4]])
    """
    if ids.ndim != 1 or length < 1 or stride < 1 or len(ids) <= length:
        raise ValueError(
            f"ids have the shape {ids.shape}, length is {length} and stride {stride}; needs (N,) "
            "with N above length, and both at least 1"
        )
    windows = np.lib.stride_tricks.sliding_window_view(ids, length + 1)[::stride]  # (W, T + 1)
    return windows[:, :-1], windows[:, 1:]
