"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import NamedTuple, TypeAlias

from tinytorch import functional as F
from tinytorch import nn
from tinytorch.optim import Optimizer, Schedule, Scheduler, clip_gradient_norm
from tinytorch.tensor import Tensor
from tinytorch.training.progress import Callback, Progress, ProgressBar

Batches: TypeAlias = "Iterable[tuple[Tensor, ...]]"
"""Each batch: the model's inputs and, last, the targets. A `DataLoader`, for example."""

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From the model's result and the targets to one number."""


class History(NamedTuple):
    """What happened in training: the loss of each step's batch, and the seconds it all took."""

    losses: list[float]
    seconds: float


def fit(
    model: nn.Module,
    loader: Batches,
    optimizer: Optimizer,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    loss: Loss = F.cross_entropy,
    schedule: Schedule | None = None,
    max_gradient_norm: float | None = None,
    callback: Callback | None = None,
    show_progress: bool = True,
) -> History:
    """Train a model; it is in training mode afterwards.

    Args:
        loader: batches of (inputs..., targets), gone through anew in each epoch.
        optimizer: of the model's parameters.
        epochs, steps: how long: passes over the loader, or batches. Give one of the two.
        loss: of the model's result and the targets.
        schedule: factor of the learning rate for each step, counted from 0.
        max_gradient_norm: clip the gradients to this length.
        callback: is told of each step; an error it raises ends the training.
        show_progress: draw a bar on standard error, if that is a terminal.

    Raises:
        ValueError: neither or both of `epochs` and `steps`, or a loader without batches.
        FloatingPointError: the loss became infinite or not a number.
    """
    if (epochs is None) == (steps is None) or (epochs or steps or 0) < 1:
        raise ValueError(f"epochs is {epochs} and steps is {steps}; give one of them, at least 1")
    total = steps
    if epochs is not None and isinstance(loader, Sized):
        total = epochs * len(loader)
    scheduler = None if schedule is None else Scheduler(optimizer, schedule)
    bar = ProgressBar() if show_progress else None
    losses: list[float] = []
    start = time.perf_counter()
    model.train()
    try:
        for batch in _batches(loader, epochs, steps):
            if scheduler is not None:
                scheduler.step()
            losses.append(_step(model, batch, optimizer, loss, max_gradient_norm, len(losses)))
            progress = Progress(len(losses), total, losses[-1], time.perf_counter() - start)
            for listener in (bar, callback):
                if listener is not None:
                    listener(progress)
    finally:
        if bar is not None:
            bar.close()
    return History(losses, time.perf_counter() - start)


def _step(
    model: nn.Module,
    batch: tuple[Tensor, ...],
    optimizer: Optimizer,
    loss: Loss,
    max_gradient_norm: float | None,
    number: int,
) -> float:
    *inputs, targets = batch
    optimizer.zero_grad()
    result = loss(model(*inputs), targets)
    value = float(result.item())
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the loss of step {number} is {value}: training has diverged; try a smaller learning "
            "rate, a warm-up, or max_gradient_norm"
        )
    result.backward()
    if max_gradient_norm is not None:
        clip_gradient_norm(optimizer.parameters, max_gradient_norm)
    optimizer.step()
    return value


def _batches(
    loader: Batches, epochs: int | None, steps: int | None
) -> Iterator[tuple[Tensor, ...]]:
    """The batches of so many epochs, or so many batches."""
    given = epoch = 0
    while epoch != epochs and given != steps:
        before = given
        for batch in loader:
            yield batch
            given += 1
            if given == steps:
                return
        epoch += 1
        if given == before:
            raise ValueError(
                f"the loader gave no batch in epoch {epoch}; give a DataLoader or a list, which "
                "can be gone through again, with at least one batch"
            )
