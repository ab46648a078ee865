"""Training, evaluation, and checkpoints."""

from tinytorch.training.checkpoint import load_checkpoint, save_checkpoint
from tinytorch.training.evaluation import Evaluation, evaluate
from tinytorch.training.fitting import History, fit
from tinytorch.training.progress import Callback, Progress, ProgressBar

__all__ = [
    "Callback",
    "Evaluation",
    "History",
    "Progress",
    "ProgressBar",
    "evaluate",
    "fit",
    "load_checkpoint",
    "save_checkpoint",
]
