"""The simplest language model, which every larger one should beat."""

import numpy as np
from numpy.typing import NDArray


def bigram_loss(
    train_ids: NDArray[np.int64],
    inputs: NDArray[np.int64],
    targets: NDArray[np.int64],
    vocab_size: int,
) -> float:
    """Mean of -log p(target | input) of a model that only counts pairs of neighbours.

    p(b | a) is (1 + times b follows a) / (V + times anything follows a) in the training text; the
    ones ("add-one smoothing") keep a pair that was never seen possible.

    Args:
        train_ids: (N,) the training text.
        inputs, targets: of one shape: tokens to judge it by, and the tokens that follow them.
        vocab_size: V.

    Returns:
        Natural logarithms a token.

    Source: Jurafsky and Martin, "Speech and Language Processing", the chapter on n-gram models.

    Example:
        >>> text = np.array([0, 1, 0, 1])
        >>> round(bigram_loss(text, np.array([0]), np.array([1]), vocab_size=2), 4)
        0.2877
    """
    counts = np.ones((vocab_size, vocab_size))  # (V, V)
    np.add.at(counts, (train_ids[:-1], train_ids[1:]), 1)
    logarithms = np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))  # (V, V)
    return float(-logarithms[inputs, targets].mean())
