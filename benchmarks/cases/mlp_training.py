"""A whole training step of two perceptrons, each side with its own layers and optimizer."""

import itertools
from collections.abc import Callable

import numpy as np
import torch

import tinytorch
from benchmarks.case import Case, assert_same
from tinytorch import functional, optim
from tinytorch.models import MLP

LEARNING_RATE = 0.05


def small_step() -> Case:
    return step("MLP 64-32-10, batch 32, training step", (64, 32, 10), 32, goal=3.0)


def large_step() -> Case:
    sizes = (784, 1024, 1024, 10)
    return step("MLP 784-1024-1024-10, batch 128, training step", sizes, 128, goal=0.9)


def step(name: str, sizes: tuple[int, ...], batch_size: int, goal: float) -> Case:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((batch_size, sizes[0]), dtype=np.float32)
    labels = rng.integers(0, sizes[-1], batch_size)
    model = MLP(sizes, rng=rng)
    peer_model = same_in_torch(model, sizes)
    ours = our_step(model, inputs, labels)
    peer = torch_step(peer_model, inputs, labels)
    for number in range(5):
        assert_same(ours(), peer(), f"losses of step {number}")
    return Case(name, goal, ours, peer)


def our_step(model: MLP, inputs: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    optimizer = optim.SGD(model.parameters(), lr=LEARNING_RATE)
    x, y = tinytorch.Tensor(inputs), tinytorch.Tensor(labels)

    def run() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def torch_step(
    model: torch.nn.Module, inputs: np.ndarray, labels: np.ndarray
) -> Callable[[], float]:
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)

    def run() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def same_in_torch(model: MLP, sizes: tuple[int, ...]) -> torch.nn.Module:
    """PyTorch's model of the same layers, with copies of our parameters."""
    layers: list[torch.nn.Module] = []
    for inner, outer in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(inner, outer), torch.nn.ReLU()]
    peer = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for ours, theirs in zip(model.parameters(), peer.parameters(), strict=True):
            theirs.copy_(torch.from_numpy(ours.numpy().copy()))
    return peer
