"""Counted work: what a call asked of the backend.

Trusted code is counted by the judge itself. What a student's code does is counted in the student's
process, and is that process's word: code that goes round `tinytorch.backend` is not seen, and code
that forges the numbers is believed. Grade by it what honest work looks like; let a hidden test on
the results, or a measured speed, say that the work was done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinytorch.backend import Event


@dataclass
class Work:
    """What a call did, as seen by an observer of the backend.

    Attributes:
        result: What the call returned.
        calls: How often each operation ran.
        macs: Multiply-adds of the matrix operations. Attention counts every query with every key,
            also those a causal mask hides, because the dense kernel computes them.
        bytes_read: Bytes of all operands, each read once; of a table only the rows picked from it.
        bytes_written: Bytes of all results.
    """

    result: Any = None
    calls: Counter[str] = field(default_factory=Counter)
    macs: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def add(self, event: Event) -> None:
        """Count one operation."""
        self.calls[event.op] += 1
        self.macs += _macs(event)
        self.bytes_read += _bytes_read(event)
        self.bytes_written += sum(array.nbytes for array in event.outputs)


def counted(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Work:
    """Call `fn(*args, **kwargs)` and return the work it did through the backend.

    Under the judge the student's part of the work is counted in the student's process; see above.
    """
    import tito.testing
    from tinytorch import backend

    work, judge = Work(), tito.testing.judge_hooks
    with ExitStack() as stack:
        stack.enter_context(backend.observe(work.add))
        if judge is not None:
            stack.enter_context(judge.counting(work))
        work.result = fn(*args, **kwargs)
    return work


def _macs(event: Event) -> int:
    """Multiply-adds of one operation, from the shapes of its operands (0 for the others)."""
    shapes = [array.shape for array in event.inputs]
    match event.op:
        case "matmul":
            return _elements(event) * int(shapes[0][-1])
        case "linear":  # (..., K) by (N, K)
            return _elements(event) * int(shapes[1][1])
        case "conv2d":  # each output element: one kernel of (C, R, S)
            return _elements(event) * int(np.prod(shapes[1][1:]))
        case "conv2d_grad_input":  # g (B, O, H', W'), weight (O, C, R, S)
            return int(np.prod(shapes[0])) * int(np.prod(shapes[1][1:]))
        case "conv2d_grad_weight":  # g (B, O, H', W'); the result is (O, C, R, S)
            return int(np.prod(shapes[0])) * int(np.prod(event.outputs[0].shape[1:]))
        case "attention":  # q (B, H, T, D), k (B, H, S, D): scores, then the weighted sum
            return 2 * int(np.prod(shapes[0])) * int(shapes[1][-2])
        case "attention_grad":  # g, q, k, v: dv, d(weights), dq, dk
            return 4 * int(np.prod(shapes[1])) * int(shapes[2][-2])
    return 0


def _bytes_read(event: Event) -> int:
    """Bytes of the operands; a gather touches as much of its first operand as it returns."""
    sizes = [array.nbytes for array in event.inputs]
    if event.op in ("embedding", "getitem"):
        sizes[0] = event.outputs[0].nbytes
    return sum(sizes)


def _elements(event: Event) -> int:
    return int(np.prod(event.outputs[0].shape))
