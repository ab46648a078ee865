"""Reverse-mode differentiation over a tape of closures.

Each result that needs a gradient keeps its parents and one function: from the gradient for the
result to the gradients for the parents. `run_backward` calls these functions, each once, children
first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

import numpy as np

from tinytorch import backend
from tinytorch.kernels.arrays import Array

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Backward: TypeAlias = Callable[[Array], "tuple[Array | None, ...]"]
"""From the gradient for a result to one gradient for each parent (None: not needed)."""

recording = True
"""Whether operations are put on the tape. Changed by `no_grad` only."""


class Node(Protocol):
    """What the tape knows of a tensor."""

    data: Array
    requires_grad: bool
    _grad: Array | None
    _parents: tuple[Any, ...]
    _backward: Backward | None


class no_grad:  # noqa: N801 (PyTorch's name)
    """Record nothing inside: `with no_grad(): ...`, or `@no_grad()` on a function."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> None:
        global recording
        self._before.append(recording)
        recording = False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        global recording
        recording = self._before.pop()

    def __call__(self, function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        """Make `function` record nothing."""

        @wraps(function)
        def quiet(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            with no_grad():
                return function(*args, **kwargs)

        return quiet


def is_grad_enabled() -> bool:
    """Whether operations are recorded now."""
    return recording


def _freed(gradient: Array) -> tuple[Array | None, ...]:
    raise RuntimeError(
        "backward() was called a second time through the same graph, whose memory was freed the "
        "first time; compute the forward pass again before the second backward()"
    )


def _shared_results(root: Node) -> dict[Node, int]:
    """Recorded tensors below `root` that several operations of this graph use: by how many."""
    uses: dict[Node, int] = {}
    seen = {root}
    stack = [root]
    while stack:
        for parent in stack.pop()._parents:
            if parent._backward is None or not parent.requires_grad:
                continue
            if parent in seen:
                uses[parent] = uses.get(parent, 1) + 1
            else:
                seen.add(parent)
                stack.append(parent)
    return uses


def _accumulate(leaf: Node, gradient: Array, incoming: Array) -> None:
    """Add to a leaf's gradient, which must share memory with nothing else."""
    data = leaf.data
    if gradient.shape != data.shape:
        raise RuntimeError(
            f"an operation gave a gradient of shape {gradient.shape} for a tensor of shape "
            f"{data.shape}; the gradient rule of that operation or backend is wrong"
        )
    if gradient.dtype != data.dtype:
        gradient = backend.active.cast(gradient, dtype=data.dtype)
    if leaf._grad is not None:
        gradient = backend.active.add(leaf._grad, gradient)
    elif gradient is incoming or gradient.base is not None:
        gradient = backend.active.copy(gradient)
    leaf._grad = gradient if isinstance(gradient, np.ndarray) else np.asarray(gradient)


def run_backward(root: Node, gradient: Array) -> None:
    """Add d(root)/d(leaf) * gradient to each leaf's gradient, and free the graph.

    Args:
        root: a tensor that requires a gradient.
        gradient: of root's shape.
    """
    if root._backward is None:
        _accumulate(root, gradient, gradient)
        return
    uses_left = _shared_results(root)
    gathered: dict[Node, Array] = {}
    ready = [(root, gradient)]
    while ready:
        node, incoming = ready.pop()
        rule, parents = node._backward, node._parents
        assert rule is not None
        node._backward, node._parents = _freed, ()
        for parent, result in zip(parents, rule(incoming), strict=True):
            if result is None or not parent.requires_grad:
                continue
            if parent._backward is None:
                _accumulate(parent, result, incoming)
                continue
            if parent in uses_left:  # wait until every operation that used it has told its part
                if parent in gathered:
                    result = backend.active.add(gathered[parent], result)
                gathered[parent] = result
                uses_left[parent] -= 1
                if uses_left[parent]:
                    continue
                del gathered[parent]
            ready.append((parent, result))
