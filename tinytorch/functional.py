"""The operations of the layers, as functions of tensors. Names and arguments are PyTorch's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from tinytorch import autograd, backend, gradients
from tinytorch.kernels.arrays import Array
from tinytorch.operands import dimension, operand
from tinytorch.tensor import Operand, Tensor, constant, recorded

Ids: TypeAlias = "Tensor | Array | Sequence[Any]"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x times the transpose of weight, plus bias; one operation.

    Args:
        x: (..., K).
        weight: (N, K).
        bias: (N,) or None.

    Returns:
        (..., N).

    Raises:
        ValueError: the last size of x is not K, or the bias is not (N,).
    """
    a, w = x.data, weight.data
    if a.ndim == 0 or w.ndim != 2 or a.shape[-1] != w.shape[1]:
        raise ValueError(
            f"linear: input {a.shape} and weight {w.shape} do not fit; the weight must be "
            "(out, in) and the input's last size must equal in"
        )
    if bias is None:
        y = backend.active.linear(a, w)
        if autograd.recording and (x.requires_grad or weight.requires_grad):
            return recorded(y, (x, weight), gradients.linear(x, weight, None))
        return constant(y)
    if bias.data.shape != (w.shape[0],):
        raise ValueError(
            f"linear: bias {bias.data.shape} and weight {w.shape} do not fit; the bias must be "
            f"({w.shape[0]},)"
        )
    y = backend.active.linear(a, w, bias.data)
    if autograd.recording and (x.requires_grad or weight.requires_grad or bias.requires_grad):
        return recorded(y, (x, weight, bias), gradients.linear(x, weight, bias))
    return constant(y)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    """Two-dimensional cross-correlation.

    Args:
        x: (B, C, H, W).
        weight: (O, C, R, S).
        bias: (O,) or None.
        stride: distance between two positions of the kernel, in both directions.
        padding: rows and columns of zeros around the image.

    Returns:
        (B, O, H', W') with H' = (H + 2 padding - R) // stride + 1.

    Raises:
        ValueError: shapes that do not fit, or a kernel larger than the padded image.
    """
    _check_convolution(x, weight, bias, stride, padding)
    arrays = (x.data, weight.data) if bias is None else (x.data, weight.data, bias.data)
    y = backend.active.conv2d(*arrays, stride=stride, padding=padding)
    parents = (x, weight) if bias is None else (x, weight, bias)
    if not (autograd.recording and any(parent.requires_grad for parent in parents)):
        return constant(y)
    return recorded(y, parents, gradients.conv2d(x, weight, bias, stride, padding))


def _check_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> None:
    image, kernel = x.data.shape, weight.data.shape
    if len(image) != 4 or len(kernel) != 4 or image[1] != kernel[1]:
        raise ValueError(
            f"conv2d: input {image} and weight {kernel} do not fit; they must be (B, C, H, W) and "
            "(O, C, R, S) with the same C"
        )
    if bias is not None and bias.data.shape != (kernel[0],):
        raise ValueError(
            f"conv2d: bias {bias.data.shape} and weight {kernel} do not fit; the bias must be "
            f"({kernel[0]},)"
        )
    if stride < 1 or padding < 0:
        raise ValueError(f"conv2d: need stride >= 1 and padding >= 0, got {stride} and {padding}")
    if image[2] + 2 * padding < kernel[2] or image[3] + 2 * padding < kernel[3]:
        raise ValueError(
            f"conv2d: the kernel {kernel[2:]} is larger than the image {image[2:]} with padding "
            f"{padding}"
        )


def max_pool2d(x: Tensor, kernel_size: int, stride: int | None = None) -> Tensor:
    """Largest value of each window.

    Args:
        x: (B, C, H, W).
        kernel_size: height and width of a window.
        stride: distance between two windows; the kernel size if None.

    Returns:
        (B, C, H', W') with H' = (H - kernel_size) // stride + 1.
    """
    stride = kernel_size if stride is None else stride
    shape = x.data.shape
    if len(shape) != 4 or kernel_size < 1 or stride < 1 or kernel_size > min(shape[2:]):
        raise ValueError(
            f"max_pool2d: input {shape} with kernel_size={kernel_size} and stride={stride}; needs "
            "(B, C, H, W), both at least 1 and the window within the image"
        )
    taped = autograd.recording and x.requires_grad
    y, indices = backend.active.max_pool2d(
        x.data, kernel_size=kernel_size, stride=stride, save_indices=taped
    )
    if indices is None:
        return constant(y)
    return recorded(y, (x,), gradients.max_pool2d(indices, kernel_size, stride, shape))


def layer_norm(
    x: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize the last dimensions to mean 0 and variance 1, then scale and shift.

    Args:
        x: its last dimensions must be `normalized_shape`.
        weight, bias: of `normalized_shape`; 1 and 0 if None.
        eps: added to the variance.
    """
    sizes = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    shape = x.data.shape
    if not sizes or shape[-len(sizes) :] != sizes:
        raise ValueError(f"layer_norm: input {shape} does not end in normalized_shape {sizes}")
    weight = constant(np.ones(sizes, x.data.dtype)) if weight is None else weight
    bias = constant(np.zeros(sizes, x.data.dtype)) if bias is None else bias
    if weight.data.shape != sizes or bias.data.shape != sizes:
        raise ValueError(
            f"layer_norm: weight {weight.data.shape} and bias {bias.data.shape} must have "
            f"normalized_shape {sizes}"
        )
    if len(sizes) > 1:
        count = math.prod(sizes)
        flat = x.reshape(*shape[: -len(sizes)], count)
        return layer_norm(flat, count, weight.reshape(count), bias.reshape(count), eps).reshape(
            shape
        )
    y, mean, inverse_std = backend.active.layer_norm(x.data, weight.data, bias.data, eps=eps)
    if not autograd.recording or not (
        x.requires_grad or weight.requires_grad or bias.requires_grad
    ):
        return constant(y)
    a, w = x.data, weight.data
    return recorded(
        y,
        (x, weight, bias),
        lambda g: backend.active.layer_norm_grad(g, a, w, mean, inverse_std),
    )


def batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel, then scale and shift.

    Args:
        x: (B, C, H, W).
        running_mean, running_var: (C,); in training the batch's statistics are used and these move
            towards them by `momentum`, in place.
        weight, bias: (C,).
    """
    shape = x.data.shape
    statistics = (running_mean, running_var, weight, bias)
    if len(shape) != 4 or any(each.data.shape != (shape[1],) for each in statistics):
        raise ValueError(
            f"batch_norm: input {shape} must be (B, C, H, W) and statistics, weight and bias (C,), "
            f"got {[each.data.shape for each in statistics]}"
        )
    if training and x.data.size == shape[1]:
        raise ValueError(f"batch_norm: training needs more than one value a channel, got {shape}")
    arrays = (x.data, weight.data, bias.data, running_mean.data, running_var.data)
    y, mean, inverse_std = backend.active.batch_norm(
        *arrays, training=training, momentum=momentum, eps=eps
    )
    if not autograd.recording or not (
        x.requires_grad or weight.requires_grad or bias.requires_grad
    ):
        return constant(y)
    a, w = x.data, weight.data
    return recorded(
        y,
        (x, weight, bias),
        lambda g: backend.active.batch_norm_grad(g, a, w, mean, inverse_std, training=training),
    )


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """e ** x divided by its sum over `dim`."""
    return x.softmax(dim)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """Logarithm of the softmax over `dim`."""
    return x.log_softmax(dim)


def cross_entropy(logits: Tensor, targets: Ids) -> Tensor:
    """Mean of -log softmax(logits)[target].

    Args:
        logits: (..., V), floating point.
        targets: (...), whole numbers in 0 ... V - 1.

    Returns:
        The mean over all rows, shape ().

    Raises:
        ValueError: shapes that do not fit, or no row at all.
        IndexError: a target outside 0 ... V - 1.
        TypeError: targets that are not whole numbers.
    """
    ids = _ids("cross_entropy", targets)
    scores = logits.data
    if scores.ndim < 2 or ids.shape != scores.shape[:-1] or ids.size == 0:
        raise ValueError(
            f"cross_entropy: logits {scores.shape} and targets {ids.shape} do not fit; they must "
            "be (..., V) and (...), with at least one row"
        )
    if scores.ndim > 2:
        return cross_entropy(logits.reshape(-1, scores.shape[-1]), ids.reshape(-1))
    _check_range("cross_entropy: target", ids, scores.shape[1])
    loss, probabilities = backend.active.cross_entropy(scores, ids)
    if not (autograd.recording and logits.requires_grad):
        return constant(loss)
    return recorded(
        loss,
        (logits,),
        lambda g: (backend.active.cross_entropy_grad(g, probabilities, ids),),
    )


def gelu(x: Tensor) -> Tensor:
    """Gaussian error linear unit, tanh form."""
    return x.gelu()


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return x.relu()


def embedding(ids: Ids, weight: Tensor) -> Tensor:
    """Rows of a table.

    Args:
        ids: whole numbers of any shape, 0 ... V - 1.
        weight: (V, C).

    Returns:
        ids.shape + (C,).
    """
    rows = _ids("embedding", ids)
    count = weight.data.shape[0]
    _check_range("embedding: id", rows, count)
    y = backend.active.embedding(weight.data, rows)
    if not (autograd.recording and weight.requires_grad):
        return constant(y)
    return recorded(
        y,
        (weight,),
        lambda g: (backend.active.embedding_grad(g, rows, num_embeddings=count),),
    )


def _ids(what: str, values: Ids) -> Array:
    ids = values.data if isinstance(values, Tensor) else np.asarray(values)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{what} needs whole numbers, got {ids.dtype}")
    return ids


_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def _check_range(what: str, ids: Array, count: int) -> None:
    if ids.size == 0:
        return
    # read as unsigned, a negative id is a huge one: one pass finds both mistakes
    unsigned = ids.view(_UNSIGNED[ids.dtype.itemsize])
    if np.maximum.reduce(unsigned, axis=None) >= count:
        wrong = ids[(ids < 0) | (ids >= count)]
        raise IndexError(f"{what}s must be in 0 ... {count - 1}, got {wrong[0]}")


_fallback_rng = np.random.default_rng()


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
) -> Tensor:
    """Set elements to 0 with probability `p` and scale the others by 1 / (1 - p).

    Args:
        training: False returns x itself.
        rng: source of chance; an unseeded one if None.

    Source: Srivastava et al., "Dropout", JMLR 2014.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: the probability must be in 0 <= p < 1, got {p}")
    if not training or p == 0:
        return x
    draws: Array = (rng or _fallback_rng).random(x.data.shape, dtype=np.float32)
    mask: Array = np.greater_equal(draws, p).astype(x.data.dtype)
    mask *= mask.dtype.type(1 / (1 - p))
    return x * constant(mask)


def scaled_dot_product_attention(
    q: Tensor, k: Tensor, v: Tensor, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """softmax(q kᵀ * scale) v for each head; one operation.

    Args:
        q: (B, H, T, D).
        k, v: (B, H, S, D).
        is_causal: query i sees keys j <= i + S - T only (the ends are aligned).
        scale: factor of the scores; 1 / sqrt(D) if None.

    Returns:
        (B, H, T, D).
    """
    scale = _check_attention(q.data, k.data, v.data, is_causal, scale)
    taped = autograd.recording and (q.requires_grad or k.requires_grad or v.requires_grad)
    y, weights = backend.active.attention(
        q.data, k.data, v.data, causal=is_causal, scale=scale, save_weights=taped
    )
    if weights is None:
        return constant(y)
    return recorded(y, (q, k, v), gradients.attention(q.data, k.data, v.data, weights, scale))


def _check_attention(q: Array, k: Array, v: Array, causal: bool, scale: float | None) -> float:
    """Raise for shapes that do not fit; return the scale."""
    if (
        q.ndim != 4
        or k.ndim != 4
        or k.shape[:3] != v.shape[:3]
        or q.shape[:2] != k.shape[:2]
        or q.shape[3] != k.shape[3]
    ):
        raise ValueError(
            f"attention: q {q.shape}, k {k.shape} and v {v.shape} do not fit; they must be "
            "(B, H, T, D), (B, H, S, D) and (B, H, S, D)"
        )
    if causal and q.shape[2] > k.shape[2]:
        raise ValueError(
            f"attention: {q.shape[2]} queries but {k.shape[2]} keys; a causal mask is aligned to "
            "the end, so the first queries would see nothing"
        )
    return 1 / math.sqrt(q.shape[3]) if scale is None else scale


def multi_head_attention(qkv: Tensor, num_heads: int, is_causal: bool = True) -> Tensor:
    """Self-attention of queries, keys and values that lie side by side.

    Args:
        qkv: (B, T, 3 C): queries, keys and values, each with its heads side by side.
        num_heads: H; each head has C / H channels.

    Returns:
        (B, T, C).
    """
    shape = qkv.data.shape
    if len(shape) != 3 or shape[2] % (3 * num_heads):
        raise ValueError(
            f"multi_head_attention: input {shape} must be (B, T, 3 C) with a last size that is a "
            f"multiple of {3 * num_heads} (queries, keys and values of {num_heads} heads)"
        )
    batch, length, width = shape
    q, k, v = split_heads(qkv.data, num_heads)  # each (B, H, T, D)
    scale = 1 / math.sqrt(q.shape[3])
    taped = autograd.recording and qkv.requires_grad
    y, weights = backend.active.attention(
        q, k, v, causal=is_causal, scale=scale, save_weights=taped
    )
    joined = join_heads(y)  # (B, T, C)
    if weights is None:
        return constant(joined)
    rule = gradients.attention(q, k, v, weights, scale)

    def backward(g: Array) -> tuple[Array]:
        apart = gradients.reshaped(g, (batch, length, num_heads, width // (3 * num_heads)))
        heads = rule(apart.transpose(0, 2, 1, 3))  # each (B, H, T, D)
        parts = [each.transpose(0, 2, 1, 3) for each in heads]  # (B, T, H, D)
        return (backend.active.concat(*parts, axis=2).reshape(batch, length, width),)

    return recorded(joined, (qkv,), backward)


def split_heads(qkv: Array, num_heads: int) -> tuple[Array, Array, Array]:
    """Queries, keys and values (B, H, T, D) as views of qkv (B, T, 3 C)."""
    batch, length, width = qkv.shape
    apart = gradients.reshaped(qkv, (batch, length, 3, num_heads, width // (3 * num_heads)))
    parts = apart.transpose(2, 0, 3, 1, 4)  # (3, B, H, T, D)
    return parts[0], parts[1], parts[2]


def join_heads(heads: Array) -> Array:
    """(B, H, T, D) to (B, T, H * D); a view when the kernel laid it out that way."""
    batch, count, length, width = heads.shape
    return gradients.reshaped(heads.transpose(0, 2, 1, 3), (batch, length, count * width))


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one after the other along a dimension they have."""
    arrays = [tensor.data for tensor in tensors]
    if not arrays:
        raise ValueError("cat needs at least one tensor")
    axis = dimension(dim, arrays[0].ndim)
    try:
        data = backend.active.concat(*arrays, axis=axis)
    except ValueError as error:
        shapes = [array.shape for array in arrays]
        raise ValueError(
            f"cat: shapes {shapes} must be equal except in dimension {dim} ({error})"
        ) from error
    if not (autograd.recording and any(tensor.requires_grad for tensor in tensors)):
        return constant(data)
    ends = np.cumsum([array.shape[axis] for array in arrays])[:-1]
    return recorded(data, tuple(tensors), lambda g: tuple(np.split(g, ends, axis=axis)))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side in a new dimension."""
    return cat([tensor.unsqueeze(dim) for tensor in tensors], dim)


def where(condition: Tensor | Array, x: Operand, y: Operand) -> Tensor:
    """x where the condition holds, else y; all broadcast."""
    choose = condition.data if isinstance(condition, Tensor) else np.asarray(condition)
    dtypes = [each.dtype for each in (x, y) if isinstance(each, (Tensor, np.ndarray))]
    dtype = dtypes[0] if dtypes else np.dtype(np.float32)
    a, b = (each if isinstance(each, Tensor) else constant(operand(each, dtype)) for each in (x, y))
    try:
        data = backend.active.where(choose, a.data, b.data)
    except ValueError as error:
        raise ValueError(
            f"where: shapes {choose.shape}, {a.data.shape} and {b.data.shape} do not broadcast"
        ) from error
    if not (autograd.recording and (a.requires_grad or b.requires_grad)):
        return constant(data)
    return recorded(data, (a, b), gradients.where(choose, a, b))


def maximum(x: Tensor, y: Operand) -> Tensor:
    """The larger of two, elementwise."""
    return x.maximum(y)


__all__ = [
    "batch_norm",
    "cat",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "gelu",
    "join_heads",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool2d",
    "maximum",
    "multi_head_attention",
    "relu",
    "scaled_dot_product_attention",
    "softmax",
    "split_heads",
    "stack",
    "where",
]
