"""The tensor: an array that can tell how it was computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinytorch import autograd, backend, gradients
from tinytorch.autograd import Backward
from tinytorch.kernels.arrays import Array
from tinytorch.kernels.reductions import reduced_count
from tinytorch.operands import (
    broadcast_error,
    dimension,
    dimensions,
    kept_shape,
    matmul_error,
    numbers,
    operand,
    sizes,
)

Scalar: TypeAlias = "float | int | bool | np.generic"
Operand: TypeAlias = "Tensor | Array | Scalar"

_allocate = object.__new__


class Tensor:
    """An n-dimensional array with reverse-mode differentiation.

    Args:
        data: array, Tensor, number or nested lists. An array is taken as it is: same memory, same
            dtype. Python floats become float32, Python ints int64.
        requires_grad: whether `backward()` shall compute a gradient for this tensor.
        dtype: convert to this dtype.

    Raises:
        TypeError: `requires_grad` for a dtype that is not floating point.
    """

    __slots__ = ("__weakref__", "_backward", "_grad", "_parents", "data", "requires_grad")

    __array_ufunc__ = None  # so that `ndarray + tensor` asks the tensor

    data: Array
    requires_grad: bool
    _grad: Array | None
    _parents: tuple[Tensor, ...]
    _backward: Backward | None

    def __init__(
        self,
        data: Operand | Sequence[Any],
        requires_grad: bool = False,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.data = as_array(data, dtype)
        self.requires_grad = requires_grad
        self._grad = None
        self._parents = ()
        self._backward = None
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"only floating point tensors can require a gradient, got {self.data.dtype}; "
                "convert first, for example with .float()"
            )

    # ---- what it is -------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of each dimension."""
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.data.ndim

    @property
    def is_leaf(self) -> bool:
        """True unless this tensor was recorded as the result of an operation."""
        return self._backward is None

    @property
    def grad(self) -> Tensor | None:
        """Gradient gathered by `backward()` (a leaf's only), or None."""
        return None if self._grad is None else constant(self._grad)

    @grad.setter
    def grad(self, value: Tensor | Array | None) -> None:
        if value is None:
            self._grad = None
            return
        gradient = as_array(value, self.data.dtype)
        if gradient.shape != self.data.shape:
            raise ValueError(
                f"the gradient of a tensor of shape {self.data.shape} must have that shape, "
                f"got {gradient.shape}"
            )
        self._grad = gradient

    def numel(self) -> int:
        """Number of elements."""
        return self.data.size

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item() needs one element, this tensor has shape {self.data.shape}")
        return self.data.item()

    def numpy(self) -> Array:
        """The data, sharing memory."""
        return self.data

    def detach(self) -> Tensor:
        """The same data, outside the graph."""
        return constant(self.data)

    def clone(self) -> Tensor:
        """A copy, inside the graph."""
        data = backend.active.copy(self.data)
        return recorded(data, (self,), lambda g: (g,)) if _taped(self) else constant(data)

    def backward(self, gradient: Tensor | Array | None = None) -> None:
        """Compute the gradients of all leaves below this tensor, added to what they have.

        Args:
            gradient: gradient for this tensor, of its shape; not needed for one element (1).

        Raises:
            RuntimeError: nothing was recorded, the graph was used up by an earlier `backward()`,
                or `gradient` is missing.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward() needs a tensor computed from one with requires_grad=True, outside "
                "no_grad()"
            )
        if gradient is None:
            if self.data.size != 1:
                raise RuntimeError(
                    f"backward() without a gradient needs one element, this tensor has shape "
                    f"{self.data.shape}; reduce it first (.sum(), .mean()) or pass a gradient"
                )
            start = np.asarray(1, self.data.dtype).reshape(self.data.shape)
        else:
            start = as_array(gradient, self.data.dtype)
            if start.shape != self.data.shape:
                raise ValueError(
                    f"backward() of a tensor of shape {self.data.shape} needs a gradient of that "
                    f"shape, got {start.shape}"
                )
        autograd.run_backward(self, start)

    # ---- arithmetic -------------------------------------------------------------------------

    def __add__(self, other: Operand) -> Tensor:
        if not isinstance(other, Tensor):
            other = constant(operand(other, self.data.dtype))
        try:
            data = backend.active.add(self.data, other.data)
        except ValueError as error:
            raise broadcast_error("add", self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.add(self, other))
        return constant(data)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Tensor:
        if not isinstance(other, Tensor):
            other = constant(operand(other, self.data.dtype))
        try:
            data = backend.active.sub(self.data, other.data)
        except ValueError as error:
            raise broadcast_error("sub", self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.sub(self, other))
        return constant(data)

    def __rsub__(self, other: Operand) -> Tensor:
        return constant(operand(other, self.data.dtype)) - self

    def __mul__(self, other: Operand) -> Tensor:
        if not isinstance(other, Tensor):
            other = constant(operand(other, self.data.dtype))
        try:
            data = backend.active.mul(self.data, other.data)
        except ValueError as error:
            raise broadcast_error("mul", self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.mul(self, other))
        return constant(data)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Tensor:
        if not isinstance(other, Tensor):
            other = constant(operand(other, self.data.dtype))
        try:
            data = backend.active.div(self.data, other.data)
        except ValueError as error:
            raise broadcast_error("div", self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.div(self, other, data))
        return constant(data)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return constant(operand(other, self.data.dtype)) / self

    def __pow__(self, other: Operand) -> Tensor:
        if not isinstance(other, Tensor):
            other = constant(operand(other, self.data.dtype))
        try:
            data = backend.active.pow(self.data, other.data)
        except ValueError as error:
            raise broadcast_error("pow", self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.power(self, other, data))
        return constant(data)

    def __rpow__(self, other: Operand) -> Tensor:
        return constant(operand(other, self.data.dtype)) ** self

    def __matmul__(self, other: Tensor | Array) -> Tensor:
        if not isinstance(other, Tensor):
            other = constant(as_array(other, None))
        try:
            data = backend.active.matmul(self.data, other.data)
        except ValueError as error:
            raise matmul_error(self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.matmul(self, other))
        return constant(data)

    def __rmatmul__(self, other: Array) -> Tensor:
        return constant(as_array(other, None)) @ self

    def __neg__(self) -> Tensor:
        data = backend.active.neg(self.data)
        return recorded(data, (self,), gradients.neg) if _taped(self) else constant(data)

    def maximum(self, other: Operand) -> Tensor:
        """The larger of two, elementwise; equal values share the gradient."""
        if not isinstance(other, Tensor):
            other = constant(operand(other, self.data.dtype))
        try:
            data = backend.active.maximum(self.data, other.data)
        except ValueError as error:
            raise broadcast_error("maximum", self.data, other.data, error) from error
        if autograd.recording and (self.requires_grad or other.requires_grad):
            return recorded(data, (self, other), gradients.maximum(self, other))
        return constant(data)

    # ---- comparisons: no gradient -------------------------------------------------------------

    __hash__ = object.__hash__

    def __eq__(self, other: Operand) -> Tensor:  # type: ignore[override]
        return _compare("equal", self, other)

    def __ne__(self, other: Operand) -> Tensor:  # type: ignore[override]
        return _compare("not_equal", self, other)

    def __lt__(self, other: Operand) -> Tensor:
        return _compare("less", self, other)

    def __le__(self, other: Operand) -> Tensor:
        return _compare("less_equal", self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return _compare("greater", self, other)

    def __ge__(self, other: Operand) -> Tensor:
        return _compare("greater_equal", self, other)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Position of the largest value (int64)."""
        axis = None if dim is None else dimension(dim, self.data.ndim)
        return constant(backend.active.argmax(self.data, axis=axis, keepdims=keepdim))

    # ---- functions of one variable --------------------------------------------------------------

    def exp(self) -> Tensor:
        """e ** x."""
        y = backend.active.exp(self.data)
        return recorded(y, (self,), gradients.exp(y)) if _taped(self) else constant(y)

    def log(self) -> Tensor:
        """Natural logarithm."""
        y = backend.active.log(self.data)
        return recorded(y, (self,), gradients.log(self.data)) if _taped(self) else constant(y)

    def sqrt(self) -> Tensor:
        """Square root."""
        y = backend.active.sqrt(self.data)
        return recorded(y, (self,), gradients.sqrt(y)) if _taped(self) else constant(y)

    def abs(self) -> Tensor:
        """Absolute value; gradient 0 at 0."""
        x = self.data
        y = backend.active.abs(x)
        if not _taped(self):
            return constant(y)
        return recorded(y, (self,), lambda g: (backend.active.abs_grad(g, x),))

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        y = backend.active.tanh(self.data)
        if not _taped(self):
            return constant(y)
        return recorded(y, (self,), lambda g: (backend.active.tanh_grad(g, y),))

    def sigmoid(self) -> Tensor:
        """1 / (1 + e ** -x)."""
        y = backend.active.sigmoid(self.data)
        if not _taped(self):
            return constant(y)
        return recorded(y, (self,), lambda g: (backend.active.sigmoid_grad(g, y),))

    def relu(self) -> Tensor:
        """max(x, 0); gradient 0 at 0."""
        y = backend.active.relu(self.data)
        if not (autograd.recording and self.requires_grad):
            return constant(y)
        return recorded(y, (self,), gradients.relu(y))

    def gelu(self) -> Tensor:
        """Gaussian error linear unit, tanh form."""
        x = self.data
        y = backend.active.gelu(x)
        if not _taped(self):
            return constant(y)
        return recorded(y, (self,), lambda g: (backend.active.gelu_grad(g, x),))

    def softmax(self, dim: int = -1) -> Tensor:
        """e ** x divided by its sum over `dim`."""
        axis = dimension(dim, self.data.ndim)
        y = backend.active.softmax(self.data, axis=axis)
        if not _taped(self):
            return constant(y)
        return recorded(y, (self,), lambda g: (backend.active.softmax_grad(g, y, axis=axis),))

    def log_softmax(self, dim: int = -1) -> Tensor:
        """Logarithm of the softmax over `dim`."""
        axis = dimension(dim, self.data.ndim)
        y = backend.active.log_softmax(self.data, axis=axis)
        if not _taped(self):
            return constant(y)
        return recorded(y, (self,), lambda g: (backend.active.log_softmax_grad(g, y, axis=axis),))

    # ---- reductions -----------------------------------------------------------------------------

    def sum(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Sum over one dimension, several, or all."""
        axis = dimensions(dim, self.data.ndim)
        data = backend.active.sum(self.data, axis=axis, keepdims=keepdim)
        if not _taped(self):
            return constant(data)
        kept = kept_shape(self.data.shape, axis)
        return recorded(data, (self,), gradients.reduction(self, axis, kept, mean=False))

    def mean(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Mean over one dimension, several, or all."""
        axis = dimensions(dim, self.data.ndim)
        data = backend.active.mean(self.data, axis=axis, keepdims=keepdim)
        if not _taped(self):
            return constant(data)
        kept = kept_shape(self.data.shape, axis)
        return recorded(data, (self,), gradients.reduction(self, axis, kept, mean=True))

    def max(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
        """Largest value over one dimension, several, or all (values only; see `argmax`)."""
        axis = dimensions(dim, self.data.ndim)
        y = backend.active.max(self.data, axis=axis, keepdims=keepdim)
        if not _taped(self):
            return constant(y)
        kept = kept_shape(self.data.shape, axis)
        return recorded(y, (self,), gradients.largest(self, y, axis, kept))

    def var(
        self, dim: int | Sequence[int] | None = None, keepdim: bool = False, correction: int = 1
    ) -> Tensor:
        """Variance: squared distances from the mean, summed and divided by count - correction."""
        axis = dimensions(dim, self.data.ndim)
        centred = self - self.mean(dim, keepdim=True)
        count = reduced_count(self.data.shape, axis)
        if count <= correction:
            raise ValueError(f"var of {count} elements with correction={correction}: needs more")
        return (centred * centred).sum(dim, keepdim) * (1 / (count - correction))

    # ---- shapes: views, no operation ------------------------------------------------------------

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """The same elements in another shape (one size may be -1); copies only if it must."""
        wanted = sizes(shape)
        before = self.data.shape
        try:
            data = gradients.reshaped(self.data, wanted)
        except ValueError as error:
            raise ValueError(
                f"cannot reshape {before} ({self.data.size} elements) to {wanted}"
            ) from error
        if not _taped(self):
            return constant(data)
        return recorded(data, (self,), lambda g: (gradients.reshaped(g, before),))

    def view(self, *shape: int | Sequence[int]) -> Tensor:
        """`reshape` that never copies.

        Raises:
            ValueError: the elements do not lie in memory in this order.
        """
        wanted = sizes(shape)
        try:
            self.data.reshape(wanted, copy=False)
        except ValueError as error:
            raise ValueError(
                f"cannot view a tensor of shape {self.data.shape} as {wanted} without a copy; "
                "use reshape"
            ) from error
        return self.reshape(wanted)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """Join the dimensions from `start_dim` to `end_dim` into one."""
        shape = self.data.shape or (1,)
        start, end = dimension(start_dim, len(shape)), dimension(end_dim, len(shape))
        joined = math.prod(shape[start : end + 1])
        return self.reshape(*shape[:start], joined, *shape[end + 1 :])

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Swap two dimensions."""
        data = self.data.swapaxes(dimension(dim0, self.data.ndim), dimension(dim1, self.data.ndim))
        if not _taped(self):
            return constant(data)
        return recorded(data, (self,), lambda g: (g.swapaxes(dim0, dim1),))

    def permute(self, *dims: int | Sequence[int]) -> Tensor:
        """Put the dimensions in another order."""
        order = tuple(dimension(dim, self.data.ndim) for dim in sizes(dims))
        if sorted(order) != list(range(self.data.ndim)):
            raise ValueError(
                f"permute needs each dimension of {self.data.shape} once, got {sizes(dims)}"
            )
        data = self.data.transpose(order)
        if not _taped(self):
            return constant(data)
        inverse = tuple(order.index(i) for i in range(len(order)))
        return recorded(data, (self,), lambda g: (g.transpose(inverse),))

    @property
    def T(self) -> Tensor:  # noqa: N802 (PyTorch's name)
        """The dimensions in reverse order."""
        return self.permute(*reversed(range(self.data.ndim)))

    def unsqueeze(self, dim: int) -> Tensor:
        """Add a dimension of size 1 at `dim`."""
        shape = self.data.shape
        place = dimension(dim, len(shape) + 1)
        return self.reshape(*shape[:place], 1, *shape[place:])

    def squeeze(self, dim: int | None = None) -> Tensor:
        """Drop the dimensions of size 1, or only `dim` if it has size 1."""
        shape = self.data.shape
        if dim is None:
            return self.reshape(tuple(size for size in shape if size != 1))
        place = dimension(dim, len(shape))
        return self if shape[place] != 1 else self.reshape(shape[:place] + shape[place + 1 :])

    def __getitem__(self, index: Any) -> Tensor:
        index = _plain_index(index)
        before = self.data.shape
        data = backend.active.getitem(self.data, index=index)
        if not _taped(self):
            return constant(data)
        return recorded(
            data,
            (self,),
            lambda g: (backend.active.getitem_grad(g, index=index, input_shape=before),),
        )

    def to(self, dtype: npt.DTypeLike) -> Tensor:
        """This tensor in another dtype; itself when it has it already."""
        wanted, before = np.dtype(dtype), self.data.dtype
        if wanted == before:
            return self
        data = backend.active.cast(self.data, dtype=wanted)
        if not _taped(self) or wanted.kind != "f":
            return constant(data)
        return recorded(data, (self,), lambda g: (backend.active.cast(g, dtype=before),))

    def float(self) -> Tensor:
        """This tensor as float32."""
        return self.to(np.float32)

    # ---- as a Python object ---------------------------------------------------------------------

    def __len__(self) -> int:
        if self.data.ndim == 0:
            raise TypeError("a tensor of shape () has no length")
        return int(self.data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                f"the truth of a tensor of shape {self.data.shape} is ambiguous; "
                "use .data.any() or .data.all()"
            )
        return bool(self.data)

    def __float__(self) -> builtin_float:
        return builtin_float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> np.ndarray[Any, np.dtype[Any]]:
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        values = np.array2string(self.data, separator=", ", prefix="Tensor(")
        gradient = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({values}, dtype={self.data.dtype}{gradient})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self._backward is not None:
            raise RuntimeError(
                "only leaves of the graph can be deep-copied; use .detach().clone() for a result"
            )
        twin = _allocate(type(self))
        twin.data = self.data.copy()
        twin.requires_grad = self.requires_grad
        twin._grad = None if self._grad is None else self._grad.copy()
        twin._parents, twin._backward = (), None
        memo[id(self)] = twin
        return twin


builtin_float = float  # the name `float` means a method inside the class


class Parameter(Tensor):
    """A tensor that a module learns: a leaf that requires a gradient."""

    __slots__ = ()

    def __init__(self, data: Operand | Sequence[Any], requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing: {super().__repr__()}"


# ---- making tensors -----------------------------------------------------------------------------


def constant(data: Array) -> Tensor:
    """A tensor around an array, outside the graph; nothing is checked or copied."""
    tensor = _allocate(Tensor)
    tensor.data = data if isinstance(data, np.ndarray) else np.asarray(data)
    tensor.requires_grad = False
    tensor._grad = None
    tensor._parents = ()
    tensor._backward = None
    return tensor


def recorded(data: Array, parents: tuple[Tensor, ...], backward: Backward) -> Tensor:
    """A tensor that is the result of an operation, with the rule for its parents' gradients."""
    tensor = _allocate(Tensor)
    tensor.data = data if isinstance(data, np.ndarray) else np.asarray(data)
    tensor.requires_grad = True
    tensor._grad = None
    tensor._parents = parents
    tensor._backward = backward
    return tensor


def as_array(data: Any, dtype: npt.DTypeLike | None) -> Array:
    """The array of a Tensor, an array, a number or nested lists (Python floats: float32)."""
    if isinstance(data, Tensor):
        data = data.data
    if isinstance(data, (np.ndarray, np.generic)):
        return np.asarray(data, dtype)
    return numbers(data, dtype)


# ---- arguments ----------------------------------------------------------------------------------


def _taped(tensor: Tensor) -> bool:
    return autograd.recording and tensor.requires_grad


def _compare(op: str, x: Tensor, other: Operand) -> Tensor:
    y = other.data if isinstance(other, Tensor) else operand(other, x.data.dtype)
    try:
        return constant(getattr(backend.active, op)(x.data, y))
    except ValueError as error:
        raise broadcast_error(op, x.data, y, error) from error


def _plain_index(index: Any) -> Any:
    if isinstance(index, Tensor):
        return index.data
    if isinstance(index, tuple):
        return tuple(part.data if isinstance(part, Tensor) else part for part in index)
    return index
