"""The oracle itself must be able to say no."""

import numpy as np
import pytest

from tests.tinytorch.finite_differences import check_gradients
from tinytorch import Tensor
from tinytorch.tensor import recorded


def test_check_gradients_accepts_a_right_rule() -> None:
    check_gradients(lambda x: x * x, np.array([1.0, -2.0, 3.0]))


def test_check_gradients_rejects_a_wrong_rule() -> None:
    def wrong_square(x: Tensor) -> Tensor:
        return recorded(x.data * x.data, (x,), lambda g: (g * x.data,))  # the factor 2 is missing

    with pytest.raises(AssertionError, match="operand 0"):
        check_gradients(wrong_square, np.array([1.0, -2.0, 3.0]))


def test_check_gradients_rejects_a_missing_gradient() -> None:
    with pytest.raises(AssertionError, match="operand 1 got no gradient"):
        check_gradients(lambda x, y: x * y.detach(), np.ones(2), np.ones(2))
