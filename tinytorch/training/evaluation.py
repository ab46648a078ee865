"""How good a model is on data it does not learn from."""

from typing import NamedTuple

from tinytorch import functional as F
from tinytorch import nn
from tinytorch.autograd import no_grad
from tinytorch.evaluation_mode import evaluating
from tinytorch.training.fitting import Batches, Loss


class Evaluation(NamedTuple):
    """Means over all targets.

    Attributes:
        loss: mean loss of a target (natural logarithm, for cross entropy).
        accuracy: share of targets that the highest score hits, 0 to 1.
        targets: how many there were.
    """

    loss: float
    accuracy: float
    targets: int


@no_grad()
def evaluate(model: nn.Module, loader: Batches, loss: Loss = F.cross_entropy) -> Evaluation:
    """Measure a classifier's or language model's loss and accuracy.

    Args:
        model: runs in evaluation mode here; each of its modules has its own mode again afterwards.
        loader: batches of (inputs..., targets); the model's result is (..., V) for targets (...).
        loss: mean loss of a batch.

    Raises:
        ValueError: a loader without targets.
    """
    total_loss, hits, count = 0.0, 0, 0
    with evaluating(model):
        for *inputs, targets in loader:
            scores = model(*inputs)  # (..., V)
            total_loss += float(loss(scores, targets).item()) * targets.numel()
            hits += int((scores.data.argmax(axis=-1) == targets.data).sum())
            count += targets.numel()
    if count == 0:
        raise ValueError("the loader gave no target; an iterator can be gone through only once")
    return Evaluation(total_loss / count, hits / count, count)
