"""What one operation costs when there is next to nothing to compute."""

import numpy as np
import torch

import tinytorch
from benchmarks.case import Case, assert_same

Pair = tuple[tinytorch.Tensor, tinytorch.Tensor, torch.Tensor, torch.Tensor]


def operands() -> Pair:
    """Two recorded numbers, the same on both sides."""
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.5, 1.5, size=(1,)).astype(np.float32) for _ in range(2)]
    ours = [tinytorch.Tensor(array, requires_grad=True) for array in arrays]
    peer = [torch.tensor(array, requires_grad=True) for array in arrays]
    return ours[0], ours[1], peer[0], peer[1]


def recorded_add() -> Case:
    a, b, peer_a, peer_b = operands()
    assert_same((a + b).numpy(), (peer_a + peer_b).detach().numpy(), "sums")
    return Case("a + b, one number, recorded", 1.6, lambda: a + b, lambda: peer_a + peer_b)


def multiply_chain() -> Case:
    a, b, peer_a, peer_b = operands()

    def ours() -> None:
        a.grad = b.grad = None
        product = a
        for _ in range(10):
            product = product * b
        product.backward()

    def peer() -> None:
        peer_a.grad = peer_b.grad = None
        product = peer_a
        for _ in range(10):
            product = product * peer_b
        product.backward()

    ours()
    peer()
    for mine, other in ((a, peer_a), (b, peer_b)):
        assert mine.grad is not None
        assert other.grad is not None
        assert_same(mine.grad.numpy(), other.grad.numpy(), "gradients")
    return Case("10 multiplications and backward", 2.0, ours, peer)
