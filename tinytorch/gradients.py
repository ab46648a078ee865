"""The gradient rules of the small operations.

Each function takes the operands of one operation and returns its `Backward`: a closure from the
gradient for the result to the gradients for the operands. It keeps only the arrays it will need.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinytorch import backend
from tinytorch.autograd import Backward, Node
from tinytorch.kernels.arrays import Array
from tinytorch.kernels.reductions import Axis, reduced_count


def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """Undo broadcasting: add up g over the axes that `shape` lacks or has as 1."""
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    axes = [i + lead for i, size in enumerate(shape) if size == 1 and g.shape[i + lead] != 1]
    if not axes:
        return backend.active.sum(g, axis=tuple(range(lead)), keepdims=False)
    total = backend.active.sum(g, axis=(*range(lead), *axes), keepdims=True)
    return total.reshape(shape) if lead else total


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """x in another shape: a view, or the operation `copy` when its elements lie otherwise."""
    try:
        return x.reshape(shape, copy=False)
    except ValueError:
        return backend.active.copy(x).reshape(shape)


def as_rows(x: Array) -> Array:
    """(..., K) -> (M, K)."""
    if x.ndim == 2:
        return x
    return reshaped(x, (-1, x.shape[-1])) if x.ndim > 1 else x.reshape(1, -1)


def add(x: Node, y: Node) -> Backward:
    """d(x + y): the gradient goes to both."""
    x_shape, y_shape = x.data.shape, y.data.shape
    if x_shape == y_shape:
        return _to_both
    need_x, need_y = x.requires_grad, y.requires_grad
    return lambda g: (
        sum_to(g, x_shape) if need_x else None,
        sum_to(g, y_shape) if need_y else None,
    )


def _to_both(g: Array) -> tuple[Array, Array]:
    return g, g


def sub(x: Node, y: Node) -> Backward:
    """d(x - y)."""
    x_shape, y_shape = x.data.shape, y.data.shape
    need_x, need_y = x.requires_grad, y.requires_grad
    return lambda g: (
        sum_to(g, x_shape) if need_x else None,
        backend.active.neg(sum_to(g, y_shape)) if need_y else None,
    )


def mul(x: Node, y: Node) -> Backward:
    """d(x * y): each operand's gradient needs the other operand."""
    x_shape, y_shape = x.data.shape, y.data.shape
    x_saved = x.data if y.requires_grad else None
    y_saved = y.data if x.requires_grad else None

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        kernels = backend.active
        return (
            None if y_saved is None else sum_to(kernels.mul(g, y_saved), x_shape),
            None if x_saved is None else sum_to(kernels.mul(g, x_saved), y_shape),
        )

    return backward


def div(x: Node, y: Node, quotient: Array) -> Backward:
    """d(x / y): for x it is 1 / y, for y it is -(x / y) / y."""
    x_shape, divisor = x.data.shape, y.data
    need_x = x.requires_grad
    saved = quotient if y.requires_grad else None

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        kernels = backend.active
        for_x = kernels.div(g, divisor)
        for_y = None
        if saved is not None:
            for_y = sum_to(kernels.neg(kernels.mul(for_x, saved)), divisor.shape)
        return sum_to(for_x, x_shape) if need_x else None, for_y

    return backward


def power(x: Node, y: Node, result: Array) -> Backward:
    """d(x ** y): y * x ** (y - 1) for x, and log(x) * x ** y for y."""
    base, exponent, need_x = x.data, y.data, x.requires_grad
    saved = result if y.requires_grad else None

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        kernels = backend.active
        for_x = for_y = None
        if need_x:
            for_x = sum_to(kernels.pow_grad_base(g, base, exponent), base.shape)
        if saved is not None:
            for_y = sum_to(kernels.pow_grad_exponent(g, base, saved), exponent.shape)
        return for_x, for_y

    return backward


def maximum(x: Node, y: Node) -> Backward:
    """d(max(x, y)): to the larger; half each where they are equal."""
    a, b, need_x, need_y = x.data, y.data, x.requires_grad, y.requires_grad

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        to_a, to_b = backend.active.maximum_grad(g, a, b)
        return (
            sum_to(to_a, a.shape) if need_x else None,
            sum_to(to_b, b.shape) if need_y else None,
        )

    return backward


def where(condition: Array, x: Node, y: Node) -> Backward:
    """d(where(condition, x, y)): each place's gradient goes where its value came from."""
    x_shape, y_shape = x.data.shape, y.data.shape
    need_x, need_y = x.requires_grad, y.requires_grad

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        kernels, zero = backend.active, np.zeros((), g.dtype)
        return (
            sum_to(kernels.where(condition, g, zero), x_shape) if need_x else None,
            sum_to(kernels.where(condition, zero, g), y_shape) if need_y else None,
        )

    return backward


def matmul(x: Node, y: Node) -> Backward:
    """d(x @ y): g yᵀ for x and xᵀ g for y; vectors become matrices first."""
    a, b, need_x, need_y = x.data, y.data, x.requires_grad, y.requires_grad
    rows = a if a.ndim > 1 else a[None, :]  # (..., M, K)
    columns = b if b.ndim > 1 else b[:, None]  # (..., K, N)

    def backward(g: Array) -> tuple[Array | None, Array | None]:
        if b.ndim == 1:
            g = g[..., None]
        if a.ndim == 1:
            g = g[..., None, :]
        kernels = backend.active
        for_x = for_y = None
        if need_x:
            for_x = kernels.matmul(g, columns.swapaxes(-1, -2))  # (..., M, K)
            for_x = sum_to(for_x, rows.shape)
            for_x = for_x if a.ndim > 1 else for_x.reshape(a.shape)
        if need_y and columns.ndim == 2 and rows.ndim > 2:  # one product, no sum over batches
            for_y = kernels.matmul(as_rows(rows).T, as_rows(g))  # (K, N)
        elif need_y:
            for_y = kernels.matmul(rows.swapaxes(-1, -2), g)  # (..., K, N)
            for_y = sum_to(for_y, columns.shape)
        if for_y is not None and b.ndim == 1:
            for_y = for_y.reshape(b.shape)
        return for_x, for_y

    return backward


def reduction(x: Node, axis: Axis, kept_shape: tuple[int, ...], mean: bool) -> Backward:
    """d(sum(x)) or d(mean(x)): the gradient, shared out by the mean, goes to every element."""
    shape = x.data.shape
    share = 1 / max(reduced_count(shape, axis), 1) if mean else None

    def backward(g: Array) -> tuple[Array]:
        kernels = backend.active
        if share is not None:
            g = kernels.mul(g, np.asarray(share, g.dtype))
        return (kernels.broadcast(reshaped(g, kept_shape), shape=shape),)

    return backward


def largest(x: Node, y: Array, axis: Axis, kept_shape: tuple[int, ...]) -> Backward:
    """d(max(x)): to the largest element of each reduced group, shared by equal ones."""
    data = x.data

    def backward(g: Array) -> tuple[Array]:
        kept = y.reshape(kept_shape)
        return (backend.active.max_grad(reshaped(g, kept_shape), data, kept, axis=axis),)

    return backward


def exp(y: Array) -> Backward:
    """d(exp(x)) = exp(x)."""
    return lambda g: (backend.active.mul(g, y),)


def log(x: Array) -> Backward:
    """d(log(x)) = 1 / x."""
    return lambda g: (backend.active.div(g, x),)


def sqrt(y: Array) -> Backward:
    """d(sqrt(x)) = 1 / (2 sqrt(x))."""

    def backward(g: Array) -> tuple[Array]:
        kernels = backend.active
        return (kernels.div(g, kernels.mul(y, np.asarray(2, y.dtype))),)

    return backward


def neg(g: Array) -> tuple[Array]:
    """d(-x) = -1."""
    return (backend.active.neg(g),)


def relu(y: Array) -> Backward:
    """d(relu(x)): passes where the result is positive."""
    return lambda g: (backend.active.relu_grad(g, y),)


def linear(x: Node, weight: Node, bias: Node | None) -> Backward:
    """d(x weightᵀ + bias): two matrix products and a sum over the rows."""
    a, w = x.data, weight.data
    need_x, need_weight = x.requires_grad, weight.requires_grad
    need_bias = bias is not None and bias.requires_grad

    def backward(g: Array) -> tuple[Array | None, ...]:
        kernels = backend.active
        for_x = for_weight = for_bias = None
        if need_x:
            for_x = kernels.matmul(g, w)  # (..., K)
        rows = as_rows(g)  # (M, N)
        if need_weight:
            for_weight = kernels.matmul(rows.T, as_rows(a))  # (N, K)
        if need_bias:
            for_bias = kernels.sum(rows, axis=0, keepdims=False)  # (N,)
        return (for_x, for_weight) if bias is None else (for_x, for_weight, for_bias)

    return backward


def conv2d(x: Node, weight: Node, bias: Node | None, stride: int, padding: int) -> Backward:
    """d(conv2d): see the kernels `conv2d_grad_input` and `conv2d_grad_weight`."""
    a, w = x.data, weight.data
    need_x, need_weight = x.requires_grad, weight.requires_grad
    need_bias = bias is not None and bias.requires_grad

    def backward(g: Array) -> tuple[Array | None, ...]:
        kernels = backend.active
        for_x = for_weight = for_bias = None
        if need_x:
            for_x = kernels.conv2d_grad_input(
                g, w, stride=stride, padding=padding, input_shape=a.shape
            )
        if need_weight:
            for_weight = kernels.conv2d_grad_weight(
                g, a, stride=stride, padding=padding, weight_shape=w.shape
            )
        if need_bias:
            for_bias = kernels.sum(g, axis=(0, 2, 3), keepdims=False)
        return (for_x, for_weight) if bias is None else (for_x, for_weight, for_bias)

    return backward


def max_pool2d(
    indices: Array, kernel_size: int, stride: int, input_shape: tuple[int, ...]
) -> Backward:
    """d(max_pool2d): to the largest place of each window."""
    return lambda g: (
        backend.active.max_pool2d_grad(
            g, indices, kernel_size=kernel_size, stride=stride, input_shape=input_shape
        ),
    )


def attention(
    q: Array, k: Array, v: Array, weights: Array, scale: float
) -> Callable[[Array], tuple[Array, Array, Array]]:
    """d(attention) for queries, keys and values."""
    return lambda g: backend.active.attention_grad(g, q, k, v, weights, scale=scale)
