"""Training loops, evaluation, and checkpoints."""

from __future__ import annotations

import io
import json
import math
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeAlias

import numpy as np

from tinytorch import functional as F
from tinytorch import nn
from tinytorch.autograd import no_grad
from tinytorch.kernels.arrays import Array
from tinytorch.optim import Optimizer, Schedule, Scheduler, clip_gradient_norm
from tinytorch.tensor import Tensor
from tinytorch.whole_file import write_whole

Batches: TypeAlias = Iterable[tuple[Tensor, ...]]
"""Each batch is the model's inputs and, last, the targets. It is gone through once an epoch."""

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class Progress(NamedTuple):
    """What a callback is told after each step.

    Attributes:
        step: steps done, from 1.
        total_steps: steps to do, or None when the loader has no length.
        loss: of this step's batch.
        seconds: since the start.
    """

    step: int
    total_steps: int | None
    loss: float
    seconds: float


Callback: TypeAlias = Callable[[Progress], None]
