# %% [markdown]
# # Module 16: Quantization
#
# *Optimization tier, third of seven. Difficulty 3 of 5. About five hours.*
#
# Memory is optimized: your cache computes nothing twice. But the models are still huge. Each weight is a float32
# of four bytes, and a model that answers one token reads every one of them.
#
# In this module you store numbers in 8 bits, then in 4, and compute with them. You will know what each step costs
# in accuracy, because you measure it. Your code goes into `tinytorch.quantization`.
#
# The road is the same as always: **Profile → Discover → Implement → Validate**.

# %% [markdown]
# ## What you will be able to do
#
# - turn floats into small integers and back, and say how wrong the result can be;
# - choose between one scale for a tensor, one for a channel and one for a group, by measured error and bytes;
# - choose the range of an activation from data you observed, and defend the choice against outliers;
# - compute with integers, exactly, and get the floats you expect;
# - shrink a trained model to about a quarter and show what that did to its accuracy.
#
# Tests follow each exercise. Run them as you go; `tito check 16` runs them all in a fresh process.

# %%
#| export
import io
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tinytorch.whole_file import write_whole

# %%
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tito.testing import assert_close, assert_int, expect_error, fresh, inside

# %% [markdown]
# ### Tools of the tests
#
# The locked cell below holds what the tests need: a look at an error's words, and work that must happen where your
# code is (files, arrays that must not change). There is nothing to write in it.


# %% nbgrader={"grade_id": "given_tools_a"}
def numbers_told(
    error_type: type[BaseException] | tuple[type[BaseException], ...],
    fn: Callable[..., object],
    *args: Any,
    **kwargs: Any,
) -> list[int]:
    """The whole numbers in the message of the error that a call must raise."""
    try:
        fn(*args, **kwargs)
    except error_type as error:
        if isinstance(error, NotImplementedError):
            raise
        return [int(word) for word in re.findall(r"(?<![\w.])\d+", str(error))]
    raise AssertionError(f"expected {error_type} for these arguments; nothing was raised")


def with_argument_after(fn: Callable[..., Any], x: np.ndarray, *args: Any) -> tuple[Any, Any]:
    """The result of `fn(x, *args)`, and what `x` holds afterwards."""
    return fn(x, *args), x


def through_a_file(kind: Any, tensor: Any, name: str) -> dict[str, Any]:
    """Save a quantized tensor, look at the file, load it again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        tensor.save(path)
        files = sorted(each.name for each in Path(folder).iterdir())
        with np.load(path, allow_pickle=False) as archive:  # refuses pickled objects
            dtypes = {key: str(archive[key].dtype) for key in archive.files}
        again = kind.load(str(path))
        return {
            "files": files,
            "file_bytes": path.stat().st_size,
            "dtypes": dtypes,
            "values": again.values,
            "scale": again.params.scale,
            "zero_point": again.params.zero_point,
            "layout": (again.params.bits, again.params.axis, again.params.group_size),
            "range": (again.params.qmin, again.params.qmax),
            "dequantized": again.dequantize(),
        }


def load_without(kind: Any, tensor: Any, missing: str) -> None:
    """Save a quantized tensor, take the arrays of one dtype out of the file, and load the rest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tensor.npz"
        tensor.save(path)
        with np.load(path, allow_pickle=False) as archive:
            kept = {key: archive[key] for key in archive.files if archive[key].dtype != missing}
        np.savez(path, **kept)
        kind.load(path)


class Trap:
    """Unpickling it makes a folder: proof that a file could run code."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.folder,)


def springs_a_trap(kind: Any, tensor: Any) -> tuple[str, bool]:
    """Load a file whose arrays hold pickled objects: the error's name, and whether they ran."""
    with tempfile.TemporaryDirectory() as folder:
        path, sprung = Path(folder) / "tensor.npz", Path(folder) / "sprung"
        tensor.save(path)
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
        trap = np.array([Trap(str(sprung))], dtype=object)
        np.savez(path, **dict.fromkeys(names, trap))
        try:
            kind.load(path)
        except Exception as error:
            return type(error).__name__, sprung.exists()
        return "no error", sprung.exists()


# %% [markdown]
# ## Motivation: where are the bytes?
#
# Three models ship with the course, and three more are made here: GPTs of growing width, with random weights (bytes do
# not care). We add up the arrays that are really there, by kind of layer.

# %% tags=["measure"]
import threadpoolctl

from tinytorch import dashboards, nn, no_grad, zoo
from tinytorch.data import python_docs
from tinytorch.models import GPT, GPTConfig
from tinytorch.profiling import analyze_weight_distribution, count_parameters

blas_threads = threadpoolctl.threadpool_limits(limits=1)  # as in Module 14: one thread, no waiting

KINDS = ("embedding", "attention", "feed_forward", "norm", "head", "features", "classifier")


def bytes_by_kind(model: nn.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        kind = next((kind for kind in KINDS if kind in name), "layers")
        found[kind] = found.get(kind, 0) + parameter.data.nbytes
    return found


gpt, cnn, mlp = (zoo.load(name) for name in ("docs_gpt", "digits_cnn", "digits_mlp"))
models_measured: dict[str, nn.Module] = {"digits_cnn": cnn, "digits_mlp": mlp, "docs_gpt": gpt}
for n_layer, n_head, n_embd in ((4, 4, 256), (6, 6, 384), (8, 8, 512)):
    config = GPTConfig(96, 256, n_layer, n_head, n_embd)
    models_measured[f"GPT {n_layer} x {n_embd}"] = GPT(config, rng=np.random.default_rng(0))
kinds_measured = {name: bytes_by_kind(model) for name, model in models_measured.items()}
totals = {name: sum(kinds.values()) for name, kinds in kinds_measured.items()}
figure = dashboards.scaling_curve(
    {
        kind: [
            (count_parameters(models_measured[name]) / 1e6, kinds[kind] / 1e6)
            for name, kinds in kinds_measured.items()
            if kind in kinds and "embedding" in kinds
        ]
        for kind in ("feed_forward", "attention", "embedding", "head", "norm")
    },
    x_title="millions of parameters of the GPT",
    y_title="megabytes in float32",
    log="xy",
    title="FP32 bytes by kind of layer",
)
largest = max(totals, key=lambda name: totals[name])
in_linears = sum(kinds_measured[largest].get(kind, 0) for kind in ("attention", "feed_forward"))
dashboards.show(
    figure,
    summary=f"{largest} holds {totals[largest] / 1e6:.0f} MB of float32; {in_linears / totals[largest]:.1%} of it are the Linear layers "
    f"of attention and feed-forward. docs_gpt holds {totals['docs_gpt'] / 1e6:.2f} MB.",
    table=[
        {
            "model": name,
            "parameters": count_parameters(models_measured[name]),
            "MB": round(totals[name] / 1e6, 3),
            "largest part": max(kinds, key=lambda kind: kinds[kind]),
            "its share": f"{max(kinds.values()) / totals[name]:.0%}",
        }
        for name, kinds in kinds_measured.items()
    ],
)
del models_measured, config

# %% [markdown]
# Nearly everything is weights of Linear layers, and their share grows with the model. How much of a float32 do they use?
# A float32 has 24 significant bits and reaches from 1e-38 to 3e38. Here is what the trained weights of `docs_gpt` do with it.

# %% tags=["measure"]
weights_of_gpt = {
    name: parameter.data for name, parameter in gpt.named_parameters() if parameter.data.ndim == 2
}
spreads = analyze_weight_distribution(gpt)
dashboards.show(
    dashboards.histogram(
        {
            name: weights_of_gpt[name]
            for name in ("blocks.3.feed_forward.fc1.weight", "blocks.0.attention.qkv.weight")
        },
        x_title="weight",
        log=True,
        title="Trained weights of docs_gpt",
    ),
    summary=f"In all {len(spreads)} weight matrices of docs_gpt no weight is larger than {max(s.largest for s in spreads):.2f}; "
    f"their standard deviations go from {min(s.std for s in spreads):.3f} to {max(s.std for s in spreads):.3f}.",
    table=[
        {
            "layer": s.name,
            "KB": round(s.size_bytes / 1e3, 1),
            "std": round(s.std, 4),
            "largest": round(s.largest, 3),
            "largest / std": round(s.largest / s.std, 1),
        }
        for s in spreads
    ],
)

# %% [markdown]
# A narrow range around zero, and a few larger values. That is the discovery this module lives on: the weights need few
# different values, if the values are well placed.
#
# ### Predict, then measure
#
# Store a weight matrix with 8 bits a weight, then with 4. How many times larger is the error at **4 bits**? (Error: the root
# of the mean squared difference to the float32 weights.) Put your guess in place of `None`. You measure it with your own
# code at the end of Exercise 1. Nobody grades it.

# %%
predicted_error_ratio: float | None = None

# %% [markdown]
# ## Exercise 1: numbers in few bits
#
# *Difficulty 2 of 5, 45 minutes, 13 points.*
#
# An integer q of b bits stands for the float
#
# $$x \approx s \cdot (q - z)$$
#
# with a **scale** s (the step between two levels) and a **zero point** z (the integer that stands for 0.0). Source: Jacob et
# al. 2018, [arXiv:1712.05877](https://arxiv.org/abs/1712.05877). Two ways to choose them:
#
# - **symmetric**: z = 0 and levels from -(2^(b-1) - 1) to 2^(b-1) - 1. The scale comes from the largest magnitude.
# - **affine**: levels from -2^(b-1) to 2^(b-1) - 1. Scale and zero point come from the smallest and the largest value.

# %% [markdown]
# Zero must be exact: padding is zero, ReLU makes zeros, and an error there is added thousands of times. So the affine range
# is first **widened to hold 0**, and z is a whole number.
#
# `QuantParams` is given. It holds scale and zero point for a whole tensor, for the channels along one axis, or for groups of
# neighbours on the last axis. `aligned(shape)` brings them into a shape that broadcasts.


# %%
#| export
def integer_range(bits: int, symmetric: bool = False) -> tuple[int, int]:
    """The smallest and the largest integer of a signed format.

    Args:
        bits: 2 to 8.
        symmetric: leave out the lowest integer, so that the range is the same on both sides of 0.

    Raises:
        ValueError: `bits` is no whole number from 2 to 8.

    Example:
        >>> integer_range(8), integer_range(8, symmetric=True)
        ((-128, 127), (-127, 127))
    """
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits!r}; expected a whole number from 2 to 8")
    highest = 2 ** (int(bits) - 1) - 1
    return (-highest if symmetric else -highest - 1), highest


@dataclass(frozen=True, eq=False)
class QuantParams:
    """How integers stand for floats: x is about scale * (q - zero_point).

    Attributes:
        scale: float32, above 0. Shape () for one scale a tensor, (N,) for one a channel, and
            (..., K / group_size) for one a group of neighbours on the last axis.
        zero_point: int32, in the shape of `scale`.
        bits: 2 to 8.
        axis: the axis of the channels, or None.
        group_size: values in a group, or None.
        symmetric: the integers are the same on both sides of 0.

    Raises:
        ValueError: a scale is not above 0 or not finite, the shapes differ, or `bits` is wrong.
        TypeError: the zero point is no integer.

    Example:
        >>> params = QuantParams(np.float32(0.5), np.int32(-3), bits=4)
        >>> params.qmin, params.qmax, params.scale.dtype
        (-8, 7, dtype('float32'))
    """

    scale: np.ndarray
    zero_point: np.ndarray
    bits: int = 8
    axis: int | None = None
    group_size: int | None = None
    symmetric: bool = False

    def __post_init__(self) -> None:
        integer_range(self.bits)
        scale, zero_point = np.asarray(self.scale, np.float32), np.asarray(self.zero_point)
        if zero_point.dtype.kind not in "iu":
            raise TypeError(f"zero_point has dtype {zero_point.dtype}; round it to integers first")
        if scale.shape != zero_point.shape:
            raise ValueError(
                f"scale has shape {scale.shape}, zero_point {zero_point.shape}; give one of each"
            )
        if not np.all((scale > 0) & np.isfinite(scale)):
            raise ValueError(f"every scale must be finite and above 0, got {scale}")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero_point", zero_point.astype(np.int32))

    @property
    def qmin(self) -> int:
        """The smallest integer."""
        return integer_range(self.bits, self.symmetric)[0]

    @property
    def qmax(self) -> int:
        """The largest integer."""
        return integer_range(self.bits, self.symmetric)[1]

    def aligned(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], np.ndarray, np.ndarray]:
        """Scale and zero point for an array of this shape.

        Returns:
            A shape of the same size, and scale and zero point that broadcast against it: an array
            `x` is calculated with as `x.reshape(view)`. Only groups need another shape than `x`.

        Raises:
            ValueError: the parameters do not fit the shape.

        Example:
            >>> params = QuantParams(np.ones(3), np.zeros(3, int), axis=0)
            >>> view, scale, zero_point = params.aligned((3, 5))
            >>> view, scale.shape
            ((3, 5), (3, 1))
        """
        size, axis, have = self.group_size, self.axis, self.scale.shape
        if size is not None:
            fits = bool(shape) and have == (*shape[:-1], shape[-1] // size)
            if not fits or shape[-1] % size:
                raise ValueError(f"scales of shape {have}, groups of {size}; got an array {shape}")
            view = (*have, size)  # (..., K) -> (..., K / size, size)
            return view, self.scale[..., None], self.zero_point[..., None]
        if axis is not None:
            if not -len(shape) <= axis < len(shape) or have != (shape[axis],):
                raise ValueError(f"scales of shape {have} along axis {axis}; got an array {shape}")
            around = [1] * len(shape)
            around[axis] = -1  # (N,) -> (1, N, 1, 1) for axis 1 of four
            return shape, self.scale.reshape(around), self.zero_point.reshape(around)
        if have:
            raise ValueError(f"scales of shape {have} need an axis or a group_size")
        return shape, self.scale, self.zero_point


# %% [markdown]
# First the guard. A single NaN makes every minimum, every scale and then every value NaN, and nobody sees where it came from.
# So everything in this module passes its arrays through `checked_array`.


# %% nbgrader={"grade_id": "formats__checked"}
#| export
def checked_array(values: np.ndarray, name: str = "values") -> np.ndarray:
    """Give back an array after checking that it can be quantized.

    Args:
        values: a NumPy array of floats (float16, float32 or float64), of any shape, also empty.
        name: what to call it in an error.

    Returns:
        The same array.

    Raises:
        TypeError: it is no NumPy array, or its dtype is no float; the message names the type or
            the dtype.
        ValueError: it holds NaN or infinity; the message says how many, and the index of the first
            in C order, as (2, 5) for row 2, column 5.

    Example:
        >>> checked_array(np.array([[1.0, np.nan]]))
        Traceback (most recent call last):
            ...
        ValueError: values holds 1 NaN or infinite value(s), the first at index (0, 1); find the source
    """
    # TODO:
    # 1. refuse what is no np.ndarray, and an array whose dtype is no float, with a TypeError
    # 2. find what is not finite
    # 3. if there is any: count it, find the index of the first, and raise the ValueError
    # 4. return the array itself
    ### BEGIN SOLUTION
    if not isinstance(values, np.ndarray):
        raise TypeError(f"{name} is a {type(values).__name__}; expected a NumPy array of floats")
    if values.dtype.kind != "f":
        raise TypeError(f"{name} has dtype {values.dtype}; expected floats such as float32")
    finite = np.isfinite(values)
    if not finite.all():
        wrong = values.size - int(np.count_nonzero(finite))
        first = tuple(int(i) for i in np.unravel_index(np.argmin(finite), values.shape))
        raise ValueError(
            f"{name} holds {wrong} NaN or infinite value(s), the first at index {first}; "
            "find the source"
        )
    return values
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_formats__checked", "points": 2}
# Rejects: infinities let through, a wrong count, the last index or a flat one, integers accepted.
table = np.zeros((30, 40), np.float32)
assert_close(checked_array(table), table, what="checked_array of zeros", dtype=np.float32)
table[[17, 21, 21], [5, 8, 11]] = [np.nan, np.inf, -np.inf]
told = numbers_told(ValueError, checked_array, table)
assert {3, 17, 5} <= set(told), (
    f"3 values are wrong, the first at (17, 5); the message tells {told}"
)
expect_error(TypeError, checked_array, np.arange(4, dtype=np.int32), mentions=("int32",))
expect_error(TypeError, checked_array, [1.0, 2.0], mentions=("list",))
### BEGIN HIDDEN TESTS
rng = fresh("checked")
for bad in (np.nan, np.inf, -np.inf):
    grid = rng.normal(size=(7, 60, 80)).astype(np.float64)
    first = (3, int(rng.integers(10, 50)), int(rng.integers(10, 70)))
    grid[first] = bad
    later = int(rng.integers(100, 140))
    grid[5].ravel()[rng.choice(4800, later, replace=False)] = np.nan
    told = numbers_told(ValueError, checked_array, grid, "activations")
    assert {later + 1, *first} <= set(told), (
        f"{later + 1} values are wrong, the first ({bad}) at {first}; the message tells {told}"
    )
expect_error(ValueError, checked_array, np.array(np.nan), "a scalar", mentions=("a scalar", "1"))
for kind in (np.float16, np.float32, np.float64):
    assert_close(
        checked_array(np.zeros((0, 3), kind)), np.zeros((0, 3)), what="an empty array", dtype=kind
    )
expect_error(TypeError, checked_array, np.zeros(3, bool), mentions=("bool",))
expect_error(TypeError, checked_array, np.zeros(3, np.complex64), mentions=("complex64",))
expect_error(TypeError, checked_array, None, "weights", mentions=("weights", "NoneType"))
### END HIDDEN TESTS

# %% [markdown]
# Now scale and zero point. The formulas are short; the ranges that real tensors have are not always kind. A bias of a fresh
# layer is all zeros. The output of a ReLU has no negative side. A range can be so large that `hi - lo` overflows float32, or so
# small that the scale becomes 0. Calculate in float64; the result is stored in float32.
#
# *Round half to even* means that a tie goes to the even neighbour, 0.5 to 0 and 1.5 to 2, so that ties do not push the mean
# upwards. `np.rint` does that, and so does Python's `round`.


# %% nbgrader={"grade_id": "formats__params"}
#| export
def checked_range(lo: ArrayLike, hi: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of one or several ranges as float64 arrays, after checking them.

    Raises:
        ValueError: different shapes, no values, NaN or infinity, or a `lo` above its `hi`; the
            message shows what was given.

    Example:
        >>> checked_range(1.0, -1.0)
        Traceback (most recent call last):
            ...
        ValueError: the range from 1.0 to -1.0 is upside down; expected lo <= hi
    """
    # TODO: four checks, each with a message that shows what is wrong; then return both arrays
    ### BEGIN SOLUTION
    low, high = np.asarray(lo, np.float64), np.asarray(hi, np.float64)
    if low.shape != high.shape:
        raise ValueError(f"lo has shape {low.shape}, hi {high.shape}; expected the same shape")
    if not low.size:
        raise ValueError("the range is empty: expected at least one lo and hi")
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(f"a range must be finite, got lo={low}, hi={high}")
    if np.any(low > high):
        first = int(np.argmax(low.ravel() > high.ravel()))
        start, end = float(low.ravel()[first]), float(high.ravel()[first])
        raise ValueError(f"the range from {start} to {end} is upside down; expected lo <= hi")
    return low, high
    ### END SOLUTION


def storable_scale(scale: np.ndarray) -> np.ndarray:
    """A scale as float32 that can be divided by: 1 where it is 0, else at least the smallest normal.

    Args:
        scale: float64, 0 or above, of any shape.

    Returns:
        float32, in the same shape, above 0.

    Example:
        >>> storable_scale(np.array([0.0, 0.5]))
        array([1. , 0.5], dtype=float32)
    """
    # TODO: np.finfo(np.float32).tiny is the smallest normal number
    ### BEGIN SOLUTION
    smallest = np.finfo(np.float32).tiny
    return np.where(scale > 0, np.maximum(scale, smallest), 1.0).astype(np.float32)
    ### END SOLUTION


def affine_params(
    lo: ArrayLike,
    hi: ArrayLike,
    bits: int = 8,
    axis: int | None = None,
    group_size: int | None = None,
) -> QuantParams:
    """Scale and zero point that cover the range from `lo` to `hi`, and 0.

    With qmin = -2^(bits-1) and qmax = 2^(bits-1) - 1, and the range widened to hold 0:
    scale = (hi - lo) / (qmax - qmin), at least float32's smallest normal number, and
    zero_point = qmin - lo / scale, rounded half to even.

    Args:
        lo: smallest value: a number, or an array with one for each channel or group.
        hi: largest value, in the shape of `lo`.
        bits: 2 to 8.
        axis: kept in the result.
        group_size: kept in the result.

    Returns:
        QuantParams in the shape of `lo`. A range that holds only 0 gets scale 1 and zero point 0.

    Raises:
        ValueError: `lo` above `hi`, NaN or infinity, no values, different shapes, wrong `bits`.

    Source:
        Jacob et al. 2018, arXiv:1712.05877.

    Example:
        >>> params = affine_params(-1.0, 3.0)
        >>> int(params.zero_point), round(float(params.scale), 5)
        (-64, 0.01569)
    """
    # TODO:
    # 1. qmin and qmax by integer_range; lo and hi by checked_range
    # 2. widen the range to hold 0
    # 3. the scale, by storable_scale
    # 4. the zero point, from the scale as float32 stores it; 0 for a range of width 0
    # 5. QuantParams with bits, axis and group_size
    ### BEGIN SOLUTION
    qmin, qmax = integer_range(bits)
    low, high = checked_range(lo, hi)
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    scale = storable_scale((high - low) / (qmax - qmin))
    zero_point = np.where(high > low, np.rint(qmin - low / scale), 0)
    return QuantParams(scale, zero_point.astype(np.int32), bits, axis, group_size)
    ### END SOLUTION


def symmetric_params(
    max_abs: ArrayLike, bits: int = 8, axis: int | None = None, group_size: int | None = None
) -> QuantParams:
    """A scale for values from -max_abs to max_abs, with zero point 0.

    scale = max_abs / (2^(bits-1) - 1), at least float32's smallest normal number.

    Args:
        max_abs: largest magnitude: a number, or an array with one for each channel or group.
        bits: 2 to 8.
        axis: kept in the result.
        group_size: kept in the result.

    Returns:
        Symmetric QuantParams in the shape of `max_abs`. Where it is 0 the scale is 1.

    Raises:
        ValueError: a negative `max_abs`, NaN or infinity, no values, wrong `bits`.

    Example:
        >>> params = symmetric_params(12.7)
        >>> round(float(params.scale), 6), int(params.zero_point), params.qmin
        (0.1, 0, -127)
    """
    # TODO:
    # 1. qmax by integer_range(bits, symmetric=True)
    # 2. check the range from 0 to max_abs
    # 3. the scale, with the same care as above; zero points of 0
    ### BEGIN SOLUTION
    qmax = integer_range(bits, symmetric=True)[1]
    largest = checked_range(np.zeros(np.shape(max_abs)), max_abs)[1]
    scale, zero_point = storable_scale(largest / qmax), np.zeros(largest.shape, np.int32)
    return QuantParams(scale, zero_point, bits, axis, group_size, symmetric=True)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_formats__params", "points": 4}
# Rejects: a range without 0, 2^b levels in place of 2^b - 1 steps, a zero point of the wrong sign, 128
# steps in the symmetric format, a scale of 0 for a layer of zeros.
params = affine_params(-1.0, 3.0)
assert_close(params.scale, np.array(4 / 255), what="scale of -1 to 3", dtype=np.float32)
assert_int(params.zero_point[()], -64, what="zero point of -1 to 3")
assert_int(
    affine_params(-1.5, 6.0, bits=4).zero_point[()], -5, what="zero point of -1.5 to 6, 4 bits"
)
params = affine_params(2.0, 6.0)
assert_close(params.scale, np.array(6 / 255), what="scale of 2 to 6: widened to 0 to 6")
assert_int(params.zero_point[()], -128, what="zero point of an all-positive range")
assert_int(
    affine_params(-6.0, -2.0).zero_point[()], 127, what="zero point of an all-negative range"
)
params = symmetric_params(12.7)
assert_close(params.scale, np.array(0.1), what="scale of largest magnitude 12.7")
assert_int(params.zero_point[()], 0, what="zero point of the symmetric format")
assert (params.qmin, params.qmax) == (-127, 127), f"symmetric, 8 bits: {params.qmin}, {params.qmax}"
for params in (affine_params(0.0, 0.0), symmetric_params(0.0)):
    assert params.scale > 0, f"the scale of a range of zeros is {params.scale}"
    assert_int(params.zero_point[()], 0, what="zero point of a range of zeros")
expect_error(ValueError, affine_params, 3.0, -1.0, mentions=("3.0", "-1.0"))
expect_error(ValueError, symmetric_params, -2.0)
expect_error(ValueError, affine_params, 0.0, 1.0, bits=9, mentions=("bits", "9"))
### BEGIN HIDDEN TESTS
rng = fresh("params")
for bits in (2, 3, 5, 8):
    count = int(rng.integers(3, 9))
    lows = -rng.uniform(0.5, 4.0, count) * 10.0 ** rng.integers(-3, 4, count)
    highs = -lows * rng.uniform(1.3, 3.0, count)
    lows[0] = highs[0] * 0.3  # an all-positive range
    highs[1] = lows[1] * 0.3  # an all-negative one
    params = affine_params(lows, highs, bits, axis=1)
    assert params.bits == bits and params.axis == 1 and params.group_size is None
    assert (params.qmin, params.qmax) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    steps = 2**bits - 1
    for i in range(count):
        start, end = min(float(lows[i]), 0.0), max(float(highs[i]), 0.0)
        what = f"{lows[i]:.4g} to {highs[i]:.4g} in {bits} bits"
        width = (end - start) / steps
        assert_close(params.scale[i], width, rtol=1e-6, atol=0, what=f"scale of {what}")
        exact = -(2 ** (bits - 1)) - start / width
        found = int(params.zero_point[i])
        assert abs(found - exact) <= 0.5 + 1e-4, (
            f"zero point of {what}: {found}, expected {exact:.3f} rounded"
        )
    assert params.zero_point.dtype == np.int32 and params.scale.shape == (count,)
    magnitudes = np.maximum(np.abs(lows), np.abs(highs)).reshape(1, -1)
    magnitudes[0, 2] = 0.0
    params = symmetric_params(magnitudes, bits, group_size=4)
    assert params.scale.shape == (1, count) and params.group_size == 4 and params.axis is None
    assert (params.qmin, params.qmax) == (1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1)
    for i in range(count):
        expected = float(magnitudes[0, i]) / (2 ** (bits - 1) - 1)
        if i == 2:
            assert params.scale[0, 2] > 0, "the scale of a channel of zeros must be above 0"
        else:
            assert_close(
                params.scale[0, i], expected, rtol=1e-6, atol=0, what=f"scale {i}, {bits} bits"
            )
    assert not params.zero_point.any(), "the symmetric zero point is 0"
assert_int(
    affine_params(-2.5, 252.5).zero_point[()],
    -126,
    what="zero point of a tie, -125.5: half to even",
)
assert_int(
    affine_params(-3.5, 251.5).zero_point[()],
    -124,
    what="zero point of a tie, -124.5: half to even",
)
huge = affine_params(-3e38, 3e38)
assert_close(huge.scale, np.array(6e38 / 255), rtol=1e-6, what="scale of -3e38 to 3e38")
for constant in (7.25, -7.25):
    params = affine_params(constant, constant)
    assert_close(params.scale, np.array(7.25 / 255), what=f"scale of the constant {constant}")
narrow = np.float64(np.finfo(np.float32).tiny)
for width in (1e-45, 1e-42, 1e-39):
    for params in (affine_params(-width, width), symmetric_params(width)):
        found = float(params.scale)
        assert_close(found, float(narrow), rtol=1e-6, atol=0, what=f"scale of a range of {width}")
    assert_int(affine_params(0.0, width).zero_point[()], -128, what=f"zero point of 0 to {width}")
expect_error(ValueError, affine_params, np.array([]), np.array([]), mentions=("empty",))
expect_error(ValueError, symmetric_params, np.array([]), mentions=("empty",))
expect_error(ValueError, affine_params, np.zeros(3), np.ones(4), mentions=("3", "4"))
for bad in (np.nan, np.inf):
    expect_error(ValueError, affine_params, 0.0, bad)
    expect_error(ValueError, affine_params, -bad, 0.0)
    expect_error(ValueError, symmetric_params, np.array([1.0, bad]))
expect_error(
    ValueError,
    affine_params,
    np.array([0.0, 2.0, 0.0]),
    np.array([1.0, 1.5, 1.0]),
    mentions=("2.0", "1.5"),
)
for bits in (1, 0, 9, 16, -8):
    expect_error(ValueError, affine_params, -1.0, 1.0, bits, mentions=("bits", str(bits)))
    expect_error(ValueError, symmetric_params, 1.0, bits, mentions=("bits", str(bits)))
### END HIDDEN TESTS

# %% [markdown]
# And the map itself. To quantize: divide, round, add the zero point, **saturate** (what lies beyond the last level gets the
# last level). Without saturation 128 becomes -128 in int8, and the largest activation turns into the most negative one.
#
# To dequantize: subtract and multiply. Mind the subtraction: 127 - (-128) does not fit into int8.


# %% nbgrader={"grade_id": "formats__map"}
#| export
def quantize_array(x: np.ndarray, params: QuantParams) -> np.ndarray:
    """The integers that stand for an array: clip(round(x / scale) + zero_point, qmin, qmax).

    Args:
        x: floats of any shape that fits the parameters; not changed.
        params: scale and zero point.

    Returns:
        int8, in the shape of `x`. Ties are rounded half to even, before the zero point is added.

    Raises:
        TypeError: `x` is no array of floats.
        ValueError: `x` holds NaN or infinity, or its shape does not fit the parameters.

    Example:
        >>> params = QuantParams(np.float32(0.5), np.int32(10))
        >>> quantize_array(np.array([0.0, 0.25, 0.75, -1.0, 1e9]), params)
        array([ 10,  10,  12,   8, 127], dtype=int8)
    """
    # TODO:
    # 1. check the array
    # 2. view, scale and zero point by params.aligned
    # 3. divide, round, add
    # 4. saturate, then make int8, in the shape of x
    ### BEGIN SOLUTION
    checked_array(x, "x")
    view, scale, zero_point = params.aligned(x.shape)
    with np.errstate(over="ignore"):  # a quotient beyond the largest float saturates as well
        levels = np.atleast_1d(np.rint(x.reshape(view) / scale))
    levels += zero_point.astype(levels.dtype)
    np.clip(levels, params.qmin, params.qmax, out=levels)
    return levels.astype(np.int8).reshape(x.shape)
    ### END SOLUTION


def dequantize_array(q: np.ndarray, params: QuantParams) -> np.ndarray:
    """The floats that integers stand for: scale * (q - zero_point).

    Args:
        q: int8, of any shape that fits the parameters.
        params: scale and zero point.

    Returns:
        float32, in the shape of `q`.

    Raises:
        TypeError: `q` is no int8 array.
        ValueError: its shape does not fit the parameters.

    Example:
        >>> params = QuantParams(np.float32(0.5), np.int32(-128))
        >>> dequantize_array(np.array([-128, 127], np.int8), params)
        array([  0. , 127.5], dtype=float32)
    """
    # TODO:
    # 1. refuse what is no int8 array
    # 2. subtract in a type that can hold the difference
    # 3. multiply; give float32, in the shape of q
    ### BEGIN SOLUTION
    if not isinstance(q, np.ndarray) or q.dtype != np.int8:
        given = q.dtype if isinstance(q, np.ndarray) else type(q).__name__
        raise TypeError(f"q is {given}; expected a NumPy array of int8")
    view, scale, zero_point = params.aligned(q.shape)
    steps = q.reshape(view).astype(np.float32) - zero_point.astype(np.float32)  # exact
    back: np.ndarray = steps * scale
    return back.reshape(q.shape)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_formats__quantize", "points": 4}
# Rejects: rounding towards zero, ties away from zero, int8 that wraps around, a zero point added before
# the rounding, one scale for all channels, an argument that is changed.
halves = QuantParams(np.float32(0.5), np.int32(0), symmetric=True)
x = np.array([0.0, 0.25, 0.75, -0.25, -0.75, 1.3, -1.3, 63.5, 64.0, -64.0, 1e9], np.float32)
expected = np.array([0, 0, 2, 0, -2, 3, -3, 127, 127, -127, 127])
assert_close(quantize_array(x, halves), expected, what="scale 0.5", dtype=np.int8)
shifted = QuantParams(np.float32(0.5), np.int32(-7), bits=4)
assert_close(
    quantize_array(np.array([0.25, 0.75, -1.0, 100.0], np.float32), shifted),
    np.array([-7, -5, -8, 7]),
    what="scale 0.5, zero point -7, 4 bits",
)
rows = QuantParams(np.array([1.0, 0.25]), np.array([0, 3]), axis=0)
assert_close(
    quantize_array(np.array([[1.0, 2.0], [1.0, 2.0]]), rows),
    np.array([[1, 2], [7, 11]]),
    what="a scale a row",
)
expect_error(
    ValueError, quantize_array, np.zeros((3, 2), np.float32), rows, mentions=("(3, 2)", "(2,)")
)
expect_error(ValueError, quantize_array, np.array([1.0, np.nan]), halves)
### BEGIN HIDDEN TESTS
rng = fresh("quantize")


def integers_of(x, params, scales, zero_points):
    """The oracle: each value by itself, in exact fractions."""
    lowest, highest = params.qmin, params.qmax
    return np.array(
        [
            min(max(round(Fraction(float(value)) / Fraction(float(s))) + int(z), lowest), highest)
            for value, s, z in zip(x.ravel(), scales.ravel(), zero_points.ravel(), strict=True)
        ]
    ).reshape(x.shape)


for bits in (2, 4, 7, 8):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    shapes = ((6, 8), None, None), ((2, 6, 3, 8), 1, None), ((6, 8), -1, None), ((3, 4, 8), None, 4)
    for shape, axis, group in shapes:
        if group:
            size = (*shape[:-1], shape[-1] // group)
        else:
            size = () if axis is None else (shape[axis],)
        scale = (10.0 ** rng.uniform(-3, 3, size)).astype(np.float32)
        zero = rng.integers(low, high + 1, size)
        params = QuantParams(scale, zero, bits, axis, group)
        if group:
            every = [np.repeat(a, group, axis=-1) for a in (params.scale, params.zero_point)]
        else:
            where = [1] * len(shape)
            if axis is not None:
                where[axis] = size[0]
            every = [
                np.broadcast_to(a.reshape(where), shape) for a in (params.scale, params.zero_point)
            ]
        level = rng.integers(low - 20, high + 21, shape) - every[1]
        x = (every[0] * (level + rng.uniform(-0.45, 0.45, shape))).astype(np.float32)
        found, x_after = inside(with_argument_after, quantize_array, x, params)
        what = f"{shape}, {bits} bits, axis {axis}, groups of {group}"
        assert_close(
            found, integers_of(x, params, *every), rtol=0, atol=0, what=what, dtype=np.int8
        )
        assert_close(x_after, x, rtol=0, atol=0, what="the argument after the call")
        turned = x.T if axis is None and group is None else x
        assert_close(
            quantize_array(turned, params),
            integers_of(turned, params, *(every if turned is x else [e.T for e in every])),
            rtol=0,
            atol=0,
            what=f"{what}, not contiguous",
        )
ties = (rng.permutation(61) - 30.5).astype(np.float32)
for zero in (0, 1, -1, 6, 7):
    params = QuantParams(np.float32(0.125), np.int32(zero))
    expected = [max(-128, min(127, round(float(tie)) + zero)) for tie in ties]
    assert_close(
        quantize_array(ties / 8, params),
        np.array(expected),
        rtol=0,
        atol=0,
        what=f"ties, zero point {zero}",
    )
tiny = QuantParams(np.float32(1e-30), np.int32(5))
found = quantize_array(np.array([3e38, -3e38, 0.0], np.float32), tiny)
assert_close(found, np.array([127, -128, 5]), what="3e38 in steps of 1e-30 saturates")
narrow_range = QuantParams(np.float32(1), np.int32(0), bits=3, symmetric=True)
assert_close(
    quantize_array(np.array([-9.0, -4.0, 9.0]), narrow_range),
    np.array([-3, -3, 3]),
    what="3 bits, symmetric",
)
halves = QuantParams(np.float32(0.5), np.int32(0))
assert_close(
    quantize_array(np.zeros((0, 4), np.float32), halves),
    np.zeros((0, 4), int),
    what="an empty array",
    dtype=np.int8,
)
single = np.asarray(quantize_array(np.array(3.0), halves))
assert_close(single, np.array(6), what="an array without axes", dtype=np.int8)
expect_error(TypeError, quantize_array, np.arange(4), halves, mentions=("int64",))
expect_error(ValueError, quantize_array, np.array([[1.0, -np.inf]]), halves)
wide = QuantParams(np.ones((2, 3)), np.zeros((2, 3), int), group_size=4)
expect_error(
    ValueError, quantize_array, np.zeros((2, 13), np.float32), wide, mentions=("(2, 13)", "4")
)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_formats__dequantize", "points": 3}
# Rejects: a subtraction that wraps around in int8, a zero point that is added or forgotten, float64.
quarter = QuantParams(np.float32(0.25), np.int32(-128))
expected = np.array([0.0, 63.75, 32.0], np.float32)
found = dequantize_array(np.array([-128, 127, 0], np.int8), quarter)
assert_close(found, expected, what="-128, 127 and 0 at zero point -128", dtype=np.float32)
expect_error(
    TypeError, dequantize_array, np.zeros(3, np.int32), quarter, mentions=("int32", "int8")
)
x = np.linspace(-1, 3, 1001, dtype=np.float32)
params = affine_params(-1.0, 3.0)
error = np.abs(dequantize_array(quantize_array(x, params), params) - x).max()
assert error <= 0.5001 * (4 / 255), f"a value inside the range may be half a step off, got {error}"
### BEGIN HIDDEN TESTS
rng = fresh("dequantize")
for shape, axis, group in (
    ((9, 8), None, None),
    ((5, 6, 2), 1, None),
    ((6, 5), -2, None),
    ((3, 12), None, 3),
):
    if group:
        size = (*shape[:-1], shape[-1] // group)
    else:
        size = () if axis is None else (shape[axis],)
    params = QuantParams(rng.uniform(0.01, 9, size), rng.integers(-120, 121, size), 8, axis, group)
    q = rng.integers(-128, 128, shape).astype(np.int8)
    q.ravel()[:2] = (-128, 127)
    expected = np.empty(shape)
    for place in np.ndindex(*shape):
        if group:
            at = (*place[:-1], place[-1] // group)
        else:
            at = () if axis is None else (place[axis],)
        expected[place] = float(params.scale[at]) * (int(q[place]) - int(params.zero_point[at]))
    what = f"{shape}, axis {axis}, groups of {group}"
    assert_close(
        dequantize_array(q, params), expected, rtol=1e-6, atol=1e-9, what=what, dtype=np.float32
    )
low, high = np.array([-0.3, 0.7]) * float(rng.uniform(1, 9))
for bits in (2, 3, 5, 8):
    x = np.append(rng.uniform(low, high, 500), [low, high]).astype(np.float32)
    params = affine_params(low, high, bits)
    back = dequantize_array(quantize_array(x, params), params)
    step = (high - low) / (2**bits - 1)
    assert np.abs(back - x).max() <= 0.501 * step, f"{bits} bits: more than half a step off"
    zero = dequantize_array(quantize_array(np.zeros(3, np.float32), params), params)
    assert_close(zero, np.zeros(3, np.float32), rtol=0, atol=0, what=f"0 in {bits} bits is exact")
assert_close(
    dequantize_array(np.zeros((0, 2), np.int8), affine_params(0.0, 1.0)),
    np.zeros((0, 2), np.float32),
    what="an empty array",
    dtype=np.float32,
)
for wrong in (np.zeros(2, np.float32), np.zeros(2, np.uint8), [1, 2]):
    expect_error(TypeError, dequantize_array, wrong, params)
channels = QuantParams(np.ones(3), np.zeros(3, int), axis=0)
expect_error(
    ValueError, dequantize_array, np.zeros((2, 3), np.int8), channels, mentions=("(2, 3)", "(3,)")
)
### END HIDDEN TESTS


# %% [markdown]
# ### Validate: how wrong is a weight in 3 bits?
#
# Here is a matrix of `docs_gpt` with the grid that your code lays over it. Each line is a level; each weight moves to the
# nearest one. Symmetric has 7 levels, affine 8.


# %% tags=["measure"]
def levels_of(params: QuantParams) -> np.ndarray:
    return dequantize_array(np.arange(params.qmin, params.qmax + 1).astype(np.int8), params)


def rms(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))


example_name = "blocks.3.feed_forward.fc1.weight"
example = weights_of_gpt[example_name]  # (512, 128)
grids = {
    "symmetric": symmetric_params(float(np.abs(example).max()), bits=3),
    "affine": affine_params(float(example.min()), float(example.max()), bits=3),
}
reach = 1.02 * max(float(np.abs(levels_of(params)).max()) for params in grids.values())
figure = dashboards.histogram(
    {"weights": example},
    x_title="weight",
    bins=120,
    limits=(-reach, reach),
    title=f"{example_name} and two grids of 3 bits",
)
for (scheme, params), colour, dash in zip(
    grids.items(), ("#D55E00", "#009E73"), ("solid", "dash"), strict=True
):
    for index, level in enumerate(levels_of(params).tolist()):
        figure.add_scatter(
            x=[level, level],
            y=[0, 1],
            yaxis="y2",
            mode="lines",
            line={"color": colour, "dash": dash, "width": 2},
            name=f"levels, {scheme}",
            legendgroup=scheme,
            showlegend=index == 0,
        )
figure.update_layout(
    showlegend=True,
    margin={"t": 60},
    yaxis2={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
)
errors = {
    (scheme, bits): rms(dequantize_array(quantize_array(example, params), params) - example)
    for bits in (8, 6, 4, 3, 2)
    for scheme, params in (
        ("symmetric", symmetric_params(float(np.abs(example).max()), bits)),
        ("affine", affine_params(float(example.min()), float(example.max()), bits)),
    )
}
dashboards.show(
    figure,
    summary=f"In 3 bits the weights of {example_name} (std {example.std():.3f}) are off by {errors['symmetric', 3]:.4f} (symmetric) and "
    f"{errors['affine', 3]:.4f} (affine) in the root mean square; in 8 bits by {errors['symmetric', 8]:.5f} and {errors['affine', 8]:.5f}.",
    table=[
        {
            "scheme": scheme,
            "bits": bits,
            "rms error": f"{error:.6f}",
            "of std": f"{error / example.std():.2%}",
        }
        for (scheme, bits), error in sorted(errors.items())
    ],
)

# %% tags=["measure"]
measured_error_ratio = errors["symmetric", 4] / errors["symmetric", 8]
print(f"measured: the error at 4 bits is {measured_error_ratio:.1f} times that at 8 bits")
if predicted_error_ratio is None:
    print(
        "You made no prediction yet. Put a number in the cell above Exercise 1 and run both again."
    )
else:
    off = abs(math.log(predicted_error_ratio / measured_error_ratio))
    bands = [
        (math.log(1.1), "within 10 %"),
        (math.log(1.5), "within 1.5 times"),
        (math.log(3), "within 3 times"),
    ]
    print(
        f"you said {predicted_error_ratio}:",
        next((words for limit, words in bands if off <= limit), "more than 3 times off"),
    )

# %% [markdown]
# Half the bits is not twice the error. Each bit halves the step, so four bits make the step about 2^4 = 16 times as large (18
# here, since 127 / 7 = 18.1). The error inside a step is spread evenly, so its root mean square is step / √12.

# %% [markdown]
# ## Exercise 2: one scale for how many values?
#
# *Difficulty 3 of 5, 45 minutes, 14 points.*
#
# The largest value sets the step for all that share a scale. So the fewer share one, the smaller the error, and the more
# scales you store. Three **granularities** are common:
#
# - **tensor**: one scale for all;
# - **channel**: one for each index of an axis, for a weight (N, K) usually one a row;
# - **group**: one for each `group_size` neighbours on the last axis.
#
# `Quantizer` finds the parameters, `QuantizedTensor` keeps the integers. Its bytes are those of its arrays: nothing is
# saved until the float32 array is gone.


# %% nbgrader={"grade_id": "quantizer__tensor"}
#| export
@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """An array stored as int8, with what it takes to read it.

    Attributes:
        values: int8.
        params: scale and zero point.

    Example:
        >>> params = symmetric_params(127.0)
        >>> tensor = QuantizedTensor(quantize_array(np.array([1.0, -127.0]), params), params)
        >>> tensor.dequantize(), tensor.nbytes
        (array([   1., -127.], dtype=float32), 10)
    """

    values: np.ndarray
    params: QuantParams

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that is stored."""
        return self.values.shape

    @property
    def nbytes(self) -> int:
        """Bytes of the integers, the scales and the zero points."""
        # TODO: ask the arrays
        ### BEGIN SOLUTION
        return self.values.nbytes + self.params.scale.nbytes + self.params.zero_point.nbytes
        ### END SOLUTION

    def dequantize(self) -> np.ndarray:
        """The floats it stands for: float32, in the same shape."""
        # TODO: you have written it
        ### BEGIN SOLUTION
        return dequantize_array(self.values, self.params)
        ### END SOLUTION

    def save(self, path: str | Path) -> None:
        """Write everything into one .npz file with exactly this name, without pickle.

        Args:
            path: the file; what has this name before is replaced.
        """
        # TODO:
        # 1. np.savez into an io.BytesIO: the three arrays, and bits, axis, group_size, symmetric
        #    as small arrays; leave out what is None
        # 2. write_whole(path, content): the file is there completely or not at all
        ### BEGIN SOLUTION
        params = self.params
        layout = {"axis": params.axis, "group_size": params.group_size}
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            values=self.values,
            scale=params.scale,
            zero_point=params.zero_point,
            bits=np.array(params.bits),
            symmetric=np.array(params.symmetric),
            **{key: np.array(value) for key, value in layout.items() if value is not None},
        )
        write_whole(path, buffer.getvalue())
        ### END SOLUTION

    @classmethod
    def load(cls, path: str | Path) -> "QuantizedTensor":
        """Read what `save` wrote.

        Raises:
            ValueError: an array is missing, or the file holds pickled objects.
        """
        # TODO:
        # 1. np.load(path, allow_pickle=False), in a `with`
        # 2. a ValueError that names the file when something is missing
        # 3. the same QuantParams and values as before
        ### BEGIN SOLUTION
        with np.load(path, allow_pickle=False) as archive:
            missing = {"values", "scale", "zero_point", "bits", "symmetric"} - set(archive.files)
            if missing:
                raise ValueError(f"{path} holds no quantized tensor: {sorted(missing)} missing")
            axis, group_size = (
                archive[key].item() if key in archive.files else None
                for key in ("axis", "group_size")
            )
            params = QuantParams(
                archive["scale"],
                archive["zero_point"],
                archive["bits"].item(),
                axis,
                group_size,
                bool(archive["symmetric"]),
            )
            values = archive["values"]
        return cls(values, params)
        ### END SOLUTION


# %% nbgrader={"grade_id": "quantizer"}
#| export
@dataclass(frozen=True)
class Quantizer:
    """Finds the parameters of an array from its own values, and quantizes it.

    Attributes:
        bits: 2 to 8.
        scheme: "symmetric" or "affine".
        granularity: "tensor", "channel" (along `axis`) or "group" (on the last axis).
        axis: the axis of the channels; used by "channel" alone.
        group_size: neighbours that share a scale; used by "group" alone.

    Example:
        >>> weight = np.array([[1.0, -0.5], [0.0, 127.0]])
        >>> Quantizer(granularity="channel").quantize(weight).values
        array([[127, -64],
               [  0, 127]], dtype=int8)
    """

    bits: int = 8
    scheme: str = "symmetric"
    granularity: str = "tensor"
    axis: int = 0
    group_size: int = 64

    def __post_init__(self) -> None:
        integer_range(self.bits)
        if self.scheme not in ("symmetric", "affine"):
            raise ValueError(f'scheme is {self.scheme!r}; expected "symmetric" or "affine"')
        if self.granularity not in ("tensor", "channel", "group"):
            known = '"tensor", "channel" or "group"'
            raise ValueError(f"granularity is {self.granularity!r}; expected {known}")
        if self.group_size < 1:
            raise ValueError(f"group_size is {self.group_size}; expected at least 1")

    def params(self, x: np.ndarray) -> QuantParams:
        """Scale and zero point from the values' own range (or largest magnitude).

        Args:
            x: floats, at least one.

        Returns:
            QuantParams whose scale has shape () for "tensor", (N,) for "channel" and
            (..., K / group_size) for "group".

        Raises:
            TypeError: `x` is no array of floats.
            ValueError: it is empty or holds NaN or infinity; it has no such axis; or its last axis
                is no multiple of the group size. The message shows the shape.
        """
        # TODO:
        # 1. check the array, also that it is not empty
        # 2. the values that share a scale: which axes? For groups, (..., K) as (..., K / g, g)
        # 3. smallest and largest value over these axes
        # 4. affine_params from both, or symmetric_params from the larger magnitude, with the
        #    axis or the group size
        ### BEGIN SOLUTION
        checked_array(x, "x")
        if not x.size:
            raise ValueError(f"x is empty, shape {x.shape}; expected at least one value")
        axis = group_size = None
        over: tuple[int, ...] | int | None = None
        if self.granularity == "channel":
            if not -x.ndim <= self.axis < x.ndim:
                raise ValueError(f"axis is {self.axis}; expected an axis of shape {x.shape}")
            axis = self.axis % x.ndim
            over = tuple(other for other in range(x.ndim) if other != axis)
        elif self.granularity == "group":
            group_size, over = self.group_size, -1
            if not x.ndim or x.shape[-1] % group_size:
                raise ValueError(
                    f"groups of {group_size} do not divide the last axis of shape {x.shape}"
                )
            x = x.reshape(*x.shape[:-1], -1, group_size)  # (..., K) -> (..., K / g, g)
        low, high = x.min(axis=over), x.max(axis=over)
        if self.scheme == "affine":
            return affine_params(low, high, self.bits, axis, group_size)
        return symmetric_params(np.maximum(-low, high), self.bits, axis, group_size)
        ### END SOLUTION

    def quantize(self, x: np.ndarray) -> QuantizedTensor:
        """The array in integers, with parameters from its own values."""
        # TODO: the parameters, then the integers
        ### BEGIN SOLUTION
        params = self.params(x)
        return QuantizedTensor(quantize_array(x, params), params)
        ### END SOLUTION


# %% nbgrader={"grade_id": "quantizer__error"}
#| export
def quantization_error(x: np.ndarray, approximation: np.ndarray) -> float:
    """The root of the mean squared difference, calculated in float64.

    Raises:
        TypeError: one is no array of floats.
        ValueError: the shapes differ, or NaN, infinity or no values at all.

    Example:
        >>> quantization_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) ** 2
        2.0000000000000004
    """
    # TODO: check both arrays and their shapes first
    ### BEGIN SOLUTION
    checked_array(x, "x")
    checked_array(approximation, "approximation")
    if x.shape != approximation.shape or not x.size:
        raise ValueError(
            f"x has shape {x.shape}, the approximation {approximation.shape}; "
            "expected the same shape, and at least one value"
        )
    difference = np.subtract(x, approximation, dtype=np.float64)
    return math.sqrt(np.mean(np.square(difference)))
    ### END SOLUTION


def sqnr_db(x: np.ndarray, approximation: np.ndarray) -> float:
    """Signal to quantization noise: 10 log10(sum of x² / sum of (x - approximation)²) decibel.

    Returns:
        Infinity when nothing differs, minus infinity when `x` is all zeros and something does.

    Raises:
        As `quantization_error`.

    Example:
        >>> round(sqnr_db(np.array([10.0, -10.0]), np.array([9.0, -11.0])), 6)
        20.0
    """
    # TODO: from quantization_error, and the same of x against zeros
    ### BEGIN SOLUTION
    noise = quantization_error(x, approximation)
    signal = quantization_error(x, np.zeros_like(x))
    if noise == 0.0:
        return math.inf
    return 20 * math.log10(signal / noise) if signal > 0.0 else -math.inf
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_quantizer__granularity", "points": 5}
# Rejects: one axis for every request, ranges over the wrong axes, the largest value in place of the
# largest magnitude, groups across rows.
weight = np.array([[1.0, -2.0, 0.5, 0.25], [0.0, 0.0, -8.0, 4.0]], np.float32)
for granularity, largest in (
    ("tensor", np.array(8.0, np.float32)),
    ("channel", np.array([2.0, 8.0], np.float32)),
    ("group", np.array([[2.0, 0.5], [1.0, 8.0]], np.float32)),
):
    params = Quantizer(8, "symmetric", granularity, axis=0, group_size=2).params(weight)
    expected = np.asarray(largest / 127)
    if granularity == "group":
        expected[1, 0] = params.scale[1, 0]  # a group of zeros: any scale above 0
    assert_close(
        params.scale, expected, what=f"scales for granularity {granularity}", dtype=np.float32
    )
    assert params.zero_point.shape == params.scale.shape
params = Quantizer(4, "affine", "channel", axis=1).params(weight)
assert_close(
    params.scale, np.array([1, 2, 8.5, 4]) / 15, what="affine scales along axis 1", dtype=np.float32
)
assert params.axis == 1 and params.group_size is None and params.bits == 4
expect_error(
    ValueError,
    Quantizer(granularity="group", group_size=3).params,
    weight,
    mentions=("3", "(2, 4)"),
)
expect_error(ValueError, Quantizer().params, np.zeros((0, 3), np.float32), mentions=("empty",))
### BEGIN HIDDEN TESTS
rng = fresh("granularity")


def slices_of(shape, granularity, axis, group):
    """For each scale its place, and the places in the array that share it."""
    for place in np.ndindex(*shape):
        if granularity == "group":
            yield (*place[:-1], place[-1] // group), place
        else:
            yield (() if granularity == "tensor" else (place[axis],)), place


for scheme in ("symmetric", "affine"):
    for granularity, axis, group, bits in (
        ("tensor", 0, 64, 4),
        ("channel", 0, 64, 8),
        ("channel", 1, 64, 5),
        ("channel", -1, 64, 3),
        ("group", 0, 4, 6),
        ("group", 1, 12, 7),
    ):
        x = rng.uniform(0.1, 1.0, (3, 5, 12)) * 2.0 ** rng.integers(-4, 5, (3, 5, 12))
        x[rng.random(x.shape) < 0.5] *= -1
        x[rng.integers(3), rng.integers(5), rng.integers(12)] = -33.0  # the largest is negative
        x[1, 2] = np.abs(x[1, 2])  # an all-positive stretch
        params = Quantizer(bits, scheme, granularity, axis, group).params(x.astype(np.float32))
        shared = {}
        for at, place in slices_of(x.shape, granularity, axis, group):
            shared.setdefault(at, [0.0]).append(float(np.float32(x[place])))
        what = f"{scheme}, {granularity}, axis {axis}, groups of {group}, {bits} bits"
        size = (
            tuple(int(n) + 1 for n in np.max(list(shared), axis=0))
            if granularity != "tensor"
            else ()
        )
        scale, zero_point = params.scale, params.zero_point
        assert scale.shape == size, f"{what}: scale has shape {scale.shape}, expected {size}"
        assert scale.dtype == np.float32 and zero_point.dtype == np.int32
        for at, values in shared.items():
            if scheme == "affine":
                width = (max(values) - min(values)) / (2**bits - 1)
                exact = -(2 ** (bits - 1)) - min(values) / width
            else:
                width, exact = max(map(abs, values)) / (2 ** (bits - 1) - 1), 0.0
            assert_close(scale[at], width, rtol=1e-6, atol=0, what=f"{what}: scale{list(at)}")
            assert abs(int(zero_point[at]) - exact) <= 0.5 + 1e-4, f"{what}: zero point{list(at)}"
        if granularity == "channel":
            assert params.axis % 3 == axis % 3 and params.group_size is None, what
        if granularity == "group":
            assert params.axis is None and params.group_size == group, what
flat = Quantizer(granularity="channel").params(np.array([-2.54, 1.27], np.float32))
assert_close(
    flat.scale, np.array([0.02, 0.01], np.float32), what="one axis: a scale for each value"
)
zeros = Quantizer(8, "affine", "channel").quantize(np.zeros((3, 4), np.float32))
assert_close(zeros.dequantize(), np.zeros((3, 4), np.float32), what="an array of zeros, back")
for constant in (4.5, -4.5):
    for scheme in ("symmetric", "affine"):
        one = Quantizer(8, scheme).quantize(np.full((2, 3), constant, np.float32)).dequantize()
        assert_close(
            one,
            np.full((2, 3), constant, np.float32),
            rtol=1e-6,
            what=f"the constant {constant}, {scheme}",
        )
for axis in (2, -3):
    expect_error(
        ValueError,
        Quantizer(granularity="channel", axis=axis).params,
        weight,
        mentions=(str(axis), "(2, 4)"),
    )
for name, wrong in (
    ("granularity", "row"),
    ("scheme", "asymmetric"),
    ("bits", 9),
    ("group_size", 0),
):
    expect_error(ValueError, Quantizer, mentions=(name, str(wrong)), **{name: wrong})
bad = weight.copy()
bad[1, 2] = np.nan
told = numbers_told(ValueError, Quantizer().params, bad)
assert {1, 2} <= set(told), f"NaN stands at (1, 2); the message tells {told}"
expect_error(TypeError, Quantizer().quantize, np.arange(3), mentions=("int64",))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_quantizer__tensor", "points": 3}
# Rejects: bytes of the integers alone, bytes of float32, values that are still floats, and a result that
# is further than half a step from the original.
weight = np.linspace(-1, 3, 24, dtype=np.float32).reshape(4, 6)
tensor = Quantizer(8, "affine", "channel").quantize(weight)
assert tensor.values.dtype == np.int8, f"the values are {tensor.values.dtype}; expected int8"
assert tensor.shape == (4, 6) and tensor.params.scale.shape == (4,)
assert_int(tensor.nbytes, 24 + 4 * 4 + 4 * 4, what="bytes of 24 values, 4 scales and 4 zero points")
error = np.abs(tensor.dequantize() - weight).max()
assert error <= 0.501 * 3 / 255, f"more than half a step away: {error}"
### BEGIN HIDDEN TESTS
rng = fresh("tensor")
for scheme in ("symmetric", "affine"):
    for granularity, scales in (("tensor", 1), ("channel", 9), ("group", 9 * 4)):
        for bits in (8, 4, 2):
            x = (rng.standard_normal((9, 20)) * 4.0 ** rng.integers(-3, 3, (9, 1))).astype(
                np.float32
            )
            tensor = Quantizer(bits, scheme, granularity, group_size=5).quantize(x)
            what = f"{scheme}, {granularity}, {bits} bits"
            values, scale = tensor.values, tensor.params.scale
            assert (
                values.dtype == np.int8 and values.shape == (9, 20) and tensor.shape == (9, 20)
            ), what
            assert values.min() >= -(2 ** (bits - 1)) and values.max() <= 2 ** (bits - 1) - 1, what
            assert_int(tensor.nbytes, 180 + 8 * scales, what=f"bytes of 180 values, {what}")
            shares = {"tensor": (1, 180), "channel": (9, 20), "group": (36, 5)}[granularity]
            rows = x.reshape(shares).astype(np.float64)
            if scheme == "affine":
                span = np.maximum(rows.max(1), 0) - np.minimum(rows.min(1), 0)
                step = span / (2**bits - 1)
            else:
                step = np.abs(rows).max(1) / (2 ** (bits - 1) - 1)
            off = np.abs(tensor.dequantize().reshape(shares) - rows).max(1)
            assert np.all(off <= 0.501 * step), f"{what}: more than half a step away"
            by_hand = (
                values.reshape(shares).astype(np.float64) - tensor.params.zero_point.reshape(-1, 1)
            ) * scale.reshape(-1, 1)
            assert_close(
                tensor.dequantize().reshape(shares), by_hand, rtol=1e-6, what=what, dtype=np.float32
            )
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_quantizer__files", "points": 3}
# Rejects: floats in the file, pickle, an axis or a zero point that is lost on the way, another file name.
weight = np.random.default_rng(0).normal(size=(32, 64)).astype(np.float32)
tensor = Quantizer(8, "affine", "channel", axis=1).quantize(weight)
after = inside(through_a_file, QuantizedTensor, tensor, "weight.q8")
assert after["files"] == ["weight.q8"], f"the folder holds {after['files']}"
assert after["file_bytes"] < 0.5 * weight.nbytes, (
    f"{after['file_bytes']} bytes for {weight.nbytes} of float32"
)
assert after["layout"] == (8, 1, None), f"bits, axis, group size: {after['layout']}"
assert_close(after["dequantized"], tensor.dequantize(), rtol=0, atol=0, what="what was loaded")
### BEGIN HIDDEN TESTS
rng = fresh("files")
for scheme, granularity, axis, bits in (
    ("symmetric", "tensor", 0, 8),
    ("symmetric", "group", 0, 4),
    ("affine", "channel", 0, 3),
    ("affine", "channel", 2, 8),
    ("affine", "group", 0, 2),
):
    x = rng.normal(size=(7, 24, 32)).astype(np.float32)
    x[0] += 2.0  # ranges that are not centred
    tensor = Quantizer(bits, scheme, granularity, axis=axis, group_size=16).quantize(x)
    after = inside(through_a_file, QuantizedTensor, tensor, "a tensor.npz")
    what = f"{scheme}, {granularity}, axis {axis}, {bits} bits, after a file"
    assert after["files"] == ["a tensor.npz"], f"{what}: the folder holds {after['files']}"
    assert_close(after["values"], tensor.values, rtol=0, atol=0, what=what, dtype=np.int8)
    assert_close(after["scale"], tensor.params.scale, rtol=0, atol=0, what=what, dtype=np.float32)
    assert_close(
        after["zero_point"], tensor.params.zero_point, rtol=0, atol=0, what=what, dtype=np.int32
    )
    channels = axis if granularity == "channel" else None
    groups = 16 if granularity == "group" else None
    assert after["layout"] == (bits, channels, groups), f"{what}: {after['layout']}"
    lowest = -(2 ** (bits - 1)) + (scheme == "symmetric")
    assert after["range"] == (lowest, 2 ** (bits - 1) - 1), f"{what}: integers {after['range']}"
    scales = {"tensor": 1, "channel": x.shape[axis], "group": x.size // 16}[granularity]
    limit = x.size + 8 * scales + 4096
    assert after["file_bytes"] <= limit, (
        f"{what}: {after['file_bytes']} bytes, expected at most {limit}"
    )
    assert "object" not in after["dtypes"].values(), f"{what}: the file holds pickled objects"
error, sprung = inside(springs_a_trap, QuantizedTensor, tensor)
assert not sprung and error == "ValueError", (
    f"a file with pickled objects: {error}, code ran: {sprung}"
)
expect_error(
    ValueError, inside, load_without, QuantizedTensor, tensor, "int8", mentions=("tensor.npz",)
)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_quantizer__error", "points": 3}
# Rejects: the mean of magnitudes, a sum in place of a mean, power decibels of amplitudes, sums in float16.
x = np.array([3.0, -4.0, 0.0, 5.0], np.float32)
assert_close(quantization_error(x, x + np.array([1, -1, 1, -1], np.float32)), 1.0, what="rms of ±1")
assert_close(
    quantization_error(x, x + np.array([2, 0, 0, 0], np.float32)), 1.0, what="rms of 2 0 0 0"
)
assert_close(sqnr_db(x, x * np.float32(0.9)), 20.0, rtol=1e-4, what="SQNR of an error of a tenth")
assert sqnr_db(x, x) == math.inf, "no error at all: infinity"
expect_error(ValueError, sqnr_db, x, x[:3], mentions=("(4,)", "(3,)"))
### BEGIN HIDDEN TESTS
rng = fresh("errors")
for size in (1, 10, 1000):
    x = rng.normal(size=size).astype(np.float32) + 1
    y = (x + rng.uniform(0.001, 0.9) * rng.normal(size=size)).astype(np.float32)
    squares = sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in zip(x, y, strict=True))
    assert_close(
        quantization_error(x, y), math.sqrt(squares / size), rtol=1e-6, what=f"rms of {size} values"
    )
    power = sum(Fraction(float(a)) ** 2 for a in x)
    expected = 10 * math.log10(power / squares)
    assert_close(sqnr_db(x, y), expected, rtol=1e-6, atol=1e-5, what=f"SQNR of {size} values")
    assert_close(
        sqnr_db(8 * x, 8 * y), expected, rtol=1e-6, atol=1e-5, what="SQNR of 8 times the same"
    )
grid = rng.uniform(1, 2, (300, 300)).astype(np.float16)
assert_close(
    quantization_error(grid, grid - np.float16(0.25)), 0.25, rtol=2e-3, what="rms in float16"
)
large = np.full((4, 4), 3e38, np.float32)
assert_close(quantization_error(large, -large), 6e38, rtol=1e-5, what="rms of a difference of 6e38")
zero = np.zeros((2, 3), np.float32)
assert sqnr_db(zero, zero) == math.inf and sqnr_db(zero, zero + 1) == -math.inf, "SQNR of zeros"
for check in (quantization_error, sqnr_db):
    expect_error(ValueError, check, zero, np.full((2, 3), np.nan, np.float32))
    expect_error(ValueError, check, np.full((2, 3), np.inf, np.float32), zero)
    expect_error(ValueError, check, zero[:0], zero[:0])
    expect_error(
        ValueError, check, zero, np.zeros((1, 3), np.float32), mentions=("(2, 3)", "(1, 3)")
    )
    expect_error(TypeError, check, zero, np.zeros((2, 3), np.int8), mentions=("int8",))
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: what a finer grain buys, and what it costs
#
# Every weight of `docs_gpt` and `digits_cnn` with two axes or more, in 8 and 4 bits, at three granularities. A convolution's
# weight (O, C, R, S) is laid out as (O, C·R·S) first. SQNR is in decibel: 20 dB more is an error ten times smaller.


# %% tags=["measure"]
def matrices_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {
        name: parameter.data.reshape(len(parameter.data), -1)  # (O, C, R, S) -> (O, C * R * S)
        for name, parameter in model.named_parameters()
        if parameter.data.ndim >= 2
    }


def group_for(length: int) -> int:
    """The largest group of at most 32 that divides a row."""
    return max(size for size in range(1, 33) if length % size == 0)


matrices = {"docs_gpt": matrices_of(gpt), "digits_cnn": matrices_of(cnn)}
rows_by_granularity = []
for model_name, weights in matrices.items():
    for bits in (8, 4):
        for granularity in ("tensor", "channel", "group"):
            for layer_name, matrix in weights.items():
                maker = Quantizer(
                    bits, "symmetric", granularity, group_size=group_for(matrix.shape[1])
                )
                stored = maker.quantize(matrix)
                rows_by_granularity.append(
                    {
                        "model": model_name,
                        "layer": layer_name,
                        "bits": bits,
                        "granularity": granularity,
                        "SQNR dB": round(sqnr_db(matrix, stored.dequantize()), 2),
                        "of float32": round(stored.nbytes / matrix.nbytes, 3),
                    }
                )


def sqnr_of(model_name: str, bits: int) -> dict[str, list[float]]:
    return {
        granularity: [
            row["SQNR dB"]
            for row in rows_by_granularity
            if (row["model"], row["bits"], row["granularity"]) == (model_name, bits, granularity)
        ]
        for granularity in ("tensor", "channel", "group")
    }


for model_name in matrices:
    at_4 = {name: float(np.median(values)) for name, values in sqnr_of(model_name, 4).items()}
    at_8 = {name: float(np.median(values)) for name, values in sqnr_of(model_name, 8).items()}
    share = {
        name: sum(
            row["of float32"] * matrices[model_name][row["layer"]].size
            for row in rows_by_granularity
            if (row["model"], row["bits"], row["granularity"]) == (model_name, 8, name)
        )
        / sum(matrix.size for matrix in matrices[model_name].values())
        for name in at_4
    }
    dashboards.show(
        dashboards.distribution(
            sqnr_of(model_name, 4),
            x_title="SQNR of one weight matrix (dB)",
            title=f"{model_name}, 4 bits: one dot a layer",
        ),
        summary=f"{model_name}, median over layers: 4 bits give {at_4['tensor']:.1f} dB with one scale a tensor, {at_4['channel']:.1f} a channel, "
        f"{at_4['group']:.1f} a group; 8 bits give {at_8['tensor']:.1f}, {at_8['channel']:.1f} and {at_8['group']:.1f}. Integers and scales "
        f"take {share['tensor']:.1%}, {share['channel']:.1%} and {share['group']:.1%} of the float32 bytes.",
        table=[
            row for row in rows_by_granularity if row["model"] == model_name and row["bits"] == 4
        ],
    )

# %% [markdown]
# Read the bytes too. A scale and a zero point are eight bytes. For a group of 32 that is a quarter more; for the 3 × 3 kernels of the
# small CNN, with groups of 9, the scales nearly outweigh the integers. Fine grain pays when rows are long.
#
# Four bits still take a byte each here. Packing two of them into one comes later in this module.

# %% [markdown]
# ## Exercise 3: calibration
#
# *Difficulty 4 of 5, 75 minutes, 13 points.*
#
# Weights are known when you quantize. **Activations**, what flows between the layers, are not: they depend on the input. So you run
# some typical inputs through the model first, watch the range, and fix the scale. This is **calibration**, and what watches is an
# **observer**.
#
# The obvious range, smallest to largest, is at the mercy of one outlier. Look at what really flows into the second Linear of a
# feed-forward layer of `docs_gpt`, after the GELU.


# %% tags=["measure"]
corpus = python_docs()
calibration_ids = np.array(corpus.encode(corpus.train[: 16 * 256])).reshape(4, 4, 256)
held_out_ids = np.array(corpus.encode(corpus.validation[: 8 * 256])).reshape(2, 4, 256)


def inputs_of_layer(layer: nn.Module, batches: np.ndarray) -> list[np.ndarray]:
    """What one layer of the GPT is given, a list entry a batch of (B, T) tokens."""
    seen: list[np.ndarray] = []

    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        seen.append(args[0].data.copy())

    handle = layer.register_forward_pre_hook(keep)
    try:
        with no_grad():
            for batch in batches:
                gpt(batch)  # (B, T) -> (B, T, V)
    finally:
        handle.remove()
    return seen


watched = gpt.blocks[2].feed_forward.fc2
calibration_activations = inputs_of_layer(watched, calibration_ids)  # each (B, T, 4C)
held_out = np.concatenate(inputs_of_layer(watched, held_out_ids))
seen = np.concatenate(calibration_activations)
deviation = (seen - seen.mean()) / seen.std()
quantiles = (0.5, 0.9, 0.99, 0.999, 0.9999, 1.0)
dashboards.show(
    dashboards.histogram(
        {"activations": seen},
        x_title="activation",
        bins=120,
        log=True,
        title="Into blocks.2.feed_forward.fc2 of docs_gpt",
    ),
    summary=f"{seen.size} activations from {seen.min():.2f} to {seen.max():.2f}. 99 % of them are below {np.quantile(seen, 0.99):.2f}; the "
    f"largest is {seen.max() / np.quantile(seen, 0.99):.1f} times that. The kurtosis is {np.mean(deviation**4):.0f} (a normal distribution has 3).",
    table=[
        {
            "share below": f"{quantile:.2%}",
            "activation": round(float(np.quantile(seen, quantile)), 4) + 0.0,
        }
        for quantile in quantiles
    ],
)
del deviation

# %% [markdown]
# Nearly all values crowd at zero, few reach far. If the range holds the farthest, the step is wide and everybody pays
# (*rounding error*). If it cuts them off, they are wrong by much, and only they pay (*clipping error*). Each observer below settles
# this differently.
#
# `Observer` is what they share. An observer must be safe: a batch with a NaN must not spoil what was seen before.


# %% nbgrader={"grade_id": "calibration__observer"}
#| export
class Observer(ABC):
    """Watches batches of values and answers with a range."""

    def __init__(self) -> None:
        self.batches = 0

    def observe(self, values: np.ndarray) -> None:
        """Take one batch into account.

        Args:
            values: floats of any shape, at least one; kept by no reference.

        Raises:
            TypeError: no array of floats.
            ValueError: an empty batch, or NaN or infinity. The observer is then as before.
        """
        # TODO:
        # 1. refuse what checked_array refuses, and an empty batch, before anything changes
        # 2. self._update(values), and count the batch
        ### BEGIN SOLUTION
        checked_array(values)
        if not values.size:
            raise ValueError(f"an empty batch, shape {values.shape}; expected at least one value")
        self._update(values)
        self.batches += 1
        ### END SOLUTION

    def range(self) -> tuple[float, float]:
        """The smallest and the largest value that the integers should stand for.

        Raises:
            ValueError: nothing was observed yet.
        """
        # TODO: refuse when no batch was counted; else self._range()
        ### BEGIN SOLUTION
        if not self.batches:
            raise ValueError(f"{type(self).__name__} has observed nothing; call observe(...) first")
        return self._range()
        ### END SOLUTION

    def params(self, bits: int = 8, scheme: str = "affine") -> QuantParams:
        """Parameters that cover the range.

        Args:
            bits: 2 to 8.
            scheme: "affine", or "symmetric": from the larger magnitude of both ends.

        Raises:
            ValueError: nothing was observed, another scheme, or wrong `bits`.
        """
        # TODO: affine_params or symmetric_params of the range
        ### BEGIN SOLUTION
        low, high = self.range()
        if scheme == "affine":
            return affine_params(low, high, bits)
        if scheme == "symmetric":
            return symmetric_params(max(abs(low), abs(high)), bits)
        raise ValueError(f'scheme is {scheme!r}; expected "affine" or "symmetric"')
        ### END SOLUTION

    @abstractmethod
    def _update(self, values: np.ndarray) -> None:
        """Take a batch that was checked into account."""

    @abstractmethod
    def _range(self) -> tuple[float, float]:
        """The range after at least one batch."""


class MinMaxObserver(Observer):
    """The smallest and the largest value of all batches.

    Example:
        >>> observer = MinMaxObserver()
        >>> observer.observe(np.array([1.0, 3.0]))
        >>> observer.observe(np.array([-0.5, 2.0]))
        >>> observer.range()
        (-0.5, 3.0)
    """

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = math.inf, -math.inf

    def _update(self, values: np.ndarray) -> None:
        # TODO: move self.low and self.high as far as this batch reaches; Python floats
        ### BEGIN SOLUTION
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))
        ### END SOLUTION

    def _range(self) -> tuple[float, float]:
        return self.low, self.high


class MovingAverageObserver(Observer):
    """A moving average of each batch's ends: new = momentum * old + (1 - momentum) * batch.

    The first batch counts in full.

    Args:
        momentum: how much the past weighs, from 0 to below 1.

    Raises:
        ValueError: another momentum.

    Example:
        >>> observer = MovingAverageObserver(momentum=0.75)
        >>> observer.observe(np.array([0.0, 4.0]))
        >>> observer.observe(np.array([-4.0, 8.0]))
        >>> observer.range()
        (-1.0, 5.0)
    """

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; expected a number from 0 to below 1")
        self.momentum = momentum
        self.low = self.high = 0.0

    def _update(self, values: np.ndarray) -> None:
        # TODO: self.batches is 0 for the first batch
        ### BEGIN SOLUTION
        past = self.momentum if self.batches else 0.0
        self.low = past * self.low + (1 - past) * float(values.min())
        self.high = past * self.high + (1 - past) * float(values.max())
        ### END SOLUTION

    def _range(self) -> tuple[float, float]:
        return self.low, self.high


# %% nbgrader={"grade_id": "test_calibration__observer", "points": 4}
# Rejects: the last batch alone, an average that starts from 0, momentum on the wrong side, a symmetric
# range from the right end alone, a bad batch that leaves traces.
plain, moving = MinMaxObserver(), MovingAverageObserver(momentum=0.75)
for observer in (plain, moving):
    expect_error(ValueError, observer.range, mentions=("observe",))
    observer.observe(np.array([[0.0, 4.0]], np.float32))
    observer.observe(np.array([-8.0, 2.0], np.float32))
assert_close(plain.range(), (-8.0, 4.0), what="range of both batches")
assert_close(moving.range(), (-2.0, 3.5), what="moving average, momentum 0.75")
params = plain.params(bits=8, scheme="affine")
assert_close(params.scale, np.array(12 / 255), what="affine scale of -8 to 4")
params = plain.params(bits=4, scheme="symmetric")
assert_close(params.scale, np.array(8 / 7), what="symmetric scale of -8 to 4, 4 bits")
expect_error(ValueError, plain.observe, np.zeros((0, 4), np.float32), mentions=("empty",))
### BEGIN HIDDEN TESTS
rng = fresh("observer")
momentum = float(rng.uniform(0.3, 0.95))
plain, moving, default = MinMaxObserver(), MovingAverageObserver(momentum), MovingAverageObserver()
ends = []
for turn in range(6):
    batch = (rng.normal(size=(3, 4, 5)) * (6 - turn) + 1).astype(np.float32)
    ordered = sorted(float(value) for value in batch.ravel())
    ends.append((ordered[0], ordered[-1]))
    for observer in (plain, moving, default):
        observer.observe(batch)
        for bad in (np.nan, np.inf, -np.inf):
            spoiled = batch * 100
            spoiled[1, 2, 3] = bad
            told = numbers_told(ValueError, observer.observe, spoiled)
            assert {1, 2, 3} <= set(told), f"{bad} stands at (1, 2, 3); the message tells {told}"
        expect_error(ValueError, observer.observe, batch[:0], mentions=("empty",))
        expect_error(TypeError, observer.observe, np.array([10**6]), mentions=("int64",))
expected = (min(end[0] for end in ends), max(end[1] for end in ends))
assert_close(plain.range(), expected, rtol=1e-7, what="smallest and largest of six batches")
for observer, keep in ((moving, momentum), (default, 0.9)):
    average = list(ends[0])
    for end in ends[1:]:
        average = [keep * old + (1 - keep) * new for old, new in zip(average, end, strict=True)]
    assert_close(
        observer.range(), tuple(average), rtol=1e-6, what=f"moving average, momentum {keep}"
    )
    low, high = average
    for bits in (3, 8):
        scale = observer.params(bits=bits).scale
        assert_close(scale, np.array((high - low) / (2**bits - 1)), what=f"affine, {bits} bits")
        scale = observer.params(bits, "symmetric").scale
        assert_close(
            scale,
            np.array(max(-low, high) / (2 ** (bits - 1) - 1)),
            what=f"symmetric, {bits} bits",
        )
for side in (1, -1):
    one = MinMaxObserver()
    one.observe(side * np.array([2.0, 6.0]))
    assert_close(
        one.params(8, "symmetric").scale, np.array(6 / 127), what=f"symmetric, {side} * (2 to 6)"
    )
    assert_int(
        one.params(8).zero_point[()],
        -128 if side == 1 else 127,
        what=f"zero point of {side} * (2 to 6)",
    )
never = MovingAverageObserver()
expect_error(ValueError, never.observe, np.array([np.nan]))
expect_error(ValueError, never.range, mentions=("observe",))
expect_error(ValueError, never.params)
expect_error(ValueError, plain.params, 8, "asymmetric", mentions=("asymmetric",))
for wrong in (1.0, -0.1):
    expect_error(ValueError, MovingAverageObserver, wrong, mentions=("momentum", str(wrong)))
### END HIDDEN TESTS

# %% [markdown]
# ### A histogram that grows
#
# The other observers need the *distribution*, and you cannot keep millions of activations. So keep a histogram. Its difficulty:
# when a larger value comes, its range must grow, and the values that were counted are gone.
#
# The way out: the width of a bin is always a power of two. When a value does not fit, double the width and merge bins in pairs,
# as often as needed. No count is lost or moved to a wrong bin, so **one batch or many, in any order, give the same histogram**.

# %%
#| export
BINS = 2048
"""Bins of a `RunningHistogram` on each side of 0."""


# %% nbgrader={"grade_id": "calibration__histogram"}
#| export
class RunningHistogram:
    """Counts of values in 2 * BINS equal bins around 0, whose width doubles when needed.

    Bin i counts the values from (i - BINS) * width up to, not including, (i - BINS + 1) * width.
    The histogram reaches from -2^exponent to 2^exponent, and `exponent` is the smallest, but at
    least -1000, for which every magnitude seen is below 2^exponent.

    Attributes:
        counts: int64 (2 * BINS,).
        exponent: see above.
        width: 2^exponent / BINS.

    Example:
        >>> histogram = RunningHistogram()
        >>> histogram.add(np.array([0.5, 0.75]))
        >>> histogram.add(np.array([-3.0]))
        >>> histogram.width * BINS, np.flatnonzero(histogram.counts).tolist()
        (4.0, [512, 2304, 2432])
    """

    def __init__(self) -> None:
        self.exponent = -1000
        self.counts = np.zeros(2 * BINS, np.int64)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0 / BINS, self.exponent)

    @property
    def edges(self) -> np.ndarray:
        """float64 (2 * BINS + 1,): where the bins begin and end."""
        return self.width * np.arange(-BINS, BINS + 1)

    def add(self, values: np.ndarray) -> None:
        """Count finite values of any shape."""
        # TODO:
        # 1. the largest magnitude; math.frexp tells the smallest power of two above it
        # 2. if the exponent must grow by k: bin i goes to bin ((i - BINS) >> k) + BINS. Add the
        #    counts up there (np.bincount with weights would make floats; np.add.at does not)
        # 3. the bin of each value: floor(value / width) + BINS, in float64
        # 4. add their counts
        ### BEGIN SOLUTION
        if not values.size:
            return
        needed = math.frexp(max(float(values.max()), -float(values.min())))[1]
        if needed > self.exponent:
            shift = min(needed - self.exponent, 62)
            merged = np.zeros_like(self.counts)
            np.add.at(merged, (np.arange(-BINS, BINS) >> shift) + BINS, self.counts)
            self.counts, self.exponent = merged, needed
        bins = np.floor(values.astype(np.float64).ravel() / self.width).astype(np.int64) + BINS
        self.counts += np.bincount(bins, minlength=2 * BINS)
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_calibration__histogram", "points": 3}
# Rejects: counts lost or moved when the range grows, negative values rounded towards 0, a range that
# depends on the order of the batches.
histogram = RunningHistogram()
histogram.add(np.array([0.5, 0.75, 0.75, -0.001], np.float32))
assert_close(histogram.width, 1 / BINS, what="width of a bin for magnitudes below 1")
assert_int(histogram.counts[BINS + 1536], 2, what="count of the bin that begins at 0.75")
assert_int(histogram.counts[BINS - 3], 1, what="count of the bin from -3 to -2 widths")
histogram.add(np.array([[-3.0]], np.float32))
assert_close(histogram.width, 4 / BINS, what="width of a bin for magnitudes below 4")
assert_int(
    histogram.counts[BINS + 384], 2, what="count of the bin that begins at 0.75, after growing"
)
assert_int(histogram.counts[BINS - 1], 1, what="count of the bin below 0, after growing")
assert_int(histogram.counts.sum(), 5, what="count of all bins")
### BEGIN HIDDEN TESTS
rng = fresh("histogram")
for batches in (
    [rng.normal(size=400), rng.normal(size=(20, 10)) * 40, rng.normal(size=100)],
    [np.zeros(7), rng.uniform(-1e-4, 1e-4, 200), rng.uniform(-1e-2, 1e-2, (3, 50)), -np.ones(2)],
    [np.array([1e-30, -1e-30]), np.array([0.3, -0.7]), np.array([5e30])],
    [np.array([-4.0]), np.array([3.999, 2.0, -2.0]), np.array([1.0, -1.0, 0.5, -0.5])],
):
    batches = [batch.astype(np.float32) for batch in batches]
    every = [float(value) for batch in batches for value in batch.ravel()]
    exponent = 0
    while any(abs(value) >= 2.0**exponent for value in every):
        exponent += 1
    while all(abs(value) < 2.0 ** (exponent - 1) for value in every):
        exponent -= 1
    width = Fraction(2) ** exponent / BINS
    truth = Counter(math.floor(Fraction(value) / width) + BINS for value in every)
    for order in (batches, batches[::-1], [np.array(every, np.float32)]):
        histogram = RunningHistogram()
        for batch in order:
            histogram.add(batch)
        assert_close(histogram.width, float(width), rtol=0, atol=0, what="width of a bin")
        counts = histogram.counts
        assert counts.shape == (2 * BINS,) and counts.dtype == np.int64, (
            f"{counts.shape}, {counts.dtype}"
        )
        filled = {int(i): int(counts[i]) for i in np.flatnonzero(counts)}
        assert filled == dict(truth), (
            f"{len(order)} batches: {len(filled)} bins are filled with {sum(filled.values())} values, "
            f"expected {len(truth)} with {len(every)}; some counts are lost or in other bins"
        )
### END HIDDEN TESTS

# %% [markdown]
# ### Three ways to cut
#
# - **percentile**: of the share outside, `(100 - percentile) / 2` percent may be cut off on each side.
# - **MSE**: try several clips, calculate the error of each from the histogram, take the best. A **clip** c cuts all magnitudes
#   above it: the range goes from max(smallest, -c) to min(largest, c).
# - **KL**: take the clip after which the distribution looks most like before. *Kullback-Leibler divergence* measures how
#   much one distribution P is missed by another Q: the sum of P·log(P / Q). Source: Szymon Migacz, *8-bit inference with
#   TensorRT*, GTC 2017.
#
# Zeros are exact in every format of this module, so the last two leave them out of their histogram.

# %% [markdown]
# For KL, take the counts of the magnitudes and keep the first n bins. **P** is these n counts, with everything beyond added to the
# last of them: that is what clipping does. **Q** is what few levels can still say: the n bins are merged into `levels` stretches,
# stretch j from bin ⌊j·n / levels⌋ up to bin ⌊(j + 1)·n / levels⌋, and each stretch spreads its kept counts (without what was
# beyond) evenly over those of its bins that have any. Both are divided by their sums. Where P > 0 and Q = 0 the divergence is
# infinite.


# %% nbgrader={"grade_id": "calibration__clipping"}
#| export
class HistogramObserver(MinMaxObserver):
    """What the observers that need a distribution share: both ends, and a histogram.

    Attributes:
        histogram: of the values, or of those that are not zero.
    """

    ignores_zeros = True

    def __init__(self) -> None:
        super().__init__()
        self.histogram = RunningHistogram()

    def _update(self, values: np.ndarray) -> None:
        super()._update(values)
        self.histogram.add(values[values != 0] if self.ignores_zeros else values)

    def _clipped(self, clip: float) -> tuple[float, float]:
        """The observed range without magnitudes above `clip`; never upside down."""
        return max(min(self.low, clip), -clip), min(max(self.high, -clip), clip)


class PercentileObserver(HistogramObserver):
    """A range that cuts off at most (100 - percentile) / 2 percent of the values on each side.

    It ends at edges of the histogram's bins, the tightest that cut no more than allowed, and never
    lies outside the smallest and the largest value.

    Args:
        percentile: above 0, at most 100.

    Raises:
        ValueError: another percentile.

    Example:
        >>> observer = PercentileObserver(98)
        >>> observer.observe(np.linspace(-1, 1, 10_000))
        >>> [round(end, 3) for end in observer.range()]
        [-0.98, 0.98]
    """

    ignores_zeros = False

    def __init__(self, percentile: float = 99.9) -> None:
        super().__init__()
        if not 0 < percentile <= 100:
            raise ValueError(f"percentile is {percentile}; expected above 0 and at most 100")
        self.percentile = percentile

    def _range(self) -> tuple[float, float]:
        # TODO:
        # 1. how many values may be cut off on each side
        # 2. np.cumsum from the left: the first bin at which more than that many are counted
        # 3. the same from the right
        # 4. the outer edges of these two bins, inside self.low and self.high
        ### BEGIN SOLUTION
        counts, edges = self.histogram.counts, self.histogram.edges
        allowed = counts.sum() * (100 - self.percentile) / 200
        first = int(np.argmax(np.cumsum(counts) > allowed))
        last = len(counts) - 1 - int(np.argmax(np.cumsum(counts[::-1]) > allowed))
        return max(self.low, float(edges[first])), min(self.high, float(edges[last + 1]))
        ### END SOLUTION


class MSEObserver(HistogramObserver):
    """The clip with the smallest mean squared error, judged by the histogram's bin centers.

    Args:
        bits: 2 to 8; the affine format the error is calculated for.

    Example:
        >>> observer = MSEObserver(bits=4)
        >>> observer.observe(np.append(np.linspace(-1, 1, 100_000), 30.0))
        >>> observer.range()[1] < 3
        True
    """

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        integer_range(bits)
        self.bits = bits

    def _range(self) -> tuple[float, float]:
        # TODO:
        # 1. the centers and counts of the bins that hold anything; none: the range as it is
        # 2. clips: the largest magnitude times 2^(-j / 16), for j from 0 to 160
        # 3. for each: affine_params of self._clipped(clip), and the squared error of the centers,
        #    weighted by the counts
        # 4. the range with the smallest error, the widest if several have it
        ### BEGIN SOLUTION
        filled = np.flatnonzero(self.histogram.counts)
        if not filled.size:
            return self.low, self.high
        counts = self.histogram.counts[filled]
        centers = (self.histogram.edges[filled] + self.histogram.width / 2).astype(np.float32)
        best, best_error = (self.low, self.high), math.inf
        for clip in max(-self.low, self.high) * 2.0 ** (-np.arange(161) / 16):
            low, high = self._clipped(float(clip))
            params = affine_params(low, high, self.bits)
            rounded = dequantize_array(quantize_array(centers, params), params)
            error = float(counts @ np.square(rounded - centers, dtype=np.float64))
            if error < best_error:
                best, best_error = (low, high), error
        return best
        ### END SOLUTION


def clipping_divergence(counts: np.ndarray, kept: int, levels: int) -> float:
    """How much a distribution of magnitudes suffers from a clip and from few levels.

    Args:
        counts: int64 (BINS,), counts of the magnitudes.
        kept: bins below the clip, `levels` to BINS.
        levels: stretches that the kept bins are merged into.

    Returns:
        The Kullback-Leibler divergence of Q from P, as told above, by the natural logarithm.

    Source:
        Szymon Migacz, 8-bit inference with TensorRT, GTC 2017.

    Example:
        >>> round(clipping_divergence(np.array([4, 2, 1, 1, 0, 2]), kept=4, levels=2), 4)
        0.1404
    """
    # TODO:
    # 1. P: the kept counts, and the rest added to the last
    # 2. where the stretches begin; np.add.reduceat sums each, of the counts and of counts > 0
    # 3. Q: np.repeat each stretch's mean over its bins, 0 where there is no count
    # 4. both divided by their sums; infinite if P reaches where Q does not (or Q is empty)
    # 5. the sum over P > 0
    ### BEGIN SOLUTION
    inside_clip = counts[:kept]
    p = inside_clip.astype(np.float64)
    p[-1] += counts[kept:].sum()
    starts = np.arange(levels + 1) * kept // levels
    sums = np.add.reduceat(inside_clip, starts[:-1])
    filled = np.add.reduceat((inside_clip > 0).astype(np.int64), starts[:-1])
    means = sums / np.maximum(filled, 1)
    q = np.where(inside_clip > 0, np.repeat(means, np.diff(starts)), 0.0)
    reached = p > 0
    if not np.all(q[reached] > 0):
        return math.inf
    p, q = p[reached] / p.sum(), q[reached] / q.sum()
    return float(np.sum(p * np.log(p / q)))
    ### END SOLUTION


class KLObserver(HistogramObserver):
    """The clip with the smallest `clipping_divergence`, for 2^(bits - 1) levels of magnitude.

    The clips are the upper edges of the histogram's bins, from bin 2^(bits - 1) to the last that
    holds anything; the widest if several are best.

    Args:
        bits: 2 to 8.

    Example:
        >>> observer = KLObserver()
        >>> observer.observe(np.append(np.random.default_rng(0).laplace(size=100_000), 90.0))
        >>> observer.range()[1] < 45
        True
    """

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        integer_range(bits)
        self.bits = bits

    def _range(self) -> tuple[float, float]:
        # TODO:
        # 1. counts of the magnitudes: bin i of the right half and its mirror image on the left
        # 2. nothing there: the range as it is
        # 3. the divergence for each number of bins to keep, and the best
        # 4. self._clipped at the upper edge of the last bin kept
        ### BEGIN SOLUTION
        counts = self.histogram.counts[BINS:] + self.histogram.counts[BINS - 1 :: -1]
        if not counts.any():
            return self.low, self.high
        levels = 2 ** (self.bits - 1)
        last = max(int(np.flatnonzero(counts)[-1]), levels - 1)
        choices = range(last + 1, levels - 1, -1)
        kept = min(choices, key=lambda n: clipping_divergence(counts, n, levels))
        return self._clipped(kept * self.histogram.width)
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_calibration__percentile", "points": 2}
# Rejects: the whole share cut off on each side, a range beyond what was seen, a cut of magnitudes alone.
values = np.append(np.linspace(0, 10, 9_999), 900.0)
whole, most = PercentileObserver(100), PercentileObserver(99)
for observer in (whole, most):
    observer.observe(values)
assert_close(whole.range(), (0.0, 900.0), what="percentile 100 is smallest to largest")
low, high = most.range()
width = 1024 / BINS
assert low >= 0.0 and high >= 9.95 and high <= 9.95 + 2 * width, (
    f"0.5 % cut off on each side: {low}, {high}"
)
expect_error(ValueError, PercentileObserver, 101, mentions=("101",))
### BEGIN HIDDEN TESTS
rng = fresh("percentile")
for percentile, count in ((99, 20_100), (90, 4_010), (99.8, 30_500)):
    for shape in ("both tails", "right", "left"):
        values = rng.normal(size=count)
        if shape == "both tails":
            values = values + 0.4 * values**3
        else:
            values = np.exp(values) * (1 if shape == "right" else -1)
        values = values[np.argsort(-np.abs(values))].astype(np.float32)  # the largest come first
        observer = PercentileObserver(percentile)
        for batch in np.split(values, [count // 3, count // 2]):
            observer.observe(batch)
        low, high = observer.range()
        allowed = count * (100 - percentile) / 200  # never a whole number here
        width = 2.0 ** math.frexp(float(np.abs(values).max()))[1] / BINS
        what = f"{shape}, percentile {percentile} of {count} values: range {low:.4f} to {high:.4f}"
        below, above = int((values < low).sum()), int((values > high).sum())
        assert below <= allowed and above <= allowed, (
            f"{what} cuts {below} and {above}, allowed {allowed}"
        )
        assert low >= values.min() and high <= values.max(), f"{what} is wider than what was seen"
        below, above = (
            int((values < low + 1.01 * width).sum()),
            int((values > high - 1.01 * width).sum()),
        )
        assert below > allowed and above > allowed, f"{what} could be a bin tighter"
        params = observer.params(8)
        assert_close(
            params.scale, np.array((max(high, 0) - min(low, 0)) / 255), what=f"scale, {what}"
        )
zeros = PercentileObserver()
zeros.observe(np.zeros((4, 5), np.float32))
assert_close(zeros.range(), (0.0, 0.0), what="range of zeros")
for wrong in (0, -1, 100.5):
    expect_error(ValueError, PercentileObserver, wrong, mentions=("percentile", str(wrong)))
expect_error(ValueError, PercentileObserver().range)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_calibration__mse", "points": 2}
# Rejects: clipping errors that do not count, rounding errors that do not count, bins that all weigh the
# same, a search for another number of bits.
observer, plain = MSEObserver(bits=4), MinMaxObserver()
for each in (observer, plain):
    each.observe(np.append(np.linspace(-1, 1, 100_000), [30.0]))
low, high = observer.range()
assert low == -1.0 and 0.8 < high < 3, (
    f"one value of 100001 is 30: the best range ends near 1, got {low}, {high}"
)
flat = MSEObserver(bits=4)
flat.observe(np.linspace(-1, 3, 100_000))
assert_close(flat.range(), (-1.0, 3.0), rtol=0.05, what="nothing to cut off")
### BEGIN HIDDEN TESTS
rng = fresh("mse")


def error_of(values, low, high, bits):
    """Mean squared error after 2^bits levels from low to high, 0 among them."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / (2**bits - 1)
    zero = round(-low / scale)
    level = np.clip(np.round(values / scale) + zero, 0, 2**bits - 1)
    return float(np.mean((scale * (level - zero) - values) ** 2))


half = np.minimum(-np.log1p(-(np.arange(20_000) + 0.5) / 20_000), 8)  # an exponential distribution
bulk = rng.permutation(np.append(half, -half))
far = np.array([30.0, 31.0, -29.0])
unit = 2.0 ** int(rng.integers(-6, 7))
for what, values, most in (
    ("both tails", np.concatenate([far, bulk]), 0.5),
    ("the right tail", np.abs(np.concatenate([far, bulk])), 0.5),
    ("the left tail", -np.abs(np.concatenate([far, bulk])), 0.5),
    ("a uniform distribution", rng.permutation(np.linspace(-1.9, 1, 40_000)), 1.03),
):
    values = values * unit
    for bits in (3, 4, 8):
        observer, plain = MSEObserver(bits), MinMaxObserver()
        for each in (observer, plain):
            for batch in np.split(values, [7_000, 30_000]):
                each.observe(batch)
        low, high = observer.range()
        lowest, highest = plain.range()
        assert lowest <= low <= high <= highest, f"{what}, {bits} bits: {low}, {high} is outside"
        found, whole = error_of(values, low, high, bits), error_of(values, lowest, highest, bits)
        limit = 1.03 if bits == 8 else most
        assert found <= limit * whole, (
            f"{what}, {bits} bits: error {found:.3g}, min-max has {whole:.3g}"
        )
        clips = max(-lowest, highest) * np.linspace(0.005, 1, 400)
        best = min(error_of(values, max(lowest, -c), min(highest, c), bits) for c in clips)
        assert found <= 1.1 * best, (
            f"{what}, {bits} bits: error {found:.3g}, possible is {best:.3g}"
        )
zeros = MSEObserver()
zeros.observe(np.zeros((4, 5), np.float32))
assert_close(zeros.range(), (0.0, 0.0), what="range of zeros")
for constant in (2.5, -2.5):
    one = MSEObserver()
    one.observe(np.full(50, constant))
    params = one.params()
    back = dequantize_array(quantize_array(np.full(1, constant), params), params)
    assert_close(
        back, np.full(1, constant, np.float32), rtol=0.02, what=f"the constant {constant}, back"
    )
expect_error(ValueError, MSEObserver, 9, mentions=("bits", "9"))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_calibration__kl", "points": 2}
# Rejects: what is clipped forgotten in P, or also counted in Q; stretches over empty bins; the negative
# half left out; twice as many levels.
counts = np.array([4, 2, 1, 1, 0, 2])
p, q = np.array([4, 2, 1, 3]) / 10, np.array([3, 3, 1, 1]) / 8
assert_close(
    clipping_divergence(counts, 4, 2), float(np.sum(p * np.log(p / q))), what="4 bins, 2 levels"
)
assert clipping_divergence(counts, 5, 2) == math.inf, (
    "only clipped values are in the fifth bin: infinite"
)
assert_close(clipping_divergence(counts, 6, 6), 0.0, what="nothing clipped, nothing merged")
observer = KLObserver()
observer.observe(np.append(np.random.default_rng(0).normal(size=50_000), 60.0))
low, high = observer.range()
assert -6 < low < -2 and 2 < high < 8, (
    f"one value of 50001 is 60: it should be cut off, got {low}, {high}"
)
### BEGIN HIDDEN TESTS
rng = fresh("kl")


def divergence_of(counts, kept, levels):
    """The oracle: a label for each bin, sums by label."""
    counts = counts.astype(np.float64)
    labels = ((np.arange(kept) + 1) * levels - 1) // kept
    own = counts[:kept]
    total, bins = np.bincount(labels, own), np.bincount(labels, own > 0)
    q = np.where(own > 0, (total / np.maximum(bins, 1))[labels], 0)
    p = own + np.where(np.arange(kept) == kept - 1, counts[kept:].sum(), 0)
    where = p > 0
    if (q[where] == 0).any():
        return math.inf
    return float(
        sum(
            a / p.sum() * math.log(a / p.sum() / (b / q.sum()))
            for a, b in zip(p[where], q[where], strict=True)
        )
    )


for levels, kept in ((2, 7), (8, 8), (16, 100), (128, 128), (128, 300), (128, BINS)):
    counts = rng.integers(1, 60, BINS) * (rng.random(BINS) < 0.7)
    counts[kept - 1], counts[min(kept, BINS - 1)] = 5, 11
    expected = divergence_of(counts, kept, levels)
    found = clipping_divergence(counts, kept, levels)
    assert_close(
        found, expected, rtol=1e-6, atol=1e-10, what=f"divergence, {kept} bins, {levels} levels"
    )
# The bulk fills 140 bins, one value lies far out: all cuts between them are infinitely bad. Of the 128
# levels 12 hold two bins, and these have equal counts, so that a cut after 140 costs next to nothing.
width = 2.0 ** int(rng.integers(-8, 4)) / BINS
starts = np.arange(129) * 140 // 128
sizes = rng.integers(30, 70, 140)
pairs = starts[:-1][np.diff(starts) == 2]
sizes[pairs + 1] = sizes[pairs]
bulk = rng.permutation(np.repeat(np.arange(140), sizes)) + 0.5
far = int(rng.integers(1500, 2000)) + 0.5
for side in ("both", "left"):
    signs = rng.choice([-1, 1], len(bulk)) if side == "both" else -1
    values = np.append(far * (-1 if side == "left" else 1), signs * bulk) * width
    values = np.concatenate([values, np.zeros(9_000)]).astype(np.float32)
    counts = np.bincount(np.floor(np.abs(values[values != 0]) / width).astype(int), minlength=BINS)
    observer = KLObserver()
    for batch in np.split(values, [1_000, 5_000]):
        observer.observe(batch)
    low, high = observer.range()
    assert values.min() <= low <= high <= values.max(), f"{side}: {low}, {high} is outside"
    possible = {n: divergence_of(counts, n, 128) for n in (*range(128, 141), int(far + 0.5))}
    best = min(possible, key=possible.get)
    clip = float(max(-low, high))
    assert_close(clip, best * width, rtol=1e-6, what=f"clip, {side}: the best is after {best} bins")
low_bits = KLObserver(bits=4)
low_bits.observe(np.array([far * width]))
low_bits.observe((np.repeat(np.arange(8), rng.integers(30, 70, 8)) + 0.5) * width)
assert_close(
    low_bits.range()[1], 8 * width, rtol=1e-6, what="4 bits, 8 filled bins and one far value"
)
even = KLObserver()
even.observe((np.arange(-BINS, BINS) + 0.5) * width)
assert_close(
    even.range(),
    (-(BINS - 0.5) * width, (BINS - 0.5) * width),
    what="a uniform distribution: nothing is cut",
)
zeros = KLObserver()
zeros.observe(np.zeros((4, 5), np.float32))
assert_close(zeros.range(), (0.0, 0.0), what="range of zeros")
expect_error(ValueError, KLObserver, 1, mentions=("bits", "1"))
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: five observers on a heavy tail
#
# The observers watch the activations of four batches of the training text. Then the range is fixed, and the error is
# measured on activations they have not seen, of the validation text.

# %% tags=["measure"]
calibrators: dict[str, Callable[[int], Observer]] = {
    "min-max": lambda bits: MinMaxObserver(),
    "moving average": lambda bits: MovingAverageObserver(),
    "percentile 99.9": lambda bits: PercentileObserver(99.9),
    "MSE": MSEObserver,
    "KL": KLObserver,
}
calibrated = []
for bits in (8, 6, 5, 4, 3):
    for name, make in calibrators.items():
        observer = make(bits)
        for batch in calibration_activations:
            observer.observe(batch)
        params = observer.params(bits)
        low, high = observer.range()
        approximation = dequantize_array(quantize_array(held_out, params), params)
        calibrated.append(
            {
                "calibrator": name,
                "bits": bits,
                "range": f"{low:.3f} to {high:.3f}",
                "cut off": f"{np.mean((held_out < low) | (held_out > high)):.3%}",
                "rms error": quantization_error(held_out, approximation),
                "SQNR dB": round(sqnr_db(held_out, approximation), 2),
            }
        )
best_by_bits = {
    bits: min((row for row in calibrated if row["bits"] == bits), key=lambda row: row["rms error"])
    for bits in (8, 4)
}
plain_by_bits = {row["bits"]: row for row in calibrated if row["calibrator"] == "min-max"}
dashboards.show(
    dashboards.scaling_curve(
        {
            name: [
                (row["bits"], row["rms error"]) for row in calibrated if row["calibrator"] == name
            ][::-1]
            for name in calibrators
        },
        x_title="bits",
        y_title="rms error on held-out activations",
        log="y",
        title="Calibrators on a heavy tail",
    ),
    summary="; ".join(
        f"at {bits} bits the smallest error has {row['calibrator']} ({row['SQNR dB']} dB; min-max {plain_by_bits[bits]['SQNR dB']} dB)"
        for bits, row in best_by_bits.items()
    )
    + ".",
    table=[{**row, "rms error": f"{row['rms error']:.5f}"} for row in calibrated],
)

# %% tags=["measure"]
# The grids that two of them lay over the same activations, at 4 bits.
for name in ("min-max", "MSE"):
    observer = calibrators[name](4)
    for batch in calibration_activations:
        observer.observe(batch)
    dashboards.show(
        dashboards.quantization_histogram(
            held_out,
            levels_of(observer.params(4)),
            observer.range(),
            title=f"Held-out activations and the 4-bit grid of {name}",
        )
    )

# %% [markdown]
# Three things to see. With 8 bits there are levels enough, and cutting hardly helps: an observer that cuts too much is **worse**
# than plain min-max. With few bits the step is what hurts, and the right cut gains decibels. And a percentile does not know how
# many bits you have: the same range is right for one width and wrong for another.
#
# KL loses here, at every width. It asks whether the distribution *looks* the same. After a GELU nearly all values crowd within
# a small distance of zero, so few far ones hardly change the look; but they carry most of the energy, and of the error. KL was made for
# distributions without such a crowd. A rule that won elsewhere is a guess here, until you measure.
#
# A small error of the tensor is not yet a good model. Whether the outliers you cut were the ones that mattered, only the model's own
# accuracy can say. That is where this module goes next.

# %%
#| export
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from tinytorch import Tensor, nn
from tinytorch import functional as F

# %%
from tito.testing import assert_close, assert_int, expect_error, fresh, inside

# %% [markdown]
# ### Tools of the tests for exercises 4 and 5
#
# The cell below holds what the next tests need: a plain loop over Python's integers that says what every quantized product
# must be, and a quantizer and an observer whose scales are powers of two, so that all of their arithmetic is exact.
# There is nothing to write in it.


# %% nbgrader={"grade_id": "given_tools_b"}
def loop_product(
    rows: np.ndarray,
    row_zero: int,
    weight: np.ndarray,
    weight_zeros: list[int],
) -> list[list[int]]:
    """Sums of (row - its zero point) * (weight - its zero point), in Python's unbounded integers."""
    result = []
    for row in rows.tolist():
        centred = [value - row_zero for value in row]
        line = []
        for kernel, zero in zip(weight.tolist(), weight_zeros, strict=True):
            total = 0
            for left, right in zip(centred, kernel, strict=True):
                total += left * (right - zero)
            line.append(total)
        result.append(line)
    return result


def loop_real(
    sums: list[list[int]], row_scale: float, weight_scales: list[float], bias: list[float] | None
) -> np.ndarray:
    """The real numbers (M, N) float32 that sums of integers stand for; Python's floats are float64."""
    result = [
        [
            total * (row_scale * scale) + (0.0 if bias is None else bias[n])
            for n, (total, scale) in enumerate(zip(line, weight_scales, strict=True))
        ]
        for line in sums
    ]
    return np.array(result, np.float64).astype(np.float32)


def loop_integers(
    sums: list[list[int]],
    row_scale: float,
    weight_scales: list[float],
    bias: list[float] | None,
    output: tuple[float, int, int],
) -> np.ndarray:
    """Integers (M, N) int8 of an output with (scale, zero point, bits); round() takes halves to even."""
    scale, zero, bits = output
    result = []
    for line in sums:
        wide = []
        for n, total in enumerate(line):
            value = total * (row_scale * weight_scales[n] / scale)
            if bias is not None:
                value += bias[n] / scale
            wide.append(min(max(round(value) + zero, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1))
        result.append(wide)
    return np.array(result, np.int64).astype(np.int8)


def loop_patches(
    images: np.ndarray, size: tuple[int, int], stride: int, padding: int, fill: int
) -> np.ndarray:
    """The pixels under each position of a kernel: (B * H' * W', C * R * S), cut out one by one."""
    rows, columns = size
    patches = []
    for image in images:
        wide = np.full(
            (image.shape[0], image.shape[1] + 2 * padding, image.shape[2] + 2 * padding), fill
        )
        wide[:, padding : padding + image.shape[1], padding : padding + image.shape[2]] = image
        for top in range(0, wide.shape[1] - rows + 1, stride):
            for left in range(0, wide.shape[2] - columns + 1, stride):
                patches.append(wide[:, top : top + rows, left : left + columns].ravel())
    return np.array(patches)


def power_of_two_above(largest: float, steps: int) -> float:
    """The smallest power of two of which `steps` reach `largest`."""
    return float(2.0 ** np.ceil(np.log2(max(largest, 1e-9) / steps)))


class PowerOfTwoQuantizer:
    """Rows on symmetric grids whose steps are powers of two: a quantizer for tests.

    With `shift`, every zero point is that number.
    """

    def __init__(self, bits: int = 8, shift: int = 0) -> None:
        self.bits = bits
        self.shift = shift

    def grid(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int8 values of the shape of x, and a float32 step for each row."""
        most = 2 ** (self.bits - 1) - 1
        rows = x.reshape(len(x), -1).astype(np.float64)
        steps = np.array(
            [power_of_two_above(float(abs(r).max()), most - abs(self.shift)) for r in rows]
        )
        values = np.rint(rows / steps[:, None]).astype(np.int64) + self.shift
        return values.astype(np.int8).reshape(x.shape), steps.astype(np.float32)

    def approximation(self, x: np.ndarray) -> np.ndarray:
        """What the grid makes of x, as float32."""
        values, steps = self.grid(x)
        wide = steps.reshape(-1, *[1] * (x.ndim - 1))
        return ((values.astype(np.int64) - self.shift) * wide).astype(np.float32)

    def params(self, x: np.ndarray) -> "QuantParams":
        """As a Quantizer's."""
        _, steps = self.grid(x)
        zeros = np.full(steps.shape, self.shift, np.int32)
        return QuantParams(scale=steps, zero_point=zeros, bits=self.bits, axis=0)

    def quantize(self, x: np.ndarray) -> "QuantizedTensor":
        """As a Quantizer's."""
        return QuantizedTensor(self.grid(x)[0], self.params(x))


class PowerOfTwoObserver:
    """Keeps the largest magnitude it saw: an observer for tests."""

    def __init__(self) -> None:
        self.largest = 0.0
        self.seen = 0

    def observe(self, x: np.ndarray) -> None:
        """See one batch."""
        self.largest = max(self.largest, float(abs(np.asarray(x)).max()))
        self.seen += 1

    def range(self) -> tuple[float, float]:
        """A symmetric range."""
        return -self.largest, self.largest

    def params(self, bits: int = 8, scheme: str = "affine") -> "QuantParams":
        """A step that is a power of two, and zero point 3."""
        if self.seen == 0:
            raise ValueError("nothing was observed; call observe(x) first")
        step = power_of_two_above(self.largest, 2 ** (bits - 1) - 4)
        return QuantParams(
            scale=np.array(step, np.float32), zero_point=np.array(3, np.int32), bits=bits
        )


class GroupsOfFour:
    """Rows in groups of four, each on a grid whose step is a power of two: a quantizer for tests."""

    def grid(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int8 values (V, C) with zero point 2, and float32 steps (V, C / 4)."""
        groups = x.reshape(len(x), -1, 4).astype(np.float64)
        steps = np.array(
            [[power_of_two_above(float(abs(group).max()), 120) for group in row] for row in groups]
        )
        values = np.rint(groups / steps[:, :, None]).astype(np.int64) + 2
        return values.astype(np.int8).reshape(x.shape), steps.astype(np.float32)

    def quantize(self, x: np.ndarray) -> "QuantizedTensor":
        """As a Quantizer's."""
        values, steps = self.grid(x)
        zeros = np.full(steps.shape, 2, np.int32)
        return QuantizedTensor(values, QuantParams(scale=steps, zero_point=zeros, group_size=4))


def tensor_on_grid(
    values: np.ndarray, scale: object, zero_point: object, axis: int | None = None, bits: int = 8
) -> "QuantizedTensor":
    """A QuantizedTensor of given integers."""
    params = QuantParams(
        scale=np.asarray(scale, np.float32),
        zero_point=np.asarray(zero_point, np.int32),
        bits=bits,
        axis=axis,
    )
    return QuantizedTensor(np.asarray(values, np.int8), params)


def random_int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Integers from the whole range of int8, both ends among them."""
    values = rng.integers(-128, 128, size=shape).astype(np.int8)
    values.flat[0], values.flat[-1] = -128, 127
    return values


# %% [markdown]
# ## Exercise 4: products of integers
#
# *Difficulty 4 of 5, 60 minutes, 17 points.*
#
# You can store a model in bytes. Now compute with the bytes. A quantized number means $s\,(q - z)$, so a product of two of
# them is a product of integers with one scale in front (arXiv:1712.05877, section 2.2):
#
# $$\sum_k s_x (q_x - z_x)\, s_w (q_w - z_w) = s_x s_w \Big(\sum_k q_x q_w - z_x \sum_k q_w - z_w \sum_k q_x + K z_x z_w\Big)$$
#
# The first sum is a plain matrix product of int8 numbers. The rest is the **zero-point correction**. It needs only sums of rows.

# %% [markdown]
# ### The accumulator has an end
#
# A product of two int8 numbers needs up to 15 bits, and a sum of K of them grows with K. The **accumulator** is the int32 that
# holds the sum. How long may a row be before the worst case, $(-128) \cdot (-128)$ in every place, no longer fits?
#
# Machines have instructions for the int8 product with an int32 sum. NumPy does not use them: its integer `@` is a plain loop.
# BLAS is fast, and knows floats alone. A float32 holds every whole number up to $2^{24}$ **exactly**. How many products
# of int8 numbers can you add before a float32 may round? Products of pieces that short are exact, in any order of the sum.


# %% nbgrader={"grade_id": "ops__product"}
#| export
Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""An integer product: int8 (M, K) and int8 (N, K) to int32 (M, N)."""


def max_inner_size(bits_a: int = 8, bits_b: int = 8) -> int:
    """The longest row whose sum of products is sure to fit an int32.

    Args:
        bits_a: bits of one side's signed integers, 2 to 8.
        bits_b: bits of the other side's.

    Raises:
        ValueError: bits outside 2 to 8.

    Example:
        >>> max_inner_size(8, 8)
        131071
    """
    # TODO:
    # 1. refuse bits below 2 or above 8, with the number given
    # 2. the largest product has the magnitude 2^(bits_a - 1) * 2^(bits_b - 1)
    # 3. how many of it stay at or below 2^31 - 1?
    ### BEGIN SOLUTION
    for bits in (bits_a, bits_b):
        if not 2 <= bits <= 8:
            raise ValueError(f"{bits} bits were given; quantized integers have 2 to 8")
    largest_product = 2 ** (bits_a - 1) * 2 ** (bits_b - 1)
    return int((2**31 - 1) // largest_product)
    ### END SOLUTION


def integer_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The exact product of integers, a @ b.T.

    Args:
        a: (M, K) int8.
        b: (N, K) int8, one row for each column of the result, as `nn.Linear` keeps its weight.

    Returns:
        (M, N) int32.

    Raises:
        TypeError: an operand that is not int8; the message names its dtype.
        ValueError: shapes that do not fit, or K above `max_inner_size(8, 8)`; the message has the
            numbers.

    Example:
        >>> a = np.array([[1, -128], [3, 4]], np.int8)
        >>> integer_matmul(a, np.array([[5, -128]], np.int8)).tolist()
        [[16389], [-497]]
    """
    # TODO:
    # 1. refuse what is not int8, not two-dimensional, of unequal K, or too long
    # 2. go through K in pieces in which a float32 sum is exact
    # 3. multiply each piece as float32 by `@`, and add the pieces up as int32
    # (Converting to int32 and one `@` is right as well, and many times slower.)
    ### BEGIN SOLUTION
    for name, array in (("a", a), ("b", b)):
        if array.dtype != np.int8:
            raise TypeError(f"{name} has dtype {array.dtype}; expected int8")
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"a {a.shape} and b {b.shape} do not fit; expected (M, K) and (N, K)")
    length = a.shape[1]
    if length > max_inner_size():
        raise ValueError(
            f"rows of {length} integers may overflow int32; at most {max_inner_size()} are safe: "
            "split the rows and add the parts as int64"
        )
    exact = 2**24 // 2**14  # products up to 2^14, exact sums up to 2^24
    result = np.zeros((a.shape[0], b.shape[0]), np.int32)  # (M, N)
    for start in range(0, length, exact):
        piece = slice(start, start + exact)
        left, right = a[:, piece].astype(np.float32), b[:, piece].astype(np.float32)
        result += (left @ right.T).astype(np.int32)  # (M, k) @ (k, N) -> (M, N)
    return result
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_ops__product", "points": 4}
# Rejects: sums in int8 or int16, float32 sums that round, int64 results, rows that may overflow,
# floats.
left = np.array([[127, -128, 5], [-1, 0, 2]], np.int8)
right = np.array([[-128, -128, 1], [3, 3, 3]], np.int8)
assert_close(
    integer_matmul(left, right),
    np.array([[133, 12], [130, 3]], np.int32),
    rtol=0,
    atol=0,
    what="integer_matmul of a small pair",
    dtype=np.int32,
)
assert_int(max_inner_size(8, 8), 131_071, what="max_inner_size(8, 8)")
longest = np.full((1, 131_071), -128, np.int8)
assert_close(
    integer_matmul(longest, longest),
    np.array([[131_071 * 2**14]], np.int32),
    rtol=0,
    atol=0,
    what="the longest row of the largest products",
    dtype=np.int32,
)
expect_error(
    TypeError, integer_matmul, left.astype(np.float32), right, mentions=("float32", "int8")
)
expect_error(ValueError, integer_matmul, left, right[:, :2], mentions=("(2, 3)", "(2, 2)"))
### BEGIN HIDDEN TESTS
rng = fresh("integer products")
for bits_a, bits_b in ((2, 2), (4, 8), (8, 4), (3, 7), (8, 2)):
    assert_int(
        max_inner_size(bits_a, bits_b),
        (2**31 - 1) // (2 ** (bits_a - 1) * 2 ** (bits_b - 1)),
        what=f"max_inner_size({bits_a}, {bits_b})",
    )
for bits in (0, 1, 9):
    expect_error(ValueError, max_inner_size, 8, bits, mentions=(str(bits),))
for m, n, k in ((1, 1, 1), (5, 3, 17), (2, 7, 1_024), (3, 2, 1_041), (2, 2, 5_001)):
    a, b = random_int8(rng, m, k), random_int8(rng, n, k)
    a[0, :], b[0, :] = 127, 127  # an odd sum beyond 2^24: no float32 holds it
    expected = np.array(loop_product(a, 0, b, [0] * n), np.int64)
    found = integer_matmul(a, b)
    assert_close(found, expected, rtol=0, atol=0, what=f"product of K = {k}", dtype=np.int32)
too_long = np.zeros((1, 131_072), np.int8)
expect_error(ValueError, integer_matmul, too_long, too_long, mentions=("131072", "131071"))
expect_error(TypeError, integer_matmul, left, right.astype(np.int32), mentions=("int32", "int8"))
expect_error(ValueError, integer_matmul, left[0], right, mentions=("(3,)",))
### END HIDDEN TESTS

# %% [markdown]
# ### Correct, rescale, requantize
#
# Two endings. Without `output` the result is float32: the integers times $s_x s_w$, plus the bias. With `output` the result is
# quantized again for the next layer, which is called **requantization**: divide by the output's scale $s_y$, round, add its
# zero point, saturate. No float32 matrix ever exists then.
#
# "Nearly the same" is no use here. A chip, a phone and your notebook should agree on every bit. So the arithmetic is fixed:
# float64 products in the order the docstring gives, halves to the even neighbour.


# %% nbgrader={"grade_id": "ops__matmul"}
#| export
def quantized_matmul(
    x: QuantizedTensor,
    weight: QuantizedTensor,
    bias: np.ndarray | None = None,
    output: QuantParams | None = None,
    kernel: Kernel = integer_matmul,
) -> np.ndarray | QuantizedTensor:
    """x @ weight.T + bias, with integers inside.

    Let acc be the integer sum of (q_x - z_x)(q_w - z_w). It can be larger than an int32, so it is
    an int64. All that follows is float64, in this order:

    - without `output`: acc * (s_x * s_w) + bias, then float32;
    - with `output`: acc * (s_x * s_w / s_y) + bias / s_y, rounded half to even, plus z_y, saturated.

    Args:
        x: (M, K), one scale for all.
        weight: (N, K), one scale for all or one for each row (axis 0), symmetric or affine.
        bias: (N,) real numbers, or None.
        output: scale and zero point of a quantized result; one scale for all.
        kernel: computes the product of the int8 values; see `Kernel`.

    Returns:
        (M, N) float32, or a QuantizedTensor with the parameters `output`.

    Raises:
        ValueError: shapes that do not fit, scales along the wrong axis or in groups, or K above
            `max_inner_size` of the operands' bits.

    Source: Jacob et al., arXiv:1712.05877, section 2.2.
    """
    # TODO:
    # 1. refuse shapes and parameters that do not fit: say what was given and what was expected
    # 2. the product of the int8 values by kernel(x.values, weight.values), as int64
    # 3. the zero-point correction, from row sums (they fit an int32; their products with zero points
    #    need an int64)
    # 4. without output: scale, add the bias, float32
    # 5. with output: scale, add the bias, np.rint, zero point, saturate to qmin ... qmax, int8
    ### BEGIN SOLUTION
    _check_operands(x, weight, bias, output)
    x_zero = x.params.zero_point.astype(np.int64)  # ()
    weight_zero = weight.params.zero_point.astype(np.int64)  # () or (N,)
    acc = kernel(x.values, weight.values).astype(np.int64)  # (M, N)
    if x_zero != 0:
        acc -= x_zero * weight.values.sum(axis=1, dtype=np.int32).astype(np.int64)  # (N,)
    if weight_zero.any():
        acc -= x.values.sum(axis=1, dtype=np.int32)[:, None] * weight_zero  # (M, 1) * (N,)
        acc += x.values.shape[1] * x_zero * weight_zero
    scale = x.params.scale.astype(np.float64) * weight.params.scale.astype(np.float64)
    if output is None:
        real = acc * scale if bias is None else acc * scale + bias.astype(np.float64)
        return real.astype(np.float32)
    output_scale = output.scale.astype(np.float64)
    steps = acc * (scale / output_scale)
    if bias is not None:
        steps += bias.astype(np.float64) / output_scale
    rounded = np.clip(np.rint(steps) + output.zero_point, output.qmin, output.qmax)
    return QuantizedTensor(rounded.astype(np.int8), output)
    ### END SOLUTION


def _check_operands(
    x: QuantizedTensor,
    weight: QuantizedTensor,
    bias: np.ndarray | None,
    output: QuantParams | None,
) -> None:
    """Refuse what `quantized_matmul` cannot multiply."""
    # TODO: raise ValueError with what was given and what was expected, for each of
    # 1. x or weight not two-dimensional, or of unequal K
    # 2. x (or output) with an axis or groups; weight with groups or an axis other than 0
    # 3. a bias that is not (N,)
    # 4. K above max_inner_size(x.params.bits, weight.params.bits)
    ### BEGIN SOLUTION
    x_shape, weight_shape = x.values.shape, weight.values.shape
    if len(x_shape) != 2 or len(weight_shape) != 2 or x_shape[1] != weight_shape[1]:
        raise ValueError(
            f"x {x_shape} and weight {weight_shape} do not fit; expected (M, K) and (N, K)"
        )
    for name, params in (("x", x.params), ("output", output)):
        if params is not None and (params.axis is not None or params.group_size is not None):
            raise ValueError(
                f"{name} has scales along axis {params.axis}, group size {params.group_size}; "
                "expected one scale for all: only then it can be taken out of the sum"
            )
    if weight.params.axis not in (None, 0) or weight.params.group_size is not None:
        raise ValueError(
            f"weight has scales along axis {weight.params.axis}, group size "
            f"{weight.params.group_size}; expected one for all or one for each row (axis 0)"
        )
    if bias is not None and bias.shape != weight_shape[:1]:
        raise ValueError(f"bias is {bias.shape}; expected {weight_shape[:1]}, one for each row")
    longest = max_inner_size(x.params.bits, weight.params.bits)
    if x_shape[1] > longest:
        raise ValueError(f"rows of {x_shape[1]} integers may overflow int32; at most {longest}")
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_ops__matmul", "points": 5}
# Bit by bit against loops over Python's integers. Rejects: a zero-point correction forgotten on one
# side, scales along the wrong axis, a correction in int32, halves rounded up, no saturation.
x_values = np.array([[10, -20, 30], [-128, 127, 0]], np.int8)
w_values = np.array([[1, 2, 3], [-4, 5, -6]], np.int8)
sums = loop_product(x_values, 7, w_values, [-3, 5])
real = quantized_matmul(
    tensor_on_grid(x_values, 0.1, 7),
    tensor_on_grid(w_values, [0.02, 0.7], [-3, 5], axis=0),
    np.array([0.25, -1.5], np.float32),
)
assert_close(
    real,
    loop_real(sums, float(np.float32(0.1)), np.float32([0.02, 0.7]).tolist(), [0.25, -1.5]),
    rtol=0,
    atol=0,
    what="an affine product with a bias",
    dtype=np.float32,
)
halves = quantized_matmul(
    tensor_on_grid([[1], [3], [5], [-1], [100]], 1.0, 0),
    tensor_on_grid([[1]], 1.0, 0),
    output=tensor_on_grid([[0]], 2.0, 100).params,
)
assert_close(
    halves.values,
    np.array([[100], [102], [102], [100], [127]], np.int8),
    rtol=0,
    atol=0,
    what="0.5, 1.5, 2.5, -0.5 and 50 steps, rounded half to even, plus 100, saturated",
    dtype=np.int8,
)
expect_error(
    ValueError,
    quantized_matmul,
    tensor_on_grid(x_values, 0.1, 7),
    tensor_on_grid(w_values[:, :2], 0.1, 0),
    mentions=("(2, 3)", "(2, 2)"),
)
### BEGIN HIDDEN TESTS
rng = fresh("quantized products")
operands: list[tuple[np.dtype, np.dtype]] = []


def watched_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """An integer product that notes what it was given."""
    operands.append((a.dtype, b.dtype))
    return (a.astype(np.int64) @ b.astype(np.int64).T).astype(np.int32)


for per_row, affine, biased, requantized in np.ndindex(2, 2, 2, 2):
    m, n, k = (int(v) for v in rng.integers(2, 7, size=3))
    qx, qw = random_int8(rng, m, k), random_int8(rng, n, k)
    x_scale, x_zero = np.float32(rng.uniform(0.001, 0.1)), int(rng.integers(1, 100))
    w_scales = rng.uniform(0.001, 0.1, size=n).astype(np.float32)
    w_zeros = rng.integers(1, 100, size=n) * affine
    if not per_row:
        w_scales[:], w_zeros[:] = w_scales[0], w_zeros[0]
    bias = rng.normal(size=n).astype(np.float32) if biased else None
    x = tensor_on_grid(qx, x_scale, x_zero)
    weight = tensor_on_grid(
        qw,
        w_scales if per_row else w_scales[0],
        w_zeros if per_row else w_zeros[0],
        axis=0 if per_row else None,
    )
    sums = loop_product(qx, x_zero, qw, w_zeros.tolist())
    known = (float(x_scale), w_scales.tolist(), None if bias is None else bias.tolist())
    case = f"per row {per_row}, affine {affine}, bias {biased}"
    if requantized:
        spread = loop_real(sums, *known)
        y_scale = np.float32(abs(spread).max() / 90)  # some results saturate, most do not
        y_zero = int(rng.integers(40, 60)) * (1 if rng.random() < 0.5 else -1)
        y_params = tensor_on_grid([0], y_scale, y_zero).params
        found = quantized_matmul(x, weight, bias, y_params, watched_kernel)
        expected = loop_integers(sums, *known, (float(y_scale), y_zero, 8))
        assert_close(found.values, expected, rtol=0, atol=0, what=case, dtype=np.int8)
        assert_close(found.params.scale, np.asarray(y_scale), rtol=0, atol=0, what="output scale")
    else:
        found = quantized_matmul(x, weight, bias, kernel=watched_kernel)
        expected = loop_real(sums, *known)
        assert_close(found, expected, rtol=0, atol=0, what=case, dtype=np.float32)
assert operands == [(np.dtype(np.int8), np.dtype(np.int8))] * 16, (
    f"the kernel gets int8 operands, once a product; got {operands}"
)
wide = tensor_on_grid(np.full((1, 40_000), 127), 1.0, -128)
assert_close(
    quantized_matmul(
        wide, tensor_on_grid(np.full((1, 40_000), 127), 1.0, -128), kernel=watched_kernel
    ),
    np.array([[40_000 * 255**2]], np.float32),
    rtol=0,
    atol=0,
    what="40000 products of 255 and 255, beyond int32 after the correction",
)
lifted = quantized_matmul(
    tensor_on_grid([[1]], 1.0, 0),
    tensor_on_grid([[1]], 1.0, 0),
    np.array([8.0], np.float32),
    tensor_on_grid([0], 2.0, 1).params,
)
assert_close(
    lifted.values,
    np.array([[5]], np.int8),
    rtol=0,
    atol=0,
    what="(1 + 8) / 2 = 4.5 to even, plus 1",
)
few = tensor_on_grid([[100, -100]], 1.0, 0)
narrow = quantized_matmul(
    few, tensor_on_grid([[1, 0], [0, 1]], 1.0, 0), output=tensor_on_grid([0], 1.0, 0, bits=4).params
)
assert_close(
    narrow.values, np.array([[7, -8]], np.int8), rtol=0, atol=0, what="saturation at 4 bits"
)
along_rows = tensor_on_grid(x_values, [0.1, 0.2], [0, 0], axis=0)
plain = tensor_on_grid(w_values, 0.1, 0)
expect_error(ValueError, quantized_matmul, along_rows, plain, mentions=("x", "axis"))
wrong_axis = tensor_on_grid(w_values, [0.1, 0.2, 0.3], [0, 0, 0], axis=1)
expect_error(
    ValueError,
    quantized_matmul,
    tensor_on_grid(x_values, 0.1, 7),
    wrong_axis,
    mentions=("weight", "axis"),
)
expect_error(
    ValueError,
    quantized_matmul,
    tensor_on_grid(x_values, 0.1, 7),
    plain,
    np.zeros(3, np.float32),
    mentions=("bias", "(3,)", "(2,)"),
)
### END HIDDEN TESTS

# %% [markdown]
# ### A convolution is the same product
#
# Each position of the kernel is a dot product of a patch with the kernel. Write the patches as rows (*im2col*), and a
# convolution is the product you have already.
#
# One trap. The image is padded with the number zero, and the **integer** for zero is the zero point. Padding with the integer 0
# would put a border of $-s\,z$ around every image.


# %% nbgrader={"grade_id": "ops__conv"}
#| export
def quantized_conv2d(
    x: QuantizedTensor,
    weight: QuantizedTensor,
    bias: np.ndarray | None = None,
    stride: int = 1,
    padding: int = 0,
    output: QuantParams | None = None,
    kernel: Kernel = integer_matmul,
) -> np.ndarray | QuantizedTensor:
    """A convolution with integers inside; the arithmetic is that of `quantized_matmul`.

    Args:
        x: (B, C, H, W), one scale for all.
        weight: (O, C, R, S), one scale for all or one for each output channel (axis 0).
        bias: (O,) real numbers, or None.
        stride: distance between two positions.
        padding: rows and columns of zeros around each image.
        output: scale and zero point of a quantized result.
        kernel: computes the product of the int8 values.

    Returns:
        (B, O, H', W') float32, or a QuantizedTensor with the parameters `output`.

    Raises:
        ValueError: shapes that do not fit, a stride below 1, a padding below 0, or a kernel larger
            than the padded image.

    Source: im2col, Chellapilla, Puri and Simard, "High Performance Convolutional Neural Networks
        for Document Processing", 2006.
    """
    # TODO:
    # 1. refuse what does not fit, with the shapes given
    # 2. pad the integers with the integer that means zero
    # 3. patches as rows (B * H' * W', C * R * S), kernels as rows (O, C * R * S)
    # 4. quantized_matmul, and back to (B, O, H', W')
    ### BEGIN SOLUTION
    _check_images(x.values.shape, weight.values.shape, stride, padding)
    batch, out_channels = x.values.shape[0], weight.values.shape[0]
    border = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x.values, border, constant_values=int(x.params.zero_point))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.values.shape[2:], (2, 3))
    windows = windows[:, :, ::stride, ::stride]  # (B, C, H', W', R, S)
    height, width = windows.shape[2:4]
    kernels = QuantizedTensor(weight.values.reshape(out_channels, -1), weight.params)  # (O, CRS)
    rows = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, kernels.values.shape[1])  # (BH'W', CRS)
    flat = quantized_matmul(QuantizedTensor(rows, x.params), kernels, bias, output, kernel)
    values = flat if isinstance(flat, np.ndarray) else flat.values  # (BH'W', O)
    images = values.reshape(batch, height, width, out_channels).transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(images)  # (B, O, H', W')
    return images if output is None else QuantizedTensor(images, output)
    ### END SOLUTION


def _check_images(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], stride: int, padding: int
) -> None:
    """Refuse what `quantized_conv2d` cannot convolve."""
    # TODO: ValueError, with what was given, for
    # 1. not (B, C, H, W) and (O, C, R, S) with the same C
    # 2. stride below 1, padding below 0
    # 3. a kernel larger than the padded image
    ### BEGIN SOLUTION
    if len(x_shape) != 4 or len(weight_shape) != 4 or x_shape[1] != weight_shape[1]:
        raise ValueError(
            f"x {x_shape} and weight {weight_shape} do not fit; expected (B, C, H, W) and "
            "(O, C, R, S) with the same C"
        )
    if stride < 1 or padding < 0:
        raise ValueError(
            f"stride is {stride} and padding {padding}; expected at least 1 and at least 0"
        )
    for size, window in zip(x_shape[2:], weight_shape[2:], strict=True):
        if size + 2 * padding < window:
            raise ValueError(
                f"the kernel {weight_shape[2:]} is larger than the image {x_shape[2:]} with "
                f"padding {padding}"
            )
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_ops__conv", "points": 4}
# Bit by bit against patches cut out one by one. Rejects: padding with the integer 0, a forgotten
# stride, channels in the wrong order, scales along the wrong axis.
image = tensor_on_grid(np.full((1, 1, 2, 2), 9), 0.5, 9)  # an image of zeros
ones = tensor_on_grid(np.ones((1, 1, 3, 3)), 1.0, 0)
assert_close(
    quantized_conv2d(image, ones, padding=1),
    np.zeros((1, 1, 2, 2), np.float32),
    rtol=0,
    atol=0,
    what="a padded image of zeros",
    dtype=np.float32,
)
ramp = tensor_on_grid(np.arange(16).reshape(1, 1, 4, 4), 1.0, 0)
assert_close(
    quantized_conv2d(ramp, ones, stride=1),
    np.array([[[[45, 54], [81, 90]]]], np.float32),
    rtol=0,
    atol=0,
    what="sums over 3x3 windows of 0 ... 15",
)
expect_error(ValueError, quantized_conv2d, ramp, ones, stride=0, mentions=("stride", "0"))
expect_error(
    ValueError,
    quantized_conv2d,
    ramp,
    tensor_on_grid(np.ones((1, 2, 3, 3)), 1.0, 0),
    mentions=("(1, 1, 4, 4)", "(1, 2, 3, 3)"),
)
### BEGIN HIDDEN TESTS
rng = fresh("quantized convolutions")
for stride, padding, size, requantized in (
    (1, 1, (3, 3), False),
    (2, 0, (2, 3), True),
    (2, 1, (3, 2), False),
    (1, 2, (3, 3), True),
):
    b, c, o = 2, 3, 4
    height, width = 6, 5
    qx, qw = random_int8(rng, b, c, height, width), random_int8(rng, o, c, *size)
    x_scale, x_zero = np.float32(rng.uniform(0.001, 0.002)), int(rng.integers(20, 100))
    w_scales = rng.uniform(0.001, 0.002, size=o).astype(np.float32)
    w_zeros = rng.integers(1, 50, size=o)
    bias = (rng.uniform(30, 60, size=o) * rng.choice([-1, 1], size=o)).astype(np.float32)
    patches = loop_patches(qx, size, stride, padding, x_zero)
    sums = loop_product(patches, x_zero, qw.reshape(o, -1), w_zeros.tolist())
    known = (float(x_scale), w_scales.tolist(), bias.tolist())
    out_height = (height + 2 * padding - size[0]) // stride + 1
    out_width = (width + 2 * padding - size[1]) // stride + 1
    x, weight = tensor_on_grid(qx, x_scale, x_zero), tensor_on_grid(qw, w_scales, w_zeros, axis=0)
    case = f"kernel {size}, stride {stride}, padding {padding}"
    if requantized:
        y_scale = np.float32(abs(loop_real(sums, *known)).max() / 90)
        expected = loop_integers(sums, *known, (float(y_scale), -30, 8))
        y_params = tensor_on_grid([0], y_scale, -30).params
        found = quantized_conv2d(x, weight, bias, stride, padding, y_params).values
    else:
        expected = loop_real(sums, *known)
        found = quantized_conv2d(x, weight, bias, stride, padding)
    expected = expected.reshape(b, out_height, out_width, o).transpose(0, 3, 1, 2)
    assert_close(found, expected, rtol=0, atol=0, what=case, dtype=expected.dtype)
expect_error(ValueError, quantized_conv2d, ramp, ones, padding=-1, mentions=("padding", "-1"))
small = tensor_on_grid(np.ones((1, 1, 2, 2)), 1.0, 0)
expect_error(ValueError, quantized_conv2d, small, ones, mentions=("(3, 3)", "(2, 2)"))
### END HIDDEN TESTS

# %% [markdown]
# ### Layers that keep bytes
#
# A quantized layer is an `nn.Module` whose weight is an int8 **buffer**: state that is stored and loaded, and not learned.
# `QuantizedLayer`, given below, keeps the weight's arrays and puts them together again as a `QuantizedTensor`.
# A zero point that is zero everywhere needs no array.
#
# What of the input? With **static** quantization its scale was found by calibration and is fixed: larger inputs saturate.
# With **dynamic** quantization (no `input_params`) each call looks at its own smallest and largest value.


# %%
#| export
class QuantizedLayer(nn.Module):
    """Keeps a quantized weight, a bias, and the parameters of the input as buffers.

    Args:
        weight: the quantized weight.
        bias: real numbers, or None.
        input_params: fixed parameters of the input; None: each call finds its own.
        kernel: computes products of int8 values.
    """

    weight: Tensor
    weight_scale: Tensor

    def __init__(
        self,
        weight: QuantizedTensor,
        bias: np.ndarray | None = None,
        input_params: QuantParams | None = None,
        kernel: Kernel | None = None,
    ) -> None:
        self.kernel = integer_matmul if kernel is None else kernel
        self._weight_layout = _layout_of(weight.params)
        self._input_layout = None if input_params is None else _layout_of(input_params)
        self._keep("weight", weight.values)
        self._keep("weight_scale", weight.params.scale)
        if np.any(weight.params.zero_point):
            self._keep("weight_zero_point", weight.params.zero_point)
        if bias is not None:
            self._keep("bias", bias)
        if input_params is not None:
            self._keep("input_scale", input_params.scale)
            self._keep("input_zero_point", input_params.zero_point)

    def _keep(self, name: str, array: np.ndarray) -> None:
        self.register_buffer(name, Tensor(np.array(array)))

    def _kept(self, name: str) -> np.ndarray | None:
        return np.asarray(getattr(self, name).data) if name in self._buffers else None

    @property
    def quantized_weight(self) -> QuantizedTensor:
        """The weight with its parameters; no copy."""
        scale, zero_point = self.weight_scale.data, self._kept("weight_zero_point")
        if zero_point is None:
            zero_point = np.zeros(scale.shape, np.int32)
        params = QuantParams(scale=scale, zero_point=zero_point, **self._weight_layout)
        return QuantizedTensor(self.weight.data, params)

    @property
    def bias_values(self) -> np.ndarray | None:
        """The bias as an array, or None."""
        return self._kept("bias")

    @property
    def input_params(self) -> QuantParams | None:
        """The fixed parameters of the input, or None for a dynamic layer."""
        scale, zero_point = self._kept("input_scale"), self._kept("input_zero_point")
        if scale is None or zero_point is None or self._input_layout is None:
            return None
        return QuantParams(scale=scale, zero_point=zero_point, **self._input_layout)

    def extra_repr(self) -> str:
        """Shape and bits of the weight, and how the input is quantized."""
        way = "dynamic" if self._input_layout is None else "static"
        return f"{self.weight.shape}, {self._weight_layout['bits']} bits, {way}"


def _layout_of(params: QuantParams) -> dict[str, Any]:
    """All that parameters hold besides their two arrays: bits, axis, groups."""
    arrays = ("scale", "zero_point")
    return {
        each.name: getattr(params, each.name) for each in fields(params) if each.name not in arrays
    }


# %% nbgrader={"grade_id": "ops__layers"}
#| export
def quantized_input(x: np.ndarray, params: QuantParams | None) -> QuantizedTensor:
    """The input of a layer as int8 numbers.

    Args:
        x: real numbers of any shape, at least one.
        params: fixed parameters, or None: affine, 8 bits, from the smallest and largest value of
            this x.

    Raises:
        ValueError: no values to find a range of, or (from `quantize_array`) NaN or infinity.
    """
    # TODO: find the parameters if there are none, then quantize_array
    ### BEGIN SOLUTION
    if params is None:
        if x.size == 0:
            raise ValueError(f"x is empty, shape {x.shape}; a dynamic range needs a value")
        params = affine_params(float(x.min()), float(x.max()), bits=8)
    return QuantizedTensor(quantize_array(x, params), params)
    ### END SOLUTION


class QuantizedLinear(QuantizedLayer):
    """`nn.Linear` with an int8 weight (N, K) and integer arithmetic."""

    @classmethod
    def from_float(
        cls,
        linear: nn.Linear,
        input_params: QuantParams | None,
        quantizer: Quantizer,
        kernel: Kernel | None = None,
    ) -> "QuantizedLinear":
        """Quantize a layer; the layer itself stays as it is.

        Args:
            linear: weight (N, K), with or without a bias.
            input_params: fixed parameters of the input; None: dynamic.
            quantizer: for the weight; per tensor, or per channel along axis 0.
            kernel: computes products of int8 values; None: `integer_matmul`.
        """
        # TODO: quantize the weight; cls(weight, bias, input_params, kernel)
        ### BEGIN SOLUTION
        bias = None if linear.bias is None else linear.bias.data
        return cls(quantizer.quantize(linear.weight.data), bias, input_params, kernel)
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N) float32."""
        # TODO:
        # 1. the input as rows (M, K), quantized
        # 2. quantized_matmul with this layer's weight, bias and kernel
        # 3. back to (..., N), as a Tensor
        ### BEGIN SOLUTION
        inputs = quantized_input(x.data, self.input_params)
        rows = QuantizedTensor(inputs.values.reshape(-1, x.shape[-1]), inputs.params)  # (M, K)
        weight = self.quantized_weight
        y = quantized_matmul(rows, weight, self.bias_values, kernel=self.kernel)  # (M, N)
        return Tensor(np.asarray(y).reshape(*x.shape[:-1], weight.values.shape[0]))  # (..., N)
        ### END SOLUTION


class QuantizedConv2d(QuantizedLayer):
    """`nn.Conv2d` with an int8 weight (O, C, R, S) and integer arithmetic."""

    stride: int = 1
    padding: int = 0

    @classmethod
    def from_float(
        cls,
        conv: nn.Conv2d,
        input_params: QuantParams | None,
        quantizer: Quantizer,
        kernel: Kernel | None = None,
    ) -> "QuantizedConv2d":
        """Quantize a layer; the layer itself stays as it is. Arguments as for QuantizedLinear."""
        # TODO: as above; keep stride and padding
        ### BEGIN SOLUTION
        bias = None if conv.bias is None else conv.bias.data
        layer = cls(quantizer.quantize(conv.weight.data), bias, input_params, kernel)
        layer.stride, layer.padding = conv.stride, conv.padding
        return layer
        ### END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W') float32."""
        # TODO: quantize the input, quantized_conv2d, a Tensor
        ### BEGIN SOLUTION
        images = quantized_conv2d(
            quantized_input(x.data, self.input_params),
            self.quantized_weight,
            self.bias_values,
            self.stride,
            self.padding,
            kernel=self.kernel,
        )
        return Tensor(np.asarray(images))  # (B, O, H', W')
        ### END SOLUTION


class QuantizedEmbedding(QuantizedLayer):
    """`nn.Embedding` with an int8 table (V, C). Only the rows that are asked for become real."""

    @classmethod
    def from_float(cls, embedding: nn.Embedding, quantizer: Quantizer) -> "QuantizedEmbedding":
        """Quantize a table; the layer itself stays as it is.

        Args:
            embedding: weight (V, C).
            quantizer: per tensor, per channel along axis 0 (a scale for each id), or in groups.
        """
        # TODO: quantize the table
        ### BEGIN SOLUTION
        return cls(quantizer.quantize(embedding.weight.data))
        ### END SOLUTION

    def forward(self, ids: F.Ids) -> Tensor:
        """Whole numbers of any shape (...) -> (..., C) float32."""
        # TODO:
        # 1. the int8 rows of the ids: F.embedding takes an int8 table and checks the ids
        # 2. their scales and zero points: one for all, one a row, or one for each group of a row
        # 3. (q - z) * s in float32
        ### BEGIN SOLUTION
        rows = F.embedding(ids, self.weight).data  # (..., C)
        picked = np.asarray(ids.data if isinstance(ids, Tensor) else ids)
        params = self.quantized_weight.params
        scale, zero_point = params.scale, params.zero_point
        if params.group_size is not None:
            scale = scale[picked].repeat(params.group_size, axis=-1)  # (..., C)
            zero_point = zero_point[picked].repeat(params.group_size, axis=-1)
        elif params.axis == 0:
            scale, zero_point = scale[picked][..., None], zero_point[picked][..., None]  # (..., 1)
        return Tensor(((rows.astype(np.int32) - zero_point) * scale).astype(np.float32))
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_ops__layers", "points": 4}
# Rejects: a dynamic range kept from the first call, a static range that is ignored, a lost bias,
# float weights, a layer that never calls its kernel, the table's scales taken for the wrong rows.
rng = np.random.default_rng(16)
linear = nn.Linear(6, 4, rng=rng)
linear.weight.data *= 4 ** np.arange(4, dtype=np.float32)[:, None]  # each row its own scale
before = linear.weight.data.copy()
static = QuantizedLinear.from_float(
    linear, tensor_on_grid([0], 2**-4, 3).params, PowerOfTwoQuantizer()
)
levels = rng.integers(-60, 60, size=(2, 3, 6))
kept, steps = PowerOfTwoQuantizer().grid(linear.weight.data)
sums = loop_product(levels.reshape(6, 6) + 3, 3, kept, [0] * 4)
assert_close(
    static(Tensor((levels * 2.0**-4).astype(np.float32))).data,
    loop_real(sums, 2.0**-4, steps.tolist(), linear.bias.data.tolist()).reshape(2, 3, 4),
    rtol=0,
    atol=0,
    what="a static QuantizedLinear",
    dtype=np.float32,
)
assert_close(linear.weight.data, before, rtol=0, atol=0, what="the weight of the float layer")
stored = static.state_dict()["weight"].data
assert_close(stored, kept, rtol=0, atol=0, what='state_dict()["weight"]', dtype=np.int8)
expect_error(ValueError, static, Tensor(np.zeros((2, 5), np.float32)), mentions=("5", "6"))
### BEGIN HIDDEN TESTS
rng = fresh("quantized layers")
seen: list[tuple[int, ...]] = []


def counting_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """An integer product that notes the shapes it was given."""
    seen.append((*a.shape, *b.shape))
    return (a.astype(np.int64) @ b.astype(np.int64).T).astype(np.int32)


linear = nn.Linear(7, 5, bias=False, rng=rng)
linear.weight.data *= 8 ** np.arange(5, dtype=np.float32)[:, None]
shifted = PowerOfTwoQuantizer(shift=9)
dynamic = QuantizedLinear.from_float(linear, None, shifted, counting_kernel)
kept, steps = shifted.grid(linear.weight.data)
for step in (2.0**-3, 2.0**-9, 2.0**-1):
    levels = rng.integers(-99, 155, size=(4, 7))
    levels[0, :2] = -100, 155  # a range of 255 steps: the scale is exact
    sums = loop_product(levels - 28, -28, kept, [9] * 5)
    assert_close(
        dynamic(Tensor((levels * step).astype(np.float32))).data,
        loop_real(sums, step, steps.tolist(), None),
        rtol=0,
        atol=0,
        what=f"a dynamic QuantizedLinear, inputs from {-100 * step} to {155 * step}",
        dtype=np.float32,
    )
assert seen == [(4, 7, 5, 7)] * 3, f"the kernel gets (M, K) and (N, K), once a call; got {seen}"
conv = nn.Conv2d(2, 3, 3, stride=2, padding=1, rng=rng)
conv.weight.data *= 8 ** np.arange(3, dtype=np.float32)[:, None, None, None]
static = QuantizedConv2d.from_float(
    conv, tensor_on_grid([0], 2**-5, -20).params, PowerOfTwoQuantizer(bits=4)
)
levels = rng.integers(-100, 130, size=(2, 2, 5, 5))
kept, steps = PowerOfTwoQuantizer(bits=4).grid(conv.weight.data)
patches = loop_patches(levels - 20, (3, 3), 2, 1, -20)
sums = loop_product(patches, -20, kept.reshape(3, -1), [0] * 3)
expected = loop_real(sums, 2.0**-5, steps.tolist(), conv.bias.data.tolist())
assert_close(
    static(Tensor((levels * 2.0**-5).astype(np.float32))).data,
    expected.reshape(2, 3, 3, 3).transpose(0, 3, 1, 2),
    rtol=0,
    atol=0,
    what="a static QuantizedConv2d",
    dtype=np.float32,
)
table = nn.Embedding(9, 8, rng=rng)
table.weight.data *= np.arange(1, 10, dtype=np.float32)[:, None] ** 3  # each row its own range
ids = rng.permutation(np.arange(9).repeat(2))[:12].reshape(3, 4)
found = QuantizedEmbedding.from_float(table, shifted)(ids).data
expected = shifted.approximation(table.weight.data)[ids]
assert_close(found, expected, rtol=0, atol=0, what="a QuantizedEmbedding", dtype=np.float32)
found = QuantizedEmbedding.from_float(table, GroupsOfFour())(ids).data
kept, steps = GroupsOfFour().grid(table.weight.data)
wide = (kept.reshape(9, 2, 4).astype(np.int64) - 2) * steps[:, :, None]
expected = wide.reshape(9, 8)[ids].astype(np.float32)
assert_close(found, expected, rtol=0, atol=0, what="a QuantizedEmbedding in groups")
tensor_wise = QuantizedEmbedding.from_float(table, GroupsOfFour())
expect_error(IndexError, tensor_wise, np.array([9]), mentions=("9",))
for bad in (np.nan, np.inf):
    spoiled = Tensor(np.array([[1, 2, 3, 4, 5, 6, bad]], np.float32))
    expect_error(ValueError, dynamic, spoiled)
expect_error(ValueError, dynamic, Tensor(np.zeros((0, 7), np.float32)), mentions=("(0, 7)",))
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: a real layer
#
# One layer of `docs_gpt`, on the activations it really gets. The weight as int8, per tensor or per channel; the input static,
# with the range of other text, or dynamic. Compare the outputs with the float layer's.

# %% tags=["measure"]
import threadpoolctl

from tinytorch import dashboards, no_grad, zoo
from tinytorch.data import digits, python_docs, token_windows

blas_threads = threadpoolctl.threadpool_limits(limits=1)
gpt, cnn, corpus = zoo.load("docs_gpt"), zoo.load("digits_cnn"), python_docs()
read_windows, read_targets = token_windows(corpus.encode(corpus.train[:20_000]), 128, stride=128)
new_windows, new_targets = token_windows(
    corpus.encode(corpus.validation), 128, stride=128
)  # (W, T)


def inputs_of(layer: nn.Module, ids: np.ndarray) -> Tensor:
    """What a layer of the GPT gets as its input."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with no_grad():
        gpt(ids)  # (B, T) -> (B, T, V)
    handle.remove()
    return seen[0]


first_layer = list(gpt.blocks)[0].feed_forward.fc1
calibration_input = inputs_of(first_layer, read_windows[:8])  # (8, 128, 128)
new_input = inputs_of(first_layer, new_windows[:8])
with no_grad():
    exact_output = first_layer(new_input).data  # (8, 128, 512)
range_seen = MinMaxObserver()
range_seen.observe(calibration_input.data)
layer_rows = []
for granularity in ("tensor", "channel"):
    for way, input_params in (("static", range_seen.params()), ("dynamic", None)):
        converted = QuantizedLinear.from_float(
            first_layer, input_params, Quantizer(granularity=granularity)
        )
        layer_rows.append(
            {
                "weight per": granularity,
                "input": way,
                "SQNR of the output (dB)": round(
                    sqnr_db(exact_output, converted(new_input).data), 2
                ),
                "weight bytes": converted.quantized_weight.nbytes,
            }
        )
print(f"{first_layer.weight.data.nbytes} bytes in float32")
for row in layer_rows:
    print(row)
# %% [markdown]
# ## Exercise 5: a whole model
#
# *Difficulty 4 of 5, 70 minutes, 17 points.*
#
# Layers are in place. Now models: a trained CNN and a trained GPT, in a quarter of their bytes, on data they have never seen.
#
# First a normalization that costs nothing. In evaluation a BatchNorm is fixed: it multiplies each channel by a number and adds
# another. The convolution before it does the same at its end. So the two numbers can move into the convolution's
# weight and bias, and the BatchNorm is gone (arXiv:1712.05877, section 3.2):
#
# $$w' = w\,\frac{\gamma}{\sqrt{v + \epsilon}}, \qquad b' = (b - m)\,\frac{\gamma}{\sqrt{v + \epsilon}} + \beta$$

# %%
#| export
import math
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

from tinytorch import no_grad

# %%
from tinytorch import zoo
from tinytorch.data import digits, python_docs
from tinytorch.models import GPT, MLP, GPTConfig


# %% nbgrader={"grade_id": "given_models_b"}
class MeanCost:
    """The mean cross entropy of a model on fixed examples; what tests and measurements minimize."""

    def __init__(self, inputs: np.ndarray, targets: np.ndarray) -> None:
        self.inputs = inputs
        self.targets = targets

    def __call__(self, model: nn.Module) -> float:
        """Nats a target."""
        with no_grad():
            given = Tensor(self.inputs) if self.inputs.dtype.kind == "f" else self.inputs
            return float(F.cross_entropy(model(given), self.targets).item())


class TwoTowers(nn.Module):
    """Two linear layers that share one module, and a convolution without BatchNorm."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.first = nn.Linear(6, 6, rng=rng)
        self.second = self.first
        self.head = nn.Linear(6, 3, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6) -> (B, 3)."""
        return self.head(self.second(self.first(x).relu()))  # type: ignore[no-any-return]


def arrays_of(model: nn.Module) -> dict[str, np.ndarray]:
    """A copy of each array of a model's state."""
    return {name: tensor.data.copy() for name, tensor in model.state_dict().items()}


def classes_of(model: nn.Module) -> list[str]:
    """The class of each module, by its name."""
    return [type(module).__name__ for module in model.modules()]


def calls_counted(model: nn.Module, x: Tensor) -> list[object]:
    """How many hooks each module of a model holds, and what one pass gives."""
    hooks = [len(m._hooks or {}) + len(m._pre_hooks or {}) for m in model.modules()]
    return [sum(hooks), model(x)]


# %%
#| export
class Identity(nn.Module):
    """Hands on its input: what is left of a BatchNorm that was folded away."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, unchanged."""
        return x


# %% nbgrader={"grade_id": "model__fold"}
#| export
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy of a model in evaluation mode, its BatchNorms folded into the convolutions before them.

    Folded is each `BatchNorm2d` that follows directly after a `Conv2d` in a `Sequential`; it becomes
    an `Identity`, so that all other names stay. Every other BatchNorm stays as it is.

    Args:
        model: any module; it is left unchanged.

    Returns:
        A model that computes the same in evaluation mode.

    Example:
        >>> pair = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        >>> [type(module).__name__ for module in fold_batch_norm(pair).children()]
        ['Conv2d', 'Identity']
    """
    # TODO:
    # 1. a deepcopy in evaluation mode
    # 2. in each Sequential, look at neighbours: a Conv2d and then a BatchNorm2d
    # 3. the factor of each channel, in float64; do not forget eps
    # 4. new weight and bias for the convolution (it may have had no bias), an Identity in place of
    #    the BatchNorm
    ### BEGIN SOLUTION
    folded = deepcopy(model).eval()
    for container in folded.modules():
        if not isinstance(container, nn.Sequential):
            continue
        children = list(container.named_children())
        for (_, conv), (name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                _fold_pair(conv, norm)
                setattr(container, name, Identity().eval())
    return folded
    ### END SOLUTION


def _fold_pair(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Put a BatchNorm's factor and shift into the convolution before it."""
    # TODO: the two formulas above
    ### BEGIN SOLUTION
    variance = norm.running_var.data.astype(np.float64)
    factor = norm.weight.data / np.sqrt(variance + norm.eps)  # (O,)
    bias = 0.0 if conv.bias is None else conv.bias.data
    shift = (bias - norm.running_mean.data) * factor + norm.bias.data  # (O,)
    weight = conv.weight.data * factor[:, None, None, None]  # (O, C, R, S)
    conv.weight = nn.Parameter(weight.astype(np.float32))
    conv.bias = nn.Parameter(shift.astype(np.float32))
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_model__fold", "points": 3}
# Rejects: a forgotten eps, a bias that is not scaled, a model that was changed, a BatchNorm folded
# into a convolution that does not stand before it.
rng = np.random.default_rng(5)
pair = nn.Sequential(nn.Conv2d(1, 3, 3, rng=rng), nn.BatchNorm2d(3)).eval()
norm = list(pair.children())[1]
norm.running_mean.data[:] = [1.0, -2.0, 0.5]
norm.running_var.data[:] = [4.0, 0.25, 1e-5]
norm.weight.data[:] = [1.5, -0.5, 2.0]
norm.bias.data[:] = [0.1, 0.2, 0.3]
before = arrays_of(pair)
images = Tensor(rng.standard_normal((2, 1, 6, 6), dtype=np.float32))
folded = fold_batch_norm(pair)
assert_close(folded(images).data, pair(images).data, rtol=1e-4, atol=1e-4, what="the folded pair")
assert all(np.array_equal(before[name], array) for name, array in arrays_of(pair).items()), (
    "fold_batch_norm changed the model it was given; work on a copy"
)
assert not [name for name in folded.state_dict() if "running" in name], (
    f"a folded model has no running statistics, got {list(folded.state_dict())}"
)
### BEGIN HIDDEN TESTS
rng = fresh("fold")
mixed = nn.Sequential(
    nn.BatchNorm2d(2),
    nn.Conv2d(2, 4, 3, padding=1, bias=False, rng=rng),
    nn.BatchNorm2d(4),
    nn.ReLU(),
    nn.Sequential(nn.Conv2d(4, 4, 3, rng=rng), nn.BatchNorm2d(4), nn.BatchNorm2d(4)),
    nn.MaxPool2d(2),
    nn.BatchNorm2d(4),
)
for module in mixed.modules():
    if isinstance(module, nn.BatchNorm2d):
        channels = module.num_features
        module.running_mean.data[:] = rng.normal(size=channels)
        module.running_var.data[:] = rng.uniform(0.5, 2.0, size=channels)
        module.running_var.data[0] = 1e-6  # here eps decides
        module.weight.data[:] = rng.uniform(0.5, 2.0, size=channels) * 0.01
        module.bias.data[:] = rng.normal(size=channels)
mixed.train()
before = arrays_of(mixed)
images = Tensor(rng.standard_normal((3, 2, 8, 8), dtype=np.float32))
folded = fold_batch_norm(mixed)
assert all(np.array_equal(before[name], array) for name, array in arrays_of(mixed).items()), (
    "fold_batch_norm changed the model it was given"
)
assert mixed.training, "fold_batch_norm changed the mode of the model it was given"
found = folded(images).data
mixed.eval()
assert_close(found, mixed(images).data, rtol=1e-4, atol=1e-4, what="a folded model")
left = sorted(name for name in folded.state_dict() if "running_mean" in name)
assert left == ["0.running_mean", "4.2.running_mean", "6.running_mean"], (
    f"only a BatchNorm directly after a convolution goes away; left: {left}"
)
shipped_cnn, pictures = zoo.load("digits_cnn"), Tensor(digits().test_images[:50])
assert_close(
    fold_batch_norm(shipped_cnn)(pictures).data,
    shipped_cnn(pictures).data,
    rtol=1e-3,
    atol=1e-3,
    what="digits_cnn",
)
### END HIDDEN TESTS

# %% [markdown]
# ### Calibrate, then replace
#
# `quantize_model` does what the toolkits do after training. Static: run some batches through a copy of the model, let an observer
# watch the input of each layer, then replace every `Linear`, `Conv2d` and `Embedding` by its quantized form.
# Dynamic: replace at once; each call finds its own range.
#
# Some layers are better left alone, so `skip` takes names. And one layer may stand in two places: it must stay one layer.


# %% nbgrader={"grade_id": "model__quantize"}
#| export
def quantize_model(
    model: nn.Module,
    calibration_batches: Iterable[Any] = (),
    quantizer: Any = None,
    observer: Callable[[], Any] = MinMaxObserver,
    dynamic: bool = False,
    skip: Sequence[str] = (),
    kernel: Kernel | None = None,
) -> nn.Module:
    """A copy of a model whose Linear, Conv2d and Embedding layers keep int8 weights.

    Args:
        model: any module; it is left unchanged, its hooks too.
        calibration_batches: inputs of the model, each given as `model(batch)`. Not needed when
            `dynamic`.
        quantizer: for the weights: one for all layers, or a dict of one by layer name. None: 8 bits,
            symmetric, per channel. A layer whose name the dict lacks is left as it is.
        observer: makes an observer (Exercise 3) for the input of each layer.
        dynamic: no calibration; each call finds the range of its own input.
        skip: names of layers to leave as they are, as `model.named_modules()` has them.
        kernel: computes products of int8 values; None: `integer_matmul`.

    Returns:
        The copy, in evaluation mode. A layer that stands in several places is one layer there too.

    Raises:
        ValueError: no calibration batch though not `dynamic`, a name in `skip` that is no layer to
            quantize, or a layer that no calibration batch reached; the message names it.
    """
    # TODO:
    # 1. a deepcopy in evaluation mode; find the layers by name; refuse unknown names in skip
    # 2. unless dynamic: watch the input of each Linear and Conv2d by a forward pre-hook while the
    #    copy runs over all batches inside no_grad(); remove the hooks
    # 3. make the quantized form of each layer, with observer.params() of its input (None: dynamic)
    # 4. put them in place wherever the layer stands (the model itself may be one)
    ### BEGIN SOLUTION
    copy = deepcopy(model).eval()
    layers = {
        name: module
        for name, module in copy.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Embedding)
    }
    unknown = [name for name in skip if name not in layers]
    if unknown:
        raise ValueError(f"skip names {unknown}; the layers to quantize are {list(layers)}")
    for name in skip:
        del layers[name]
    if isinstance(quantizer, Mapping):
        layers = {name: layer for name, layer in layers.items() if name in quantizer}
    ranges = {} if dynamic else _calibrated(copy, layers, calibration_batches, observer)
    quantized: dict[int, nn.Module] = {}
    for name, layer in layers.items():
        chosen = quantizer[name] if isinstance(quantizer, Mapping) else quantizer
        if chosen is None:
            chosen = Quantizer(bits=8, scheme="symmetric", granularity="channel", axis=0)
        quantized[id(layer)] = _quantized_layer(layer, ranges.get(name), chosen, kernel).eval()
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if id(child) in quantized:
                setattr(module, name, quantized[id(child)])
    return quantized.get(id(copy), copy)
    ### END SOLUTION


def _calibrated(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    batches: Iterable[Any],
    observer: Callable[[], Any],
) -> dict[str, QuantParams]:
    """The parameters of each layer's input (embeddings have none), observed over all batches."""
    # TODO: step 2 of quantize_model
    ### BEGIN SOLUTION
    observers = {n: observer() for n, each in layers.items() if not isinstance(each, nn.Embedding)}
    reached: set[str] = set()

    def watching(name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def watch(module: nn.Module, args: tuple[Any, ...]) -> None:
            reached.add(name)
            observers[name].observe(args[0].data)

        return watch

    handles = [layers[name].register_forward_pre_hook(watching(name)) for name in observers]
    count = 0
    with no_grad():
        for batch in batches:
            model(batch)
            count += 1
    for handle in handles:
        handle.remove()
    if count == 0:
        raise ValueError(
            "calibration_batches is empty; give at least one input of the model, or dynamic=True"
        )
    missed = [name for name in observers if name not in reached]
    if missed:
        raise ValueError(f"no calibration batch reached {missed}; name them in skip")
    return {name: each.params(bits=8, scheme="affine") for name, each in observers.items()}
    ### END SOLUTION


def _quantized_layer(
    layer: nn.Module, input_params: QuantParams | None, quantizer: Any, kernel: Kernel | None
) -> nn.Module:
    """The quantized form of a Linear, Conv2d or Embedding."""
    if isinstance(layer, nn.Embedding):
        return QuantizedEmbedding.from_float(layer, quantizer)
    if isinstance(layer, nn.Conv2d):
        return QuantizedConv2d.from_float(layer, input_params, quantizer, kernel)
    if isinstance(layer, nn.Linear):
        return QuantizedLinear.from_float(layer, input_params, quantizer, kernel)
    raise TypeError(f"{type(layer).__name__} has no quantized form")


# %% nbgrader={"grade_id": "test_model__quantize", "points": 6}
# Rejects: a model changed in place, only the first batch watched, skip ignored, an empty calibration
# let through, dynamic and static mixed up, layers left in float32.
rng = np.random.default_rng(6)
mlp = MLP([8, 12, 5], rng=rng).eval()
before = arrays_of(mlp)
batches = [Tensor(rng.uniform(-1, 1, size=(16, 8)).astype(np.float32)) for _ in range(3)]
small = quantize_model(mlp, batches)
state = {name: tensor.data for name, tensor in small.state_dict().items()}
assert (state["layers.0.weight"].dtype, state["layers.2.weight"].dtype) == (np.int8, np.int8), (
    f"every Linear keeps an int8 weight, got { {n: a.dtype.name for n, a in state.items()} }"
)
exact = mlp(batches[1]).data
error = float(abs(small(batches[1]).data - exact).max() / abs(exact).max())
assert error < 0.05, f"the quantized MLP is off by {error:.1%} of its largest output"
assert classes_of(mlp) == ["MLP", "Sequential", "Linear", "ReLU", "Linear"], "the model was changed"
assert all(np.array_equal(before[n], array) for n, array in arrays_of(mlp).items()), (
    "the weights of the model were changed; quantize a copy"
)
skipped = quantize_model(mlp, batches, skip=["layers.2"]).state_dict()
assert (skipped["layers.0.weight"].dtype, skipped["layers.2.weight"].dtype) == (
    np.int8,
    np.float32,
), "a layer named in skip stays float32"
expect_error(ValueError, quantize_model, mlp, [], mentions=("calibration_batches", "empty"))
expect_error(ValueError, quantize_model, mlp, batches, skip=["layers.9"], mentions=("layers.9",))
### BEGIN HIDDEN TESTS
rng = fresh("quantize model")


def reference_pass(model: MLP, inputs: np.ndarray, ranges: list[np.ndarray]) -> np.ndarray:
    """What an MLP of two layers gives, quantized with the test's quantizer and observer."""
    quantizer, x = PowerOfTwoQuantizer(), inputs
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    for linear, observed in zip(linears, ranges, strict=True):
        step = power_of_two_above(float(abs(observed).max()), 124)
        q = np.clip(np.rint(x.astype(np.float64) / step) + 3, -128, 127).astype(np.int64)
        kept, steps = quantizer.grid(linear.weight.data)
        acc = (q - 3) @ kept.astype(np.int64).T
        x = (acc * (step * steps.astype(np.float64)) + linear.bias.data).astype(np.float32)
        if linear is linears[0]:
            x = np.maximum(x, np.float32(0))
    return x


mlp = MLP([6, 10, 4], rng=rng).eval()
first = next(m for m in mlp.modules() if isinstance(m, nn.Linear))
batches = [
    (scale * rng.integers(-15, 16, size=(9, 6)) / 16).astype(np.float32) for scale in (1, 8, 2)
]
for batch, scale in zip(batches, (1, 8, 2), strict=True):
    batch[0, :2] = 15 * scale / 16, -15 * scale / 16  # the widest is always reached
hidden = [np.maximum(b @ first.weight.data.T + first.bias.data, 0) for b in batches]
made: list[int] = []


def noted_observer() -> PowerOfTwoObserver:
    """A new observer, and a note that one was asked for."""
    made.append(len(made))
    return PowerOfTwoObserver()


quantized = quantize_model(mlp, [Tensor(b) for b in batches], PowerOfTwoQuantizer(), noted_observer)
assert_int(len(made), 2, what="observers made for two layers")
probe = (rng.integers(-120, 121, size=(5, 6)) / 16).astype(np.float32)
expected = reference_pass(mlp, probe, [np.stack(batches), np.stack(hidden)])
largest = float(abs(expected).max())
found = quantized(Tensor(probe)).data
# One value on the edge of two levels may fall either way: that moves the four scores of its row.
off = int(np.sum(abs(found - expected) > 1e-4 * largest))
assert off <= 4, f"a static MLP: {off} of {found.size} scores are off"
assert_close(found, expected, rtol=0, atol=0.06 * largest, what="a static MLP")
beyond = (probe * 16).astype(np.float32)
expected = reference_pass(mlp, beyond, [np.stack(batches), np.stack(hidden)])
assert_close(
    quantized(Tensor(beyond)).data,
    expected,
    rtol=0,
    atol=0.06 * float(abs(expected).max()),
    what="a static MLP beyond the range of its calibration, where it saturates",
)
free = quantize_model(mlp, quantizer=PowerOfTwoQuantizer(), dynamic=True)
exact = mlp(Tensor(beyond)).data
assert_close(
    free(Tensor(beyond)).data,
    exact,
    rtol=0,
    atol=0.08 * float(abs(exact).max()),
    what="a dynamic MLP on inputs it was never calibrated for",
)
calls: list[tuple[str, str]] = []


def noting_kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """An integer product that notes its operands' types."""
    calls.append((a.dtype.name, b.dtype.name))
    return (a.astype(np.int64) @ b.astype(np.int64).T).astype(np.int32)


quantize_model(mlp, dynamic=True, kernel=noting_kernel)(Tensor(probe))
assert calls == [("int8", "int8")] * 2, f"two layers, two integer products; got {calls}"
towers = TwoTowers(rng).eval()
shared = quantize_model(towers, dynamic=True)
names = sorted(shared.state_dict())
assert {"first.weight_scale", "second.weight_scale"} <= set(names), (
    f"a layer that stands in two places is quantized in both, got {names}"
)
count = inside(calls_counted, mlp, Tensor(probe))[0]
assert_int(count, 0, what="hooks left in the model that was given")
tiny_gpt = GPT(
    GPTConfig(vocab_size=20, block_size=16, n_layer=1, n_head=2, n_embd=16), rng=rng
).eval()
tiny_gpt.token_embedding.weight.data *= np.arange(1, 21, dtype=np.float32)[:, None]
ids = rng.integers(0, 20, size=(2, 12))
tiny = quantize_model(tiny_gpt, [ids], skip=["head"])
dtypes = {n: t.data.dtype.name for n, t in tiny.state_dict().items() if n.endswith(".weight")}
assert dtypes == {n: "float32" if n == "head.weight" or "norm" in n else "int8" for n in dtypes}, (
    f"every Linear and Embedding but the skipped one keeps int8, LayerNorms float32: {dtypes}"
)
exact = tiny_gpt(ids).data
error = float(abs(tiny(ids).data - exact).max() / abs(exact).max())
assert error < 0.1, f"a quantized GPT is off by {error:.1%} of its largest output"
lone = quantize_model(nn.Linear(3, 2, rng=rng), dynamic=True)
assert lone.state_dict()["weight"].dtype == np.int8, "a model may be a single layer"
split = digits()
folded_cnn = fold_batch_norm(zoo.load("digits_cnn"))
converted = quantize_model(folded_cnn, [Tensor(split.train_images[:256])])
scores = {
    "FP32": zoo.load("digits_cnn")(Tensor(split.test_images)).data,
    "INT8": converted(Tensor(split.test_images)).data,
}
right = {name: float((s.argmax(1) == split.test_labels).mean()) for name, s in scores.items()}
assert right["INT8"] >= right["FP32"] - 0.01, f"digits_cnn lost more than 1 point: {right}"
### END HIDDEN TESTS

# %% [markdown]
# ### What is a model's size?
#
# The sum of its arrays' bytes: parameters **and** buffers, since a quantized layer keeps its weight in a buffer, and a scale is
# a number that must be stored too. An array that two layers share is stored once.


# %%
#| export
@dataclass(frozen=True)
class ModelSize:
    """The arrays of a model.

    Attributes:
        rows: (name, dtype, bytes) of each array.
        total_bytes: of all of them.
    """

    rows: list[tuple[str, str, int]]
    total_bytes: int

    def ratio_to(self, other: "ModelSize") -> float:
        """This size as a share of another one."""
        return self.total_bytes / other.total_bytes


# %% nbgrader={"grade_id": "model__size"}
#| export
def model_size(model: nn.Module) -> ModelSize:
    """The bytes of a model's parameters and buffers, each array once.

    Returns:
        Rows in the order of `model.state_dict()`; a shared array under its first name.

    Example:
        >>> model_size(nn.Linear(8, 3)).rows
        [('weight', 'float32', 96), ('bias', 'float32', 12)]
    """
    # TODO:
    # 1. go through model.state_dict(): parameters and buffers
    # 2. skip an array that you have seen under another name
    # 3. name, dtype and bytes of each, asked from the array; then the sum
    ### BEGIN SOLUTION
    rows: list[tuple[str, str, int]] = []
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if id(tensor.data) not in seen:
            seen.add(id(tensor.data))
            rows.append((name, tensor.data.dtype.name, tensor.data.nbytes))
    return ModelSize(rows, sum(size_bytes for _, _, size_bytes in rows))
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_model__size", "points": 2}
# Rejects: buffers left out, four bytes an element whatever the dtype, a shared array counted twice.
normalized = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
size = model_size(normalized)
rows = [tuple(row) for row in size.rows]
assert rows == [
    ("0.weight", "float32", 72),
    ("0.bias", "float32", 8),
    ("1.weight", "float32", 8),
    ("1.bias", "float32", 8),
    ("1.running_mean", "float32", 8),
    ("1.running_var", "float32", 8),
], f"rows of a convolution and a BatchNorm: {rows}"
assert_int(size.total_bytes, 112, what="total_bytes")
### BEGIN HIDDEN TESTS
rng = fresh("model size")
width = int(rng.integers(5, 30))
tied = nn.Sequential(nn.Linear(width, 4, bias=False, rng=rng), nn.Linear(width, 4, rng=rng))
one, other = tied.children()
other.weight = one.weight
assert_int(model_size(tied).total_bytes, 16 * width + 16, what="total_bytes with a shared weight")
plain = nn.Linear(width, 3, bias=False, rng=rng)
plain.register_buffer("table", Tensor(np.zeros((width, 7), np.int8)))
plain.register_buffer("marks", Tensor(np.zeros(width, np.float64)))
size = model_size(plain)
assert sorted(tuple(row) for row in size.rows) == [
    ("marks", "float64", 8 * width),
    ("table", "int8", 7 * width),
    ("weight", "float32", 12 * width),
], f"rows of arrays of several dtypes: {size.rows}"
for name, least in (("digits_cnn", 0.24), ("docs_gpt", 0.25)):
    whole = fold_batch_norm(zoo.load(name)) if name == "digits_cnn" else zoo.load(name)
    before = [t.data.nbytes for t in whole.state_dict().values()]
    small = quantize_model(whole, dynamic=True)
    after = [t.data.nbytes for t in whole.state_dict().values()]
    assert before == after, f"quantize_model changed the {name} it was given"
    full_bytes = sum(t.data.nbytes for t in zoo.load(name).state_dict().values())
    own_bytes = sum(t.data.nbytes for t in small.state_dict().values())
    assert_int(model_size(small).total_bytes, own_bytes, what=f"total_bytes of a quantized {name}")
    assert least < own_bytes / full_bytes <= 0.27, (
        f"{name} keeps {own_bytes / full_bytes:.3f} of its bytes; expected at most 0.27"
    )
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: a quarter of the bytes, on data the models have not seen
#
# Both models, before and after. Files are written and their length is asked from the disk. An npz file spends some 250 bytes on each
# array, which a model of 14 small arrays feels. `write_packed` puts one description in front of all arrays instead, and
# writes both models of a comparison the same way.


# %% tags=["measure"]
import json
import tempfile
import zlib
from pathlib import Path

from tinytorch.training import save_checkpoint


def write_packed(path: Path, model: nn.Module) -> None:
    """One file: the length of the description, the description, the arrays' bytes one after the other."""
    arrays = {name: tensor.data for name, tensor in model.state_dict().items()}
    rows = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    description = zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), 9)
    content = b"".join(array.tobytes() for array in arrays.values())
    path.write_bytes(len(description).to_bytes(4, "little") + description + content)


def read_packed(path: Path) -> dict[str, np.ndarray]:
    """The arrays of such a file."""
    content = path.read_bytes()
    start = 4 + int.from_bytes(content[:4], "little")
    arrays = {}
    for name, dtype, shape in json.loads(zlib.decompress(content[4:start])):
        end = start + np.dtype(dtype).itemsize * math.prod(shape)
        arrays[name] = np.frombuffer(content[start:end], dtype).reshape(shape)
        start = end
    return arrays


def bytes_on_disk(model: nn.Module) -> tuple[int, int]:
    """Bytes of a model's packed file, which is read back and compared, and of its npz file."""
    with tempfile.TemporaryDirectory() as folder:
        packed, npz = Path(folder) / "model.packed", Path(folder) / "model.npz"
        write_packed(packed, model)
        save_checkpoint(npz, model)
        again = read_packed(packed)
        assert all(np.array_equal(again[n], t.data) for n, t in model.state_dict().items())
        return packed.stat().st_size, npz.stat().st_size


split = digits()
small_cnn = fold_batch_norm(cnn)
cnn_calibration = [Tensor(split.train_images[:256])]
gpt_calibration = [read_windows[:8], read_windows[8:16]]
versions: dict[str, list[tuple[str, nn.Module]]] = {
    "digits_cnn": [
        ("FP32", cnn),
        ("FP32, BatchNorm folded", small_cnn),
        ("INT8 static", quantize_model(small_cnn, cnn_calibration)),
        ("INT8 dynamic", quantize_model(small_cnn, dynamic=True)),
    ],
    "docs_gpt": [
        ("FP32", gpt),
        ("INT8 static", quantize_model(gpt, gpt_calibration)),
        ("INT8 dynamic", quantize_model(gpt, dynamic=True)),
    ],
}
new_text = MeanCost(new_windows[:32], new_targets[:32])  # 4096 characters
size_rows: list[dict[str, object]] = []
for model_name, forms in versions.items():
    full = model_size(forms[0][1])
    full_files = bytes_on_disk(forms[0][1])
    for form, model in forms:
        files = bytes_on_disk(model)
        if model_name == "digits_cnn":
            with no_grad():
                right = model(Tensor(split.test_images)).data.argmax(axis=1) == split.test_labels
            quality = f"{right.mean():.2%} of {len(right)} right"
        else:
            quality = f"{new_text(model):.4f} nats a character"
        size_rows.append(
            {
                "model": model_name,
                "form": form,
                "bytes": model_size(model).total_bytes,
                "of FP32": round(model_size(model).ratio_to(full), 4),
                "packed file": files[0],
                "of FP32's": round(files[0] / full_files[0], 4),
                "npz file": files[1],
                "of FP32's npz": round(files[1] / full_files[1], 4),
                "on unseen data": quality,
            }
        )
dashboards.show(
    dashboards.memory_breakdown(
        {
            f"{row['model']}, {row['form']}": row["bytes"]
            for row in size_rows
            if "cnn" not in row["model"]
        }
    ),
    summary="; ".join(
        f"{row['model']} as {row['form']}: {row['of FP32']:.3f} of the bytes, {row['on unseen data']}"
        for row in size_rows
        if "INT8" in str(row["form"])
    )
    + ".",
    table=size_rows,
)

# %% [markdown]
# Look at what did not become small: biases, scales, LayerNorms. On a GPT of 128 channels they are a few percent, on
# one of 4096 nothing. And look at the npz files of the CNN: there the container weighs more than what you saved on a layer. The
# next question is what the last points of accuracy hang on.

# %% [markdown]
# ### Which layers mind?
#
# Eight bits are easy. Below that, layers differ. A **sensitivity scan** quantizes the weight of one layer at a time, everything else
# stays float32, and asks two things: how much noise is there in the layer's output (SQNR), and what does it do to the model?
# The first is cheap and local. The second is what you care about.


# %%
#| export
@dataclass(frozen=True)
class LayerSensitivity:
    """What quantizing one layer's weight does.

    Attributes:
        name: the layer, as `model.named_modules()` has it.
        bits: the widths that were tried, in rising order.
        sqnr_db: signal to quantization noise of the layer's output, for each of `bits`.
        metric: the model's cost (lower is better), for each of `bits`.
    """

    name: str
    bits: tuple[int, ...]
    sqnr_db: tuple[float, ...]
    metric: tuple[float, ...]


# %% nbgrader={"grade_id": "model__sensitivity"}
#| export
def sensitivity_scan(
    model: nn.Module,
    batches: Sequence[Any],
    evaluate: Callable[[nn.Module], float],
    quantizers: Mapping[int, Any] | None = None,
) -> list[LayerSensitivity]:
    """Quantize the weight of one layer at a time, and see what that does.

    Args:
        model: any module; it is left unchanged.
        batches: inputs of the model, each given as `model(batch)`: for the SQNR of the outputs.
        evaluate: takes a model in evaluation mode and gives a cost, lower is better.
        quantizers: one for each width, by bits. None: 2, 4 and 8 bits, symmetric, per channel.

    Returns:
        One entry for each Linear, Conv2d and Embedding, in the order of `model.named_modules()`.

    Raises:
        ValueError: no batches.
    """
    # TODO:
    # 1. refuse empty batches; work on a deepcopy in evaluation mode
    # 2. for each layer, note its output on all batches (a forward hook, inside no_grad())
    # 3. for each width: put the dequantized weight in place, note the output again, evaluate
    # 4. put the float weight back before the next width and the next layer
    ### BEGIN SOLUTION
    if len(batches) == 0:
        raise ValueError("batches is empty; give at least one input of the model")
    if quantizers is None:
        quantizers = {b: Quantizer(bits=b, granularity="channel") for b in (2, 4, 8)}
    widths = sorted(quantizers)
    work = deepcopy(model).eval()
    found = []
    for name, layer in work.named_modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            continue
        exact, original = _outputs(work, layer, batches), layer.weight.data
        noise, costs = [], []
        for bits in widths:
            layer.weight.data = quantizers[bits].quantize(original).dequantize()
            noise.append(float(sqnr_db(exact, _outputs(work, layer, batches))))
            costs.append(float(evaluate(work)))
            layer.weight.data = original
        found.append(LayerSensitivity(name, tuple(widths), tuple(noise), tuple(costs)))
    return found
    ### END SOLUTION


def _outputs(model: nn.Module, layer: nn.Module, batches: Sequence[Any]) -> np.ndarray:
    """All numbers that a layer puts out while the model runs over the batches, as one row."""
    # TODO: a forward hook, the batches inside no_grad(), np.concatenate
    ### BEGIN SOLUTION
    parts: list[np.ndarray] = []
    handle = layer.register_forward_hook(lambda module, args, y: parts.append(y.data.ravel()))
    with no_grad():
        for batch in batches:
            model(batch)
    handle.remove()
    return np.concatenate(parts)
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_model__sensitivity", "points": 3}
# Rejects: layers that stay quantized while the next one is tried, noise of the weight in place of
# the output, one batch in place of all, a model changed in place.
rng = np.random.default_rng(7)
mlp = MLP([6, 9, 3], rng=rng).eval()
before = arrays_of(mlp)
batches = [Tensor(rng.standard_normal((8, 6), dtype=np.float32)) for _ in range(2)]
cost = MeanCost(rng.standard_normal((20, 6), dtype=np.float32), rng.integers(0, 3, size=20))
scan = sensitivity_scan(mlp, batches, cost, {4: PowerOfTwoQuantizer(4), 8: PowerOfTwoQuantizer(8)})
assert [(row.name, tuple(row.bits)) for row in scan] == [
    ("layers.0", (4, 8)),
    ("layers.2", (4, 8)),
], "one entry a layer, widths in rising order"
assert all(row.sqnr_db[1] > row.sqnr_db[0] + 12 for row in scan), (
    "four more bits are worth about 24 dB"
)
assert all(np.array_equal(before[n], array) for n, array in arrays_of(mlp).items()), (
    "sensitivity_scan changed the model it was given"
)
expect_error(ValueError, sensitivity_scan, mlp, [], cost, mentions=("batches", "empty"))
### BEGIN HIDDEN TESTS
rng = fresh("sensitivity")
mlp = MLP([5, 8, 7, 3], rng=rng).eval()
batches = [Tensor((scale * rng.standard_normal((9, 5))).astype(np.float32)) for scale in (1.0, 5.0)]
cost = MeanCost(rng.standard_normal((30, 5), dtype=np.float32), rng.integers(0, 3, size=30))
quantizers = {bits: PowerOfTwoQuantizer(bits) for bits in (5, 2, 3)}
scan = sensitivity_scan(mlp, batches, cost, quantizers)
linears = [(n, m) for n, m in mlp.named_modules() if isinstance(m, nn.Linear)]
assert [row.name for row in scan] == [name for name, _ in linears], "layers in order"
x = np.concatenate([batch.data for batch in batches])
for row, (name, linear) in zip(scan, linears, strict=True):
    assert tuple(row.bits) == (2, 3, 5), f"widths of {name} in rising order, got {row.bits}"
    kept = linear.weight.data
    exact = x.astype(np.float64) @ kept.T.astype(np.float64) + linear.bias.data
    for place, bits in enumerate((2, 3, 5)):
        linear.weight.data = quantizers[bits].approximation(kept)
        noisy = x.astype(np.float64) @ linear.weight.data.T.astype(np.float64) + linear.bias.data
        expected = 10 * math.log10((exact**2).sum() / ((exact - noisy) ** 2).sum())
        assert_close(
            row.sqnr_db[place], expected, rtol=0, atol=0.05, what=f"SQNR of {name}, {bits} bits"
        )
        assert_close(
            row.metric[place], cost(mlp), rtol=1e-4, atol=1e-5, what=f"cost, {name} at {bits} bits"
        )
        linear.weight.data = kept
    x = np.maximum(exact, 0).astype(np.float32)
### END HIDDEN TESTS

# %% [markdown]
# ### Spend bits where they count
#
# You have a budget in bytes. Each layer may have 2, 4 or 8 bits. Which choice costs least? Assume that the costs of the layers **add
# up**, each as the scan found it alone. They do not quite, but it makes the question one that has an exact answer: pick one
# item from each row, total weight below a limit, total cost minimal (a knapsack). The HAWQ papers build on the same
# assumption (arXiv:1911.03852, 2011.10680).
#
# Trying everything takes $3^L$ steps. Instead go layer by layer and keep only the choices that nothing beats: no
# other choice so far has fewer bytes **and** a lower cost.


# %% nbgrader={"grade_id": "model__allocation"}
#| export
def packed_bytes(weights: int, bits: int) -> int:
    """Bytes of so many weights of so many bits without gaps, rounded up to whole bytes."""
    return -(-weights * bits // 8)


def allocate_bits(
    sensitivity: Sequence[LayerSensitivity],
    sizes: Mapping[str, int],
    budget_bytes: int,
    choices: Sequence[int] = (2, 4, 8),
) -> dict[str, int]:
    """The width of each layer with the least sum of costs whose bytes fit a budget.

    Args:
        sensitivity: what `sensitivity_scan` gives.
        sizes: the number of weights of each layer.
        budget_bytes: most bytes of all weights together, each layer's by `packed_bytes`.
        choices: the widths to choose from; each must have been scanned.

    Returns:
        Bits by layer name. The sum of the layers' `metric` is the smallest that the budget allows.

    Raises:
        ValueError: a budget too small for any choice (the message says what the smallest needs), a
            layer without a size, a width that was not scanned, no layers, or a cost that is NaN or
            infinite.
    """
    # TODO:
    # 1. refuse what the docstring names
    # 2. start with one choice for no layers: 0 bytes, cost 0
    # 3. for each layer: extend every choice kept so far by every width; drop those over the budget,
    #    and those that another one beats in bytes and in cost
    # 4. at the end, the one with the least cost
    ### BEGIN SOLUTION
    options = _layer_options(sensitivity, sizes, choices)
    kept: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]
    for rows in options:
        extended = sorted(
            (size + own_size, cost + own_cost, (*widths, bits))
            for size, cost, widths in kept
            for bits, own_size, own_cost in rows
        )
        kept = []
        for candidate in extended:
            if not kept or candidate[1] < kept[-1][1]:
                kept.append(candidate)
    fitting = [choice for choice in kept if choice[0] <= budget_bytes]
    if not fitting:
        raise ValueError(
            f"a budget of {budget_bytes} bytes is too small; the smallest choice of widths "
            f"{sorted(choices)} needs {kept[0][0]} bytes"
        )
    best = fitting[-1][2]
    return {layer.name: bits for layer, bits in zip(sensitivity, best, strict=True)}
    ### END SOLUTION


def _layer_options(
    sensitivity: Sequence[LayerSensitivity], sizes: Mapping[str, int], choices: Sequence[int]
) -> list[list[tuple[int, int, float]]]:
    """For each layer its (bits, bytes, cost), one for each choice."""
    # TODO: step 1, and packed_bytes
    ### BEGIN SOLUTION
    if not sensitivity or not choices:
        raise ValueError("nothing to choose: give at least one layer and at least one width")
    options = []
    for layer in sensitivity:
        if layer.name not in sizes:
            raise ValueError(f"sizes lacks {layer.name}; it has {sorted(sizes)}")
        measured = dict(zip(layer.bits, layer.metric, strict=True))
        missing = [bits for bits in choices if bits not in measured]
        if missing:
            raise ValueError(f"{layer.name} was scanned at {list(layer.bits)} bits, not {missing}")
        rows = [(b, packed_bytes(sizes[layer.name], b), float(measured[b])) for b in choices]
        if not all(math.isfinite(cost) for _, _, cost in rows):
            raise ValueError(f"the costs of {layer.name} are {layer.metric}; expected finite ones")
        options.append(rows)
    return options
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_model__allocation", "points": 3}
# Rejects: greedy choices, budgets that are exceeded, bytes rounded down, unscanned widths.
wide = LayerSensitivity("wide", (2, 4, 8), (6.0, 18.0, 42.0), (5.0, 1.2, 1.0))
thin = LayerSensitivity("thin", (2, 4, 8), (6.0, 18.0, 42.0), (9.0, 2.0, 1.0))
weights = {"wide": 1_000, "thin": 100}
chosen = allocate_bits([wide, thin], weights, 650)
assert chosen == {"wide": 4, "thin": 8}, f"650 bytes: wide at 4 and thin at 8 bits, got {chosen}"
chosen = allocate_bits([wide, thin], weights, 5_000)
assert chosen == {"wide": 8, "thin": 8}, f"no need to save: 8 bits everywhere, got {chosen}"
expect_error(ValueError, allocate_bits, [wide, thin], weights, 274, mentions=("274", "275"))
expect_error(ValueError, allocate_bits, [wide, thin], {"wide": 9}, 900, mentions=("thin",))
expect_error(ValueError, allocate_bits, [wide], weights, 900, (3, 8), mentions=("3",))
### BEGIN HIDDEN TESTS
rng = fresh("allocation")


def cheapest(layers: list[LayerSensitivity], counts: dict[str, int], budget: int) -> float:
    """The least cost by trying all choices."""
    best = math.inf
    for places in np.ndindex(*[3] * len(layers)):
        size = sum(
            math.ceil(counts[row.name] * row.bits[at] / 8)
            for row, at in zip(layers, places, strict=True)
        )
        if size <= budget:
            best = min(best, sum(row.metric[at] for row, at in zip(layers, places, strict=True)))
    return best


for trial in range(12):
    layers, counts = [], {}
    for number in range(5):
        name = f"layer{number}"
        costs = np.sort(rng.uniform(0, 10, size=3))[::-1]
        if trial % 3 == 0:
            rng.shuffle(costs)  # measured costs need not fall with the bits
        layers.append(LayerSensitivity(name, (2, 4, 8), (6.0, 18.0, 42.0), tuple(costs.tolist())))
        counts[name] = int(rng.integers(1, 60)) * 2 + 1
    least = sum(math.ceil(count / 4) for count in counts.values())
    for budget in (least, least + 1, int(least * rng.uniform(1.2, 2.0)), least * 3):
        chosen = allocate_bits(layers, counts, budget)
        assert sorted(chosen) == sorted(counts), f"one width for each layer, got {chosen}"
        size = sum(math.ceil(counts[name] * bits / 8) for name, bits in chosen.items())
        assert size <= budget, f"{chosen} needs {size} bytes; the budget is {budget}"
        cost = sum(dict(zip(r.bits, r.metric, strict=True))[chosen[r.name]] for r in layers)
        assert_close(cost, cheapest(layers, counts, budget), rtol=1e-9, what="the cost of a choice")
    expect_error(ValueError, allocate_bits, layers, counts, least - 1, mentions=(str(least),))
# "a" gains more for each byte, but taking it first leaves no room for "b", which gains more
trap = [
    LayerSensitivity("a", (4, 8), (18.0, 42.0), (6.0, 0.0)),
    LayerSensitivity("b", (4, 8), (18.0, 42.0), (10.0, 0.0)),
]
chosen = allocate_bits(trap, {"a": 10, "b": 20}, 25, (4, 8))
assert chosen == {"a": 4, "b": 8}, f"the layer that gains most in all, got {chosen}"
chosen = allocate_bits([wide, thin], weights, 5_000, (4, 2))
assert chosen == {"wide": 4, "thin": 4}, f"only 2 and 4 bits may be chosen, got {chosen}"
spoiled = LayerSensitivity("wide", (2, 4, 8), (6.0, 18.0, 42.0), (math.nan, 1.2, 1.0))
expect_error(ValueError, allocate_bits, [spoiled, thin], weights, 900, mentions=("wide",))
expect_error(ValueError, allocate_bits, [], weights, 900)
### END HIDDEN TESTS

# %% [markdown]
# ### Validate: the scan, and a budget
#
# Each layer of `docs_gpt` alone at 2, 3, 4 and 8 bits. The loss itself is a noisy cost: on little text a damaged model can be lucky. So
# the cost here is how far the predictions move away from the full model's, as a mean Kullback-Leibler divergence
# (nats a character, 0 when nothing changed). It needs no targets. The figure shows the layers that mind most, the table all.

# %% tags=["measure"]
scanned_ids = new_windows[:5]  # (5, 128)


def log_chances(model: nn.Module) -> np.ndarray:
    """The logarithm of each next character's chance, (5, 128, V)."""
    with no_grad():
        return F.log_softmax(model(scanned_ids)).data.astype(np.float64)


full_chances = log_chances(gpt)


def divergence(model: nn.Module) -> float:
    """Mean of sum p log(p / q), p the full model's chances and q this model's."""
    return float((np.exp(full_chances) * (full_chances - log_chances(model))).sum(axis=-1).mean())


widths = {bits: Quantizer(bits=bits, granularity="channel") for bits in (2, 3, 4, 8)}
scan = sensitivity_scan(gpt, [new_windows[:1]], divergence, widths)
by_loss = sorted(scan, key=lambda row: -row.metric[0])
dashboards.show(
    dashboards.layer_sensitivity(
        scan,
        metric_name="divergence (nats)",
        higher_is_better=False,
        full_metric=0.0,
        most=6,
        title="Each layer of docs_gpt alone at few bits",
    ),
    summary=f"At 2 bits {by_loss[0].name} alone moves the predictions by {by_loss[0].metric[0]:.3f} nats a character, "
    f"{by_loss[-1].name} by {by_loss[-1].metric[0]:.4f}. At 8 bits no layer alone moves them by more than "
    f"{max(row.metric[-1] for row in scan):.6f}.",
    table=[
        {
            "layer": row.name,
            **{f"dB at {b}": round(db, 1) for b, db in zip(row.bits, row.sqnr_db, strict=True)},
            **{f"nats at {b}": round(m, 5) for b, m in zip(row.bits, row.metric, strict=True)},
        }
        for row in scan
    ],
)

# %% [markdown]
# Now spend a budget. For each budget: the best mixture by `allocate_bits`, and beside it one width for all layers. What is
# shown is the true loss with **all** layers quantized, on text that the scan did not see: the sum of single divergences has to prove itself.
#
# The bytes are those of packed weights. Your `QuantizedLinear` still keeps a 4-bit weight in a byte of its own; packing is Exercise 6a.

# %% tags=["measure"]
other_text = MeanCost(new_windows[16:32], new_targets[16:32])  # 2048 characters
counts = {
    name: m.weight.numel() for name, m in gpt.named_modules() if name in {r.name for r in scan}
}


def loss_at(widths_by_layer: Mapping[str, int]) -> float:
    """The loss with every layer at its width, weights only; activations stay float32."""
    work = deepcopy(gpt)
    for name, module in work.named_modules():
        if name in widths_by_layer:
            quantizer = widths[widths_by_layer[name]]
            module.weight.data = quantizer.quantize(module.weight.data).dequantize()
    return other_text(work)


def bytes_at(widths_by_layer: Mapping[str, int]) -> int:
    """Bytes of all packed weights."""
    return sum(packed_bytes(counts[name], bits) for name, bits in widths_by_layer.items())


uniform = {bits: dict.fromkeys(counts, bits) for bits in (2, 3, 4, 8)}
budgets = [int(bits * sum(counts.values()) / 8) for bits in (2.25, 2.5, 3, 3.5, 4, 5, 6, 8)]
mixed = [allocate_bits(scan, counts, budget, (2, 3, 4, 8)) for budget in budgets]
budget_curves = {
    "one width": [(bytes_at(each) / 1e3, loss_at(each)) for each in uniform.values()],
    "mixed": [(bytes_at(each) / 1e3, loss_at(each)) for each in mixed],
}
loss_in_full = other_text(gpt)
at_three_bits = mixed[budgets.index(int(3 * sum(counts.values()) / 8))]
dashboards.show(
    dashboards.scaling_curve(
        budget_curves, x_title="kilobytes of weights", y_title="nats a character", log="x"
    ),
    summary=f"FP32 has {loss_in_full:.3f} nats in {4 * sum(counts.values()) / 1e3:.0f} kB. With the bytes of 3 bits a weight: "
    f"one width {loss_at(uniform[3]):.3f}, mixed {loss_at(at_three_bits):.3f}.",
    table=[
        {
            "form": form,
            "kB": round(kilobytes, 1),
            "bits a weight": round(8e3 * kilobytes / sum(counts.values()), 2),
            "loss": round(loss, 4),
            "over FP32": round(loss - loss_in_full, 4),
        }
        for form, points in budget_curves.items()
        for kilobytes, loss in points
    ],
)

# %% [markdown]
# ## When does this lose? Bytes are not time
#
# A quarter of the bytes, and integer arithmetic. Surely it is faster? Ask the clock. One product of a Linear layer, 1024 → 1024,
# for one row and for 64. The baseline is float32 and BLAS. Against it:
#
# - **NumPy's integers**: `@` on int32, a plain loop inside;
# - **your kernel**: exact float32 pieces by BLAS. The weight is converted in every call;
# - **your layer**: the same, with quantizing the input and rescaling the result;
# - **compiled**: two kernels from `tinytorch.kernels.compiled`, machine code made by numba. Where the processor has VNNI, one
#   instruction does up to 64 products of int8 numbers and adds them up, four by four, as int32.

# %% [markdown]
# Machine code has to be made before it runs: the first cell loads the compiler, the next two compile the two kernels. It takes some seconds on the first day
# and none afterwards, where numba finds a folder to keep the code in. Watch that they are right, too.

# %% tags=["measure"]
from tinytorch.kernels import compiled
from tinytorch.profiling import Comparison, Timer, compare_latencies

print(f"VNNI on this processor: {compiled.vnni_available()}")

# %% tags=["measure"]
drawn = np.random.default_rng(0).integers(-128, 128, size=(2, 40, 100)).astype(np.int8)
with Timer() as compile_time:
    compiled_product = compiled.int8_matmul(drawn[0], drawn[1])  # (40, 100) -> (40, 40)
print(f"int8_matmul: {compile_time.elapsed_ns / 1e9:.2f} s for the first call,", end=" ")
print(
    f"right in every number: {np.array_equal(compiled_product, integer_matmul(drawn[0], drawn[1]))}"
)

# %% tags=["measure"]
with Timer() as compile_time:
    fast_layer = compiled.Int8Linear(first_layer.weight.data, first_layer.bias.data)
    fast_output = fast_layer(new_input.data.reshape(-1, new_input.shape[-1]))  # (1024, 512)
print(f"Int8Linear: {compile_time.elapsed_ns / 1e9:.2f} s for the first call,", end=" ")
print(
    f"SQNR {sqnr_db(exact_output.reshape(fast_output.shape), fast_output):.2f} dB on the real layer"
)


# %% tags=["measure"]
def race(rows: int, size: int = 1024, rounds: int = 9) -> Comparison:
    """One product (rows, size) @ (size, size) in every way, in interleaved rounds."""
    draw = np.random.default_rng(rows)
    linear = nn.Linear(size, size, rng=draw)
    x = Tensor(draw.standard_normal((rows, size), dtype=np.float32))
    layer = QuantizedLinear.from_float(linear, None, Quantizer(granularity="channel"))
    fast_layer = compiled.Int8Linear(linear.weight.data, linear.bias.data)
    qx, qw = quantized_input(x.data, None).values, layer.quantized_weight.values
    assert np.array_equal(compiled.int8_matmul(qx, qw), integer_matmul(qx, qw))
    systems: dict[str, Callable[[], object]] = {
        "baseline": lambda: linear(x),
        "NumPy's integers": lambda: qx.astype(np.int32) @ qw.T.astype(np.int32),
        "your kernel": lambda: integer_matmul(qx, qw),
        "your layer": lambda: layer(x),
        "compiled product": lambda: compiled.int8_matmul(qx, qw),
        "compiled layer": lambda: fast_layer(x.data),
    }
    with no_grad():
        return compare_latencies(systems, rounds=rounds)


races = {rows: race(rows) for rows in (1, 64)}
for rows, found in races.items():
    print(f"{rows} x 1024 @ 1024 x 1024; ratio: baseline / system, above 1 is faster\n{found}\n")
dashboards.show(
    dashboards.distribution(
        {
            f"{row.name}, {rows} row{'s' if rows > 1 else ''}": [
                ns / 1e3 for ns in row.latency.samples_ns
            ]
            for rows, found in races.items()
            for row in found.rows
        },
        x_title="microseconds a product",
        log=True,
        title="The same product, in six ways",
    ),
    summary="; ".join(
        f"{rows} rows: your layer {found['your layer'].ratio:.2f} times as fast as float32 "
        f"[{found['your layer'].low:.2f} to {found['your layer'].high:.2f}], the compiled one "
        f"{found['compiled layer'].ratio:.2f} [{found['compiled layer'].low:.2f} to {found['compiled layer'].high:.2f}]"
        for rows, found in races.items()
    )
    + ".",
    table=[{"rows": rows, **row} for rows, found in races.items() for row in found.table()],
)

# %% [markdown]
# And whole models: each quantized one with your kernel and with the compiled product in its place (`kernel=`), nothing else changed.

# %% tags=["measure"]
contestants = {
    "docs_gpt, 128 tokens": (gpt, gpt, new_windows[:1]),
    "digits_cnn, 64 images": (small_cnn, small_cnn, Tensor(split.test_images[:64])),
}
for title, (whole, base, given) in contestants.items():
    in_numpy = quantize_model(base, dynamic=True)
    in_machine_code = quantize_model(base, dynamic=True, kernel=compiled.int8_matmul)
    with no_grad():
        same = np.array_equal(in_numpy(given).data, in_machine_code(given).data)
        found = compare_latencies(
            {
                "baseline": lambda model=whole, x=given: model(x),
                "INT8 in NumPy": lambda model=in_numpy, x=given: model(x),
                "INT8 compiled": lambda model=in_machine_code, x=given: model(x),
            },
            rounds=9,
        )
    print(f"{title}; bit for bit the same output: {same}\n{found}\n")

# %% [markdown]
# Read the ratios below 1. **In NumPy alone, int8 saves bytes and costs time**: NumPy has no int8 product, so the weight is turned
# into floats again in each call, which reads and writes more bytes than a float32 weight has. Around the product, rounding, scaling and
# corrections are passes of their own over the data.
#
# What changes it is not another formula but another *product*: one that reads int8 from memory, multiplies it as it is, and rescales
# while the sums are still in registers. With one row the weight's bytes are the whole cost, so a quarter of them can mean a
# multiple of the speed. With 64 rows the arithmetic decides, and there float32 BLAS is a strong opponent. So when somebody says "INT8 is four
# times faster", ask: which kernel, which processor, which shape?

# %% [markdown]
# ## Going further
#
# Eight bits and a calibrated range are what most systems ship. Four short exercises go on from there: fewer bits with
# more scales, training that knows of the rounding, weights scaled by what flows through them, and a cache of keys and
# values in int8. Each ends in a measurement on real data, and not every measurement flatters the method.

# %%
#| export
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from tinytorch import Tensor, nn
from tinytorch import functional as F

# %%
from collections.abc import Callable

from tinytorch import no_grad
from tinytorch.models import GPT, GPTConfig
from tito.testing import assert_close, assert_int, expect_error, fresh, inside

# %% [markdown]
# ### Tools of these tests
#
# The exercises below can use your quantizer, and their tests do not: a slip there must not cost points here. So the locked
# cell brings a plain quantizer of its own, with the methods of yours that are needed. The guard `checked_array` of
# Exercise 1 is another matter: here, too, every array of floats goes through it.


# %% nbgrader={"grade_id": "given_tools_c"}
@dataclass(frozen=True, eq=False)
class GivenLevels:
    """Numbers on the grid of a GivenRowQuantizer, with the method of QuantizedTensor."""

    numbers: np.ndarray

    def dequantize(self) -> np.ndarray:
        return self.numbers


@dataclass(frozen=True)
class GivenRowQuantizer:
    """A symmetric quantizer, one scale a row; `share` below 1 makes the range too narrow."""

    bits: int
    share: float = 1.0

    def params(self, x: np.ndarray) -> QuantParams:
        top = 2 ** (self.bits - 1) - 1
        scale = (self.share * np.abs(x).max(axis=1) / top).astype(np.float32)  # (N,)
        return QuantParams(scale, np.zeros(len(scale), np.int32), self.bits, 0, symmetric=True)

    def quantize(self, x: np.ndarray) -> GivenLevels:
        grid = self.params(x)
        scale = grid.scale[:, None]  # (N, 1)
        levels = np.clip(np.rint(x / scale), grid.qmin, grid.qmax)
        return GivenLevels((levels * scale).astype(np.float32))


def result_and_gradient(
    fake: Callable[..., Tensor], values: np.ndarray, grid: QuantParams, incoming: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What `fake` makes of the values, and the gradient that comes back through it."""
    x = Tensor(values, requires_grad=True)
    y = fake(x, grid)
    y.backward(incoming)
    assert x.grad is not None, "no gradient reached the values"
    return y.data, x.grad.data


def pass_through_layer(
    layer: nn.Module, values: np.ndarray, incoming: np.ndarray
) -> dict[str, np.ndarray]:
    """A layer's result, its parameters' gradients and the input's."""
    layer.zero_grad()
    x = Tensor(values, requires_grad=True)
    y = layer(x)
    y.backward(incoming)
    gradients = {name: each.grad for name, each in layer.named_parameters()}
    found = {name: each.data for name, each in gradients.items() if each is not None}
    return {"result": y.data, "input": x.grad.data if x.grad is not None else np.zeros(0), **found}


def parameter_values(layer: nn.Module) -> dict[str, np.ndarray]:
    """Copies of a layer's parameters by name."""
    return {name: each.data.copy() for name, each in layer.named_parameters()}


def multiply_parameters(layer: nn.Module, factor: float) -> None:
    """Change every parameter in place, as a step of an optimizer does."""
    for parameter in layer.parameters():
        parameter.data *= np.float32(factor)


def one_layer(cache: Any, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give new keys and values to the first layer of a cache; copies of what comes back."""
    all_keys, all_values = cache[0].update(keys, values)
    return np.array(all_keys), np.array(all_values)


def logits_in_chunks(model: GPT, ids: np.ndarray, ends: Sequence[int], cache: Any) -> np.ndarray:
    """A GPT's scores for ids (B, T) that come in chunks, each ending where `ends` says."""
    starts = [0, *ends[:-1]]
    with no_grad():
        chunks = [model(ids[:, i:j], cache=cache).data for i, j in zip(starts, ends, strict=True)]
    return np.concatenate(chunks, axis=1)  # (B, T, V)


# %% [markdown]
# ## Exercise 6a: four bits
#
# *Difficulty 3 of 5, 30 minutes, 6 points.*
#
# A byte holds two numbers of four bits, called **nibbles**. NumPy has no 4-bit type, so you pack them yourself: the
# number at an even place goes into the low nibble, its right neighbour into the high one. Four bits hold -8 ... 7 in
# two's complement: 7 is `0111`, -1 is `1111`, -8 is `1000`. When a nibble becomes an int8 again, its top bit must be
# copied upwards (*sign extension*), or -1 comes back as 15.
#
# Fifteen levels for a whole row are few. So each run of `group_size` neighbours gets a scale of its own, and the scale
# is fitted to 32 or 64 weights in place of thousands. Scales cost bytes too: count them.


# %% nbgrader={"grade_id": "int4__packing"}
#| export
def pack_int4(values: np.ndarray) -> np.ndarray:
    """Pack numbers of four bits, two a byte, along the last axis.

    The number at place 2i is the low nibble of byte i, the one at 2i + 1 the high nibble. When the
    length is odd, the last high nibble is 0.

    Args:
        values: (..., K) int8 in -8 ... 7.

    Returns:
        (..., ceil(K / 2)) uint8.

    Raises:
        TypeError: no int8.
        ValueError: a number outside -8 ... 7 (the message holds it), or no axis.

    Example:
        >>> pack_int4(np.array([1, -1, 7], np.int8)).tolist()
        [241, 7]
    """
    # TODO:
    # 1. refuse another dtype, an array without an axis, and numbers outside -8 ... 7
    # 2. when the length is odd, add one 0 at the end of the last axis
    # 3. look at the bytes as uint8 and keep the low four bits of each
    # 4. put every second one, shifted up by four, beside its left neighbour
    ### BEGIN SOLUTION
    if values.dtype != np.int8:
        raise TypeError(f"pack_int4 needs int8, got {values.dtype}; quantize to 4 bits first")
    if values.ndim == 0:
        raise ValueError("pack_int4 needs at least one axis, got a single number")
    outside = (values < -8) | (values > 7)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} numbers do not fit into four bits (-8 ... 7), the first is "
            f"{int(values[outside][0])}"
        )
    if values.shape[-1] % 2:
        values = np.concatenate([values, np.zeros((*values.shape[:-1], 1), np.int8)], axis=-1)
    nibbles = values.view(np.uint8) & 0x0F  # (..., K)
    packed: np.ndarray = nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)  # (..., K / 2)
    return packed
    ### END SOLUTION


def unpack_int4(packed: np.ndarray, length: int) -> np.ndarray:
    """Undo `pack_int4`.

    Args:
        packed: (..., ceil(length / 2)) uint8.
        length: K, how many numbers each row holds.

    Returns:
        (..., K) int8 in -8 ... 7.

    Raises:
        TypeError: no uint8.
        ValueError: `length` does not belong to that many bytes; the message holds both numbers.

    Example:
        >>> unpack_int4(np.array([241, 7], np.uint8), 3).tolist()
        [1, -1, 7]
    """
    # TODO:
    # 1. refuse another dtype, and a length that needs more or fewer bytes than there are
    # 2. make room for two int8 a byte
    # 3. low nibbles go to the even places, high nibbles to the odd ones. An int8 shifted right by
    #    four keeps its sign: shift the low nibble up before you shift it down
    # 4. drop the padding of an odd length
    ### BEGIN SOLUTION
    if packed.dtype != np.uint8:
        raise TypeError(f"unpack_int4 needs uint8, got {packed.dtype}; give what pack_int4 returns")
    if packed.ndim == 0 or length < 0 or (length + 1) // 2 != packed.shape[-1]:
        raise ValueError(
            f"{length} numbers of four bits take {(length + 1) // 2} bytes a row, and packed has "
            f"the shape {packed.shape}; give the length that was packed"
        )
    values = np.empty((*packed.shape[:-1], 2 * packed.shape[-1]), np.int8)
    values[..., 0::2] = (packed << 4).view(np.int8) >> 4
    values[..., 1::2] = packed.view(np.int8) >> 4
    return values[..., :length]
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_int4__packing", "points": 3}
# Rejects: nibbles the wrong way round, signs lost on the way back, an odd length cut, numbers that
# do not fit.
assert_close(
    pack_int4(np.array([[1, -1, 7], [-8, 0, -2]], np.int8)),
    np.array([[0xF1, 0x07], [0x08, 0x0E]], np.uint8),
    what="1 -1 7 and -8 0 -2, packed",
    dtype=np.uint8,
)
every_nibble = np.arange(-8, 8, dtype=np.int8)
assert_close(
    unpack_int4(pack_int4(every_nibble), 16), every_nibble, what="all numbers", dtype=np.int8
)
expect_error(ValueError, pack_int4, np.array([3, 8], np.int8), mentions=("8",))
expect_error(TypeError, pack_int4, np.array([3.0, 2.0], np.float32), mentions=("float32",))
expect_error(ValueError, unpack_int4, np.zeros(3, np.uint8), 7, mentions=("7", "3"))
### BEGIN HIDDEN TESTS
rng = fresh("nibbles")
for shape in ((1,), (5,), (4, 7), (3, 2, 8), (2, 0), (0, 6)):
    drawn = rng.integers(-8, 8, size=shape).astype(np.int8)
    if drawn.size:
        drawn[..., 0] = -int(rng.integers(1, 9))  # a sign that can be lost, in a low nibble
    squeezed = pack_int4(drawn)
    rows = drawn.reshape(int(np.prod(shape[:-1])), shape[-1]).tolist()
    expected_bytes = [
        [
            (row[i] % 16) + 16 * (row[i + 1] % 16 if i + 1 < len(row) else 0)
            for i in range(0, len(row), 2)
        ]
        for row in rows
    ]
    assert_close(
        squeezed,
        np.array(expected_bytes, np.uint8).reshape(*shape[:-1], (shape[-1] + 1) // 2),
        what=f"numbers of shape {shape}, packed",
        dtype=np.uint8,
    )
    assert_close(unpack_int4(squeezed, shape[-1]), drawn, what="and back", dtype=np.int8)
backwards = (
    rng.integers(-8, 8, size=(6, 9)).astype(np.int8)[:, ::-1].T
)  # neither contiguous nor even
assert_close(unpack_int4(pack_int4(backwards), 6), backwards, what="a view, and back")
expect_error(ValueError, pack_int4, np.array([[0, -9]], np.int8), mentions=("-9",))
expect_error(TypeError, pack_int4, np.array([1, 2]), mentions=("int64",))
expect_error(TypeError, unpack_int4, np.zeros(2, np.int8), 4, mentions=("int8",))
expect_error(ValueError, unpack_int4, np.zeros(3, np.uint8), 4, mentions=("4", "3"))
### END HIDDEN TESTS


# %% nbgrader={"grade_id": "int4__groups"}
#| export
@dataclass(frozen=True, eq=False)
class QuantizedInt4:
    """A weight in four bits with one scale for each group of neighbours along the last axis.

    Attributes:
        packed: (..., ceil(K / 2)) uint8, as `pack_int4` makes it.
        scale: (..., K / group_size) float32.
        length: K.
        group_size: neighbours that share a scale.

    Example:
        >>> weight = np.array([[0.6, -1.0, 0.2, 7.0]], np.float32)
        >>> four = QuantizedInt4.from_float(weight, group_size=2)
        >>> four.nbytes, unpack_int4(four.packed, 4).tolist()
        (10, [[4, -7, 0, 7]])
    """

    packed: np.ndarray
    scale: np.ndarray
    length: int
    group_size: int

    @classmethod
    def from_float(cls, weight: np.ndarray, group_size: int = 32) -> "QuantizedInt4":
        """Quantize symmetrically: the largest magnitude of a group becomes level 7 or -7.

        A group's scale is that magnitude over 7; a group of zeros has the scale 1.

        Args:
            weight: (..., K) floating point.
            group_size: 1 or more; K must be a multiple of it.

        Raises:
            TypeError: no floating point numbers.
            ValueError: NaN or infinity, no axis, or a K that is no multiple of `group_size` (the
                message holds both).

        Source: groups of weights with a scale each: Dettmers and Zettlemoyer, "The case for 4-bit
            precision", arXiv:2212.09720.
        """
        # TODO:
        # 1. refuse what is not finite, and a K that groups do not fill
        # 2. look at the weight as (..., K / group_size, group_size)
        # 3. a group's scale is its largest magnitude over 7, in float32; a group of zeros gets 1
        # 4. round to the nearest level, and keep within -7 ... 7
        # 5. back to (..., K), and pack
        ### BEGIN SOLUTION
        checked_array(weight, "the weight")
        if weight.ndim == 0 or group_size < 1 or weight.shape[-1] % group_size:
            raise ValueError(
                f"group_size is {group_size} and the weight has the shape {weight.shape}; the last "
                "size must be a multiple of the group size"
            )
        groups = weight.reshape(*weight.shape[:-1], weight.shape[-1] // group_size, group_size)
        scale = (np.abs(groups).max(axis=-1) / 7).astype(np.float32)  # (..., K / group_size)
        scale[scale == 0] = 1
        levels = np.clip(np.rint(groups / scale[..., None]), -7, 7).astype(np.int8)
        packed = pack_int4(levels.reshape(weight.shape))
        return cls(packed, scale, weight.shape[-1], group_size)
        ### END SOLUTION

    @property
    def shape(self) -> tuple[int, ...]:
        """The weight's shape."""
        return (*self.packed.shape[:-1], self.length)

    @property
    def nbytes(self) -> int:
        """Bytes of everything stored, read off the arrays."""
        # TODO: two arrays
        ### BEGIN SOLUTION
        return self.packed.nbytes + self.scale.nbytes
        ### END SOLUTION

    def dequantize(self) -> np.ndarray:
        """The weight again, (..., K) float32."""
        # TODO: unpack, multiply each group by its scale, back to (..., K)
        ### BEGIN SOLUTION
        levels = unpack_int4(self.packed, self.length)
        groups = levels.reshape(*self.scale.shape, self.group_size)
        weight: np.ndarray = (groups * self.scale[..., None]).reshape(self.shape)
        return weight
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_int4__groups", "points": 3}
# Rejects: one scale a row, levels cut in place of rounded, a group of zeros that becomes NaN, bytes
# without the scales.
small_weight = np.array([[0.7, -0.26, 0.0, 0.0], [70.0, 10.0, -0.2, 0.7]], np.float32)
in_four = QuantizedInt4.from_float(small_weight, group_size=2)
assert_close(in_four.scale, np.array([[0.1, 1.0], [10.0, 0.1]], np.float32), what="scales")
assert_close(
    in_four.dequantize(),
    np.array([[0.7, -0.3, 0.0, 0.0], [70.0, 10.0, -0.2, 0.7]], np.float32),
    what="the weight again",
    dtype=np.float32,
)
assert_int(in_four.nbytes, 2 * 2 + 4 * 4, what="bytes of 8 numbers in 4 groups")
expect_error(ValueError, QuantizedInt4.from_float, small_weight, 3, mentions=("3", "4"))
expect_error(
    ValueError, QuantizedInt4.from_float, np.array([1.0, np.nan], np.float32), 1, mentions=("nan",)
)
### BEGIN HIDDEN TESTS
rng = fresh("groups of four bits")
for lead, length, group_size in (((6,), 64, 16), ((3, 2), 24, 8), ((5,), 15, 5), ((4,), 32, 32)):
    drawn = rng.normal(size=(*lead, length)).astype(np.float32)
    drawn *= np.repeat(
        10.0 ** rng.integers(-3, 4, size=(*lead, length // group_size)), group_size, -1
    )
    drawn = drawn.astype(np.float32)
    drawn[0, ..., :group_size] = 0
    four = QuantizedInt4.from_float(drawn, group_size=group_size)
    tops = np.abs(drawn.astype(np.float64)).reshape(*lead, -1, group_size).max(axis=-1) / 7
    steps = np.repeat(np.where(tops > 0, tops, 1.0), group_size, axis=-1)  # (..., K)
    wanted = np.rint(drawn / steps)
    unclear = np.abs(np.abs(drawn / steps - np.trunc(drawn / steps)) - 0.5) < 1e-3  # nearly half
    levels_found = unpack_int4(four.packed, length)
    assert_close(
        np.where(unclear, 0, levels_found),
        np.where(unclear, 0, wanted.astype(np.int8)),
        what="levels",
    )
    assert_close(
        four.scale,
        np.where(tops > 0, tops, 1.0).astype(np.float32),
        what="scales",
        dtype=np.float32,
    )
    again = four.dequantize()
    assert_close(
        again,
        (levels_found * steps).astype(np.float32),
        atol=0,
        what="the weight again",
        dtype=np.float32,
    )
    assert np.all(np.abs(again - drawn) <= 0.5001 * steps), "off by more than half a step"
    rows = int(np.prod(lead))
    assert_int(
        four.nbytes, rows * ((length + 1) // 2) + rows * (length // group_size) * 4, what="bytes"
    )
    assert tuple(four.shape) == drawn.shape, f"shape {four.shape}, expected {drawn.shape}"
expect_error(ValueError, QuantizedInt4.from_float, np.ones((2, 8), np.float32), 0, mentions=("0",))
expect_error(TypeError, QuantizedInt4.from_float, np.ones((2, 8), np.int64), 4, mentions=("int64",))
broken = rng.normal(size=(2, 8)).astype(np.float32)
broken[1, 3] = np.inf
expect_error(ValueError, QuantizedInt4.from_float, broken, 4, mentions=("inf",))
### END HIDDEN TESTS

# %% [markdown]
# ### Measure: what do four bits cost the GPT?
#
# Every Linear of `docs_gpt` in four bits, by group size. The bytes are those of the arrays. The loss is measured on text
# the model never saw; each window of 128 characters is compared with itself in float32, so the interval is that of the
# *difference*.

# %% tags=["measure"]
import threadpoolctl

from tinytorch import dashboards, zoo
from tinytorch.data import digits, python_docs, token_windows

blas_threads = threadpoolctl.threadpool_limits(limits=1)

docs_gpt = zoo.load("docs_gpt")
docs = python_docs()
docs_linears = {
    name: module for name, module in docs_gpt.named_modules() if isinstance(module, nn.Linear)
}
trained_weights = {name: module.weight.data.copy() for name, module in docs_linears.items()}
all_windows, all_next = token_windows(docs.encode(docs.validation), 128, 128)  # (W, T) each
heldout = np.linspace(0, len(all_windows) - 1, 48).astype(int)
heldout_ids, heldout_next = all_windows[heldout], all_next[heldout]  # (48, 128)


def losses_of_windows(model: Callable[..., Tensor], windows: int = 48) -> np.ndarray:
    """Mean loss of each held-out window, nats a character (W,)."""
    losses = []
    with no_grad():
        for i in range(0, windows, 8):
            ids, following = heldout_ids[i : i + 8], heldout_next[i : i + 8]
            scores = F.log_softmax(model(ids), dim=-1).data  # (8, T, V)
            losses.append(-np.take_along_axis(scores, following[..., None], -1).mean(axis=(1, 2)))
    return np.concatenate(losses)


def losses_with(weights: dict[str, np.ndarray], windows: int = 48) -> np.ndarray:
    """The same with other weights in the Linears; the trained ones are put back."""
    try:
        for name, weight in weights.items():
            docs_linears[name].weight.data[:] = weight
        return losses_of_windows(docs_gpt, windows)
    finally:
        for name in weights:
            docs_linears[name].weight.data[:] = trained_weights[name]


def mean_and_half_width(differences: np.ndarray) -> tuple[float, float]:
    """Mean of paired differences, and half of its 95 % interval."""
    spread = float(differences.std(ddof=1)) / len(differences) ** 0.5
    return float(differences.mean()), 1.96 * spread


float_losses = losses_with({})
number_of_weights = sum(weight.size for weight in trained_weights.values())
byte_rows: list[dict[str, object]] = []
curve_int4: list[tuple[float, float]] = []


def add_byte_row(kind: str, size_bytes: int, losses: np.ndarray) -> tuple[float, float]:
    rise, half = mean_and_half_width(losses - float_losses)
    bits = 8 * size_bytes / number_of_weights
    byte_rows.append(
        {
            "Linears in": kind,
            "kB": round(size_bytes / 1e3, 1),
            "bits a weight": round(bits, 2),
            "loss": round(float(losses.mean()), 4),
            "rise": f"{rise:+.4f} ± {half:.4f}",
        }
    )
    return bits, rise


add_byte_row("float32", sum(w.nbytes for w in trained_weights.values()), float_losses)
by_row = Quantizer(bits=8, granularity="channel", axis=0)
in_int8 = {name: by_row.quantize(weight) for name, weight in trained_weights.items()}
point_int8 = add_byte_row(
    "int8, a scale a row",
    sum(each.nbytes for each in in_int8.values()),
    losses_with({name: each.dequantize() for name, each in in_int8.items()}),
)
for group_size in (128, 64, 32, 16, 8):
    in_int4 = {
        name: QuantizedInt4.from_float(weight, group_size)
        for name, weight in trained_weights.items()
    }
    curve_int4.append(
        add_byte_row(
            f"int4, groups of {group_size}",
            sum(each.nbytes for each in in_int4.values()),
            losses_with({name: each.dequantize() for name, each in in_int4.items()}),
        )
    )
dashboards.show(
    dashboards.scaling_curve(
        {"int4, groups of 128 to 8": curve_int4, "int8, a scale a row": [point_int8]},
        x_title="bits a weight, scales included",
        y_title="rise of the loss (nats)",
        title="What four bits cost docs_gpt",
    ),
    summary=f"Float32 has a loss of {float_losses.mean():.4f}. Four bits with groups of 128 raise it by "
    f"{curve_int4[0][1]:.4f} at {curve_int4[0][0]:.2f} bits a weight, groups of 8 by {curve_int4[-1][1]:.4f} at {curve_int4[-1][0]:.2f}.",
    table=byte_rows,
)

# %% [markdown]
# Read the table from the bottom. With groups of 8 the scales take as many bytes as the weights: you pay for eight bits, and
# the second line of the table shows what plain int8 does with them. In between you buy loss with bytes, and the interval
# says which steps are worth the name.

# %% [markdown]
# ## Exercise 6b: training that knows of the rounding
#
# *Difficulty 4 of 5, 35 minutes, 6 points.*
#
# So far the model was trained first and rounded afterwards. **Quantization-aware training** (QAT) rounds the weights in
# every forward pass, so that training can find weights that are good *after* rounding.
#
# There is one obstacle: rounding is a staircase, and the slope of a stair is 0. No gradient would ever come through. The
# **straight-through estimator** pretends on the way back that rounding did nothing: the gradient passes unchanged where the
# number was inside the range. Where it was saturated, a small change changes nothing, and the gradient is 0.

# %% [markdown]
# Which numbers are inside? Those whose *rounded* level, before saturation, is one of the grid's. The largest weight of a row
# lies exactly on the last level. In floating point it may come out a hair beyond; after rounding it is on the level again.
#
# `fake_quantize` gives floating point numbers that lie on the grid. Nothing is stored in int8 yet; hence *fake*.
#
# Sources: Bengio et al., arXiv:1308.3432 (the estimator); Jacob et al., arXiv:1712.05877 (training with it).


# %% nbgrader={"grade_id": "qat__fake"}
#| export
def fake_quantize(x: Tensor, params: QuantParams) -> Tensor:
    """Round a tensor to a grid, with the straight-through gradient.

    Args:
        x: float32, any shape.
        params: the grid: a number becomes scale * (level - zero_point), where level is
            round(x / scale) + zero_point (half to even), saturated to qmin ... qmax.

    Returns:
        float32 of x's shape. The gradient of x is the result's where the level needed no
        saturation, else 0.

    Raises:
        TypeError: no floating point numbers.
        ValueError: NaN or infinity.

    Source: arXiv:1308.3432, arXiv:1712.05877.

    Example:
        >>> grid = symmetric_params(np.float32(1.0), bits=2)  # levels -1, 0, 1
        >>> x = Tensor(np.array([0.4, -0.8, 3.0], np.float32), requires_grad=True)
        >>> y = fake_quantize(x, grid)
        >>> y.sum().backward()
        >>> y.data.tolist(), x.grad.data.tolist()
        ([0.0, -1.0, 1.0], [1.0, 1.0, 0.0])
    """
    # TODO:
    # 1. refuse what is not finite
    # 2. view, scale and zero point by params.aligned
    # 3. levels = round(x / scale) + zero_point; inside where none of them needs saturation
    # 4. the rounded numbers: saturate the levels, take off the zero point, multiply by the scale
    # 5. give back a Tensor with these values whose gradient for x is 1 inside and 0 outside:
    #    x - x.detach() has the value 0 and the gradient 1
    ### BEGIN SOLUTION
    view, scale, zero_point = params.aligned(checked_array(x.data, "x").shape)
    levels = np.rint(x.data.reshape(view) / scale) + zero_point
    inside_grid = ((levels >= params.qmin) & (levels <= params.qmax)).reshape(x.shape)
    rounded = (np.clip(levels, params.qmin, params.qmax) - zero_point) * scale
    passed = (x - x.detach()) * Tensor(inside_grid.astype(np.float32))
    return passed + Tensor(rounded.astype(np.float32).reshape(x.shape))
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_qat__gradient", "points": 3}
# Rejects: no gradient through the rounding, a gradient where the number was saturated, a scale of
# the wrong row, a forgotten zero point.
coarse = QuantParams(np.float32(0.5), np.int32(1), bits=3)  # -2.5 ... 1.0
before = np.array([0.2, 0.3, -1.1, 9.0, -2.6, -9.0], np.float32)
after, slope = inside(
    result_and_gradient, fake_quantize, before, coarse, np.arange(1, 7).astype(np.float32)
)
assert_close(
    after,
    np.array([0.0, 0.5, -1.0, 1.0, -2.5, -2.5], np.float32),
    what="rounded numbers",
    dtype=np.float32,
)
assert_close(
    slope, np.array([1, 2, 3, 0, 5, 0], np.float32), what="gradient (incoming 1 2 3 4 5 6)"
)
expect_error(
    ValueError,
    fake_quantize,
    Tensor(np.array([1.0, np.nan], np.float32)),
    coarse,
    mentions=("nan",),
)
### BEGIN HIDDEN TESTS
rng = fresh("fake quantization")
bits = int(rng.integers(3, 9))
lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
kinds: list[tuple[tuple[int, ...], tuple[int, ...], int | None, int | None]] = [
    ((40,), (), None, None),
    ((5, 24), (5,), 0, None),
    ((3, 4, 10), (4,), 1, None),
    ((4, 24), (4, 3), None, 8),
]
for shape, scale_shape, axis, group in kinds:
    count = int(np.prod(scale_shape))
    steps = np.float32(1.7) ** rng.permutation(count).reshape(scale_shape)  # all different
    steps = (steps * rng.uniform(0.01, 0.1)).astype(np.float32)
    zeros_at = rng.integers(lowest, highest + 1, size=scale_shape).astype(np.int32)
    grid = QuantParams(np.asarray(steps), np.asarray(zeros_at), bits, axis, group)
    if group is not None:
        step, zero = np.repeat(steps, group, -1), np.repeat(zeros_at, group, -1)
    elif axis is not None:
        wide = [-1 if i == axis else 1 for i in range(len(shape))]
        step, zero = steps.reshape(wide), zeros_at.reshape(wide)
    else:
        step, zero = steps, zeros_at
    wanted = rng.integers(lowest - 6, highest + 7, size=shape)  # levels, some beyond the grid
    flat = wanted.reshape(-1)
    flat[:4] = lowest - 3, highest + 2, lowest, highest  # each case each time
    drawn = ((wanted - zero + rng.uniform(-0.4, 0.4, size=shape)) * step).astype(np.float32)
    incoming = rng.normal(size=shape).astype(np.float32)
    after, slope = inside(result_and_gradient, fake_quantize, drawn, grid, incoming)
    within = (wanted >= lowest) & (wanted <= highest)
    exact = (np.clip(wanted, lowest, highest) - zero) * step.astype(np.float64)
    assert_close(
        after,
        exact.astype(np.float32),
        rtol=1e-5,
        atol=1e-6,
        what=f"grid of {scale_shape} on {shape}",
        dtype=np.float32,
    )
    assert_close(slope, np.where(within, incoming, 0), rtol=1e-5, atol=1e-6, what="its gradient")
expect_error(TypeError, fake_quantize, Tensor(np.array([1, 2])), coarse, mentions=("int64",))
spoiled = rng.normal(size=7).astype(np.float32)
spoiled[2] = -np.inf
expect_error(ValueError, fake_quantize, Tensor(spoiled), coarse, mentions=("inf",))
### END HIDDEN TESTS


# %% nbgrader={"grade_id": "qat__layer"}
#| export
class QATLinear(nn.Module):
    """A Linear that computes with rounded weights and learns the weights before rounding.

    Args:
        weight: (N, K) float32; a copy becomes the parameter `weight`.
        bias: (N,) or None; a copy becomes the parameter `bias`.
        quantizer: its `params(weight)` gives the weight's grid, anew in each pass: the weights move.
        input_params: grid of the input; None leaves the input as it is.

    Example:
        >>> layer = QATLinear.from_float(nn.Linear(4, 2), Quantizer(bits=2))
        >>> layer(Tensor(np.ones((3, 4), np.float32))).shape
        (3, 2)
    """

    def __init__(
        self,
        weight: np.ndarray,
        bias: np.ndarray | None,
        quantizer: Quantizer,
        input_params: QuantParams | None = None,
    ) -> None:
        self.weight = nn.Parameter(weight.copy())
        self.bias = None if bias is None else nn.Parameter(bias.copy())
        self.quantizer = quantizer
        self.input_params = input_params

    @classmethod
    def from_float(
        cls, linear: nn.Linear, quantizer: Quantizer, input_params: QuantParams | None = None
    ) -> "QATLinear":
        """Start from the weights of a Linear, which stays as it is."""
        bias = None if linear.bias is None else linear.bias.data
        return cls(linear.weight.data, bias, quantizer, input_params)

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N), computed with fake-quantized weights (and inputs)."""
        # TODO:
        # 1. the grid of the weights as they are now
        # 2. fake-quantize the weight parameter; do not write into it
        # 3. fake-quantize the input when there is a grid for it
        # 4. F.linear
        ### BEGIN SOLUTION
        weight = fake_quantize(self.weight, self.quantizer.params(self.weight.data))
        if self.input_params is not None:
            x = fake_quantize(x, self.input_params)
        return F.linear(x, weight, self.bias)
        ### END SOLUTION

    def to_float(self) -> nn.Linear:
        """A Linear with copies of the learned weights, not rounded: ready to be quantized."""
        # TODO: nn.Linear draws its own weights: copy yours over them. Mind a missing bias
        ### BEGIN SOLUTION
        rows, columns = self.weight.shape
        linear = nn.Linear(columns, rows, bias=self.bias is not None, rng=np.random.default_rng(0))
        linear.weight.data[:] = self.weight.data
        if linear.bias is not None and self.bias is not None:
            linear.bias.data[:] = self.bias.data
        return linear
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_qat__layer", "points": 3}
# Rejects: rounded numbers written into the weights, a grid that stays when the weights move, an
# input that is not rounded, weights rounded on the way out.
plain = nn.Linear(3, 2, rng=np.random.default_rng(0))
plain.weight.data[:] = np.array([[1.0, -0.3, 0.6], [0.2, -0.1, -0.02]], np.float32)
plain.bias.data[:] = np.array([0.5, 0.0], np.float32)
aware = QATLinear.from_float(plain, GivenRowQuantizer(bits=2))  # levels -1, 0, 1
some_input = np.array([[1.0, 2.0, 3.0]], np.float32)
seen = inside(pass_through_layer, aware, some_input, np.array([[1.0, 10.0]], np.float32))
assert_close(
    seen["result"],
    np.array([[4.5, 0.2]], np.float32),
    what="x times the rounded weights, plus bias",
)
assert_close(
    seen["weight"], np.array([[1, 2, 3], [10, 20, 30]], np.float32), what="gradient of the weights"
)
assert_close(
    inside(parameter_values, aware)["weight"], plain.weight.data, what="the weights themselves"
)
### BEGIN HIDDEN TESTS
rng = fresh("layers aware of rounding")
for bits, with_bias, share in ((2, True, 1.0), (3, False, 0.6), (4, True, 0.6)):
    rows, columns, batch = int(rng.integers(2, 7)), int(rng.integers(5, 9)), int(rng.integers(2, 6))
    top = 2 ** (bits - 1) - 1
    steps = 1.5 ** rng.permutation(rows)[:, None] * rng.uniform(0.05, 0.2)  # (N, 1)
    wanted = rng.integers(-top, top + 1, size=(rows, columns))
    offsets = rng.uniform(0.1, 0.4, size=wanted.shape) * rng.choice([-1, 1], size=wanted.shape)
    drawn = np.clip(wanted + offsets, -top / share, top / share) * steps
    drawn[:, 0] = top / share * steps[:, 0]  # the largest: the grid is known
    drawn[:, 1] = 0.3 * steps[:, 0]
    wanted[:, 0], wanted[:, 1] = top, 0
    wanted = np.clip(wanted, -top, top)
    unsaturated = np.abs(np.rint(drawn / steps)) <= top
    start = nn.Linear(columns, rows, bias=with_bias, rng=rng)
    start.weight.data[:] = drawn
    bias = rng.normal(size=rows).astype(np.float32) if with_bias else np.zeros(rows, np.float32)
    if with_bias:
        start.bias.data[:] = bias
    input_grid = QuantParams(np.float32(0.25), np.int32(-2), bits=4)  # -1.5 ... 2.25
    input_levels = rng.integers(-14, 14, size=(batch, columns))
    input_levels[0, :2] = -14, 13  # saturated both ways
    inputs = ((input_levels + 2 + rng.uniform(-0.4, 0.4, size=input_levels.shape)) * 0.25).astype(
        np.float32
    )
    rounded_inputs = (np.clip(input_levels, -8, 7) + 2) * 0.25
    incoming = rng.normal(size=(batch, rows)).astype(np.float32)
    for grid, used, open_inputs in (
        (None, inputs.astype(np.float64), np.ones(inputs.shape)),
        (input_grid, rounded_inputs, (input_levels >= -8) & (input_levels <= 7)),
    ):
        aware = QATLinear.from_float(start, GivenRowQuantizer(bits, share), grid)
        for factor in (1.0, 2.5):  # the second time the weights have moved
            if factor != 1.0:
                inside(multiply_parameters, aware, factor)
            weight = wanted * steps * factor
            seen = inside(pass_through_layer, aware, inputs, incoming)
            assert_close(
                seen["result"],
                (used @ weight.T + factor * bias).astype(np.float32),
                rtol=1e-4,
                atol=1e-4,
                what="result",
            )
            assert_close(
                seen["weight"],
                (incoming.T @ used * unsaturated).astype(np.float32),
                rtol=1e-4,
                atol=1e-4,
                what="gradient of the weights",
            )
            assert_close(
                seen["input"],
                (incoming @ weight * open_inputs).astype(np.float32),
                rtol=1e-4,
                atol=1e-4,
                what="gradient of the input",
            )
            if with_bias:
                assert_close(
                    seen["bias"],
                    incoming.sum(axis=0),
                    rtol=1e-4,
                    atol=1e-4,
                    what="gradient of the bias",
                )
        parameters = inside(parameter_values, aware)
        assert sorted(parameters) == sorted(["weight"] + ["bias"] * with_bias), (
            f"parameters {sorted(parameters)}"
        )
        assert_close(
            parameters["weight"],
            (2.5 * drawn).astype(np.float32),
            rtol=1e-5,
            what="the weights, not rounded",
        )
        assert_close(
            start.weight.data,
            drawn.astype(np.float32),
            rtol=1e-6,
            what="the Linear it was made from",
        )
        back = inside(parameter_values, aware.to_float())
        assert sorted(back) == sorted(parameters), f"to_float() has the parameters {sorted(back)}"
        for name, values in back.items():
            assert_close(values, parameters[name], rtol=1e-6, what=f"{name} after to_float()")
### END HIDDEN TESTS

# %% [markdown]
# A model is made of such layers by `prepare_qat`, which is written already: it copies the model and puts a `QATLinear` in the
# place of each Linear.


# %%
#| export
def prepare_qat(model: nn.Module, quantizer: Quantizer, skip: Sequence[str] = ()) -> nn.Module:
    """A copy of a model whose Linears, except those named in `skip`, are QATLinears.

    Args:
        model: stays as it is.
        quantizer: for the weights.
        skip: dotted names, as `named_modules` gives them.

    Raises:
        ValueError: a name in `skip` that is no Linear of the model.

    Example:
        >>> prepare_qat(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), Quantizer(bits=2))[0].training
        True
    """
    copied = deepcopy(model)
    linears = {name for name, module in copied.named_modules() if isinstance(module, nn.Linear)}
    unknown = sorted(set(skip) - linears)
    if unknown:
        raise ValueError(f"skip names {unknown}; the model's Linears are {sorted(linears)}")
    for prefix, module in list(copied.named_modules()):
        for name, child in list(module.named_children()):
            dotted = f"{prefix}.{name}" if prefix else name
            if isinstance(child, nn.Linear) and dotted not in skip:
                setattr(module, name, QATLinear.from_float(child, quantizer).train(child.training))
    return copied


# %% [markdown]
# ### Measure: before or after training?
#
# One network for the digits, eight times from eight seeds. Each is trained in float32 and then goes three ways: rounded as
# it is; trained 300 steps *longer* in float32 and rounded, so that QAT gets no credit for mere training; or trained these
# 300 steps with QAT. All three end as `Quantizer(...).quantize` leaves them, one scale a row.

# %% tags=["measure"]
from tinytorch import optim, training
from tinytorch.data import DataLoader
from tinytorch.models import MLP
from tinytorch.profiling import median_interval

digit_split = digits()
digit_rows = digit_split.train_images.reshape(len(digit_split.train_images), -1)  # (N, 64)
digit_tests = digit_split.test_images.reshape(len(digit_split.test_images), -1)


def digit_accuracy(model: nn.Module) -> float:
    """Percent of the test digits that a model names right."""
    with no_grad():
        named = model(Tensor(digit_tests)).data.argmax(axis=1)
    return 100 * float((named == digit_split.test_labels).mean())


def train_on_digits(model: nn.Module, steps: int, lr: float, seed: int) -> nn.Module:
    """Train a model; the same seed gives the same batches."""
    order = np.random.default_rng(seed)
    loader = DataLoader((digit_rows, digit_split.train_labels), 32, shuffle=True, rng=order)
    training.fit(
        model, loader, optim.AdamW(model.parameters(), lr=lr), steps=steps, show_progress=False
    )
    return model.eval()


def really_rounded(model: nn.Module, weight_quantizer: Quantizer) -> nn.Module:
    """A float copy of a model whose Linears hold what their quantized weights stand for."""
    rounded = deepcopy(model)
    for name, child in list(rounded.layers.named_children()):
        if isinstance(child, QATLinear):
            setattr(rounded.layers, name, child.to_float())
    for module in rounded.modules():
        if isinstance(module, nn.Linear):
            module.weight.data[:] = weight_quantizer.quantize(module.weight.data).dequantize()
    return rounded


ways = ("rounded", "longer", "QAT")
accuracies: dict[str, list[float]] = {f"{bits} bits: {way}": [] for bits in (2, 3) for way in ways}
float_accuracies = []
for seed in range(8):
    network = train_on_digits(MLP([64, 64, 10], rng=np.random.default_rng(seed)), 400, 3e-3, seed)
    float_accuracies.append(digit_accuracy(network))
    longer = train_on_digits(deepcopy(network), 300, 1e-3, 100 + seed)
    for bits in (2, 3):
        few_bits = Quantizer(bits=bits, granularity="channel", axis=0)
        taught = train_on_digits(prepare_qat(network, few_bits), 300, 1e-3, 100 + seed)
        for way, model in zip(ways, (network, longer, taught), strict=True):
            accuracies[f"{bits} bits: {way}"].append(
                digit_accuracy(really_rounded(model, few_bits))
            )
gains = []
for bits in (2, 3):
    differences = np.subtract(accuracies[f"{bits} bits: QAT"], accuracies[f"{bits} bits: longer"])
    low, high = median_interval(differences.tolist())
    gains.append(
        f"At {bits} bits QAT is {np.median(differences):+.1f} points better than rounding after the same training "
        f"(median of 8 seeds, 95 % interval {low:+.1f} ... {high:+.1f})"
    )
dashboards.show(
    dashboards.distribution(
        {"float32": float_accuracies, **accuracies},
        x_title="test accuracy (percent)",
        title="Eight networks for the digits, each rounded three ways",
    ),
    summary=f"Float32: {np.median(float_accuracies):.1f} % (median). " + ". ".join(gains) + ".",
    table=[
        {"way": name, "median": round(float(np.median(values)), 1), "worst": round(min(values), 1)}
        for name, values in {"float32": float_accuracies, **accuracies}.items()
    ],
)

# %% [markdown]
# Where is the gain, and where does it end? QAT costs a training run and needs labels. Where rounding alone loses little, it
# has little to win back: look at whether the interval at 3 bits reaches 0.

# %% [markdown]
# ## Exercise 6c: which weights matter?
#
# *Difficulty 3 of 5, 30 minutes, 5 points.*
#
# A weight's error reaches the result multiplied by what flows through its column: the **activation**. A column whose input
# is large is *salient*, however small its weights are. Keeping such columns in float32 helps, but a matrix of two kinds of
# numbers is slow. Activation-aware quantization (AWQ) scales instead:
#
# $$ y = W x = (W \operatorname{diag}(s)) \; (\operatorname{diag}(s)^{-1} x), \qquad s_k = (\text{mean}\,|x_k|)^{\alpha} $$
#
# A column multiplied by $s_k > 1$ before rounding has an error smaller by $s_k$ after the division. Its row's step grows
# when it now holds the largest weight, so $\alpha$ is searched: 0 scales nothing, 1 scales fully.
# Source: Lin et al., "AWQ", arXiv:2306.00978.


# %%
#| export
@dataclass(frozen=True, eq=False)
class AlphaSearch:
    """What `search_alpha` found.

    Attributes:
        alpha: the best exponent of the grid.
        scales: (K,) float32, the scales of that exponent.
        errors: mean squared error of the layer's result, one for each exponent of the grid.
    """

    alpha: float
    scales: np.ndarray
    errors: tuple[float, ...]


# %% nbgrader={"grade_id": "awq"}
#| export
def channel_importance(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Mean magnitude of each input channel over all rows of all batches.

    Args:
        batches: arrays (..., K) of floating point numbers, one K for all. They may differ in their
            number of rows; each row counts the same.

    Returns:
        (K,) float32.

    Raises:
        TypeError: no floating point numbers.
        ValueError: no row at all, NaN or infinity, or batches of different K (the message holds
            both).

    Example:
        >>> batches = [np.array([[1.0, -4.0]]), np.array([[3.0, 0.0], [2.0, -2.0]])]
        >>> channel_importance(batches).tolist()
        [2.0, 2.0]
    """
    # TODO:
    # 1. for each batch: refuse what is not finite, look at it as rows (M, K)
    # 2. refuse a K that differs from the first batch's
    # 3. add up magnitudes in float64, and count the rows
    # 4. refuse an empty calibration; divide
    ### BEGIN SOLUTION
    total = np.zeros(0)
    rows = 0
    for number, batch in enumerate(batches):
        magnitudes = np.abs(checked_array(batch, f"batch {number}"))
        if magnitudes.ndim == 0:
            raise ValueError(f"batch {number} is a single number; give (..., K)")
        if number == 0:
            total = np.zeros(batch.shape[-1])
        if batch.shape[-1] != len(total):
            raise ValueError(
                f"batch {number} has {batch.shape[-1]} channels, the first had {len(total)}"
            )
        magnitudes = magnitudes.reshape(-1, len(total))  # (M, K)
        total += magnitudes.sum(axis=0, dtype=np.float64)
        rows += len(magnitudes)
    if rows == 0:
        raise ValueError("the batches are empty: give at least one row of activations")
    return (total / rows).astype(np.float32)
    ### END SOLUTION


def awq_scales(weight: np.ndarray, importance: np.ndarray, alpha: float) -> np.ndarray:
    """One scale for each column of a weight: importance ** alpha, centred around 1.

    Args:
        weight: (N, K).
        importance: (K,), 0 or more. Below 1e-4 it counts as 1e-4, so that no scale is 0.
        alpha: 0 (all scales are 1) to 1.

    Returns:
        (K,) float32, divided by sqrt(largest * smallest), so that these two are each other's
        inverse.

    Raises:
        ValueError: an alpha outside 0 ... 1, an importance of another length than K, or one that is
            negative, NaN or infinite.

    Source: arXiv:2306.00978, equations 4 and 5.

    Example:
        >>> awq_scales(np.ones((3, 2), np.float32), np.array([4.0, 1.0], np.float32), 0.5).tolist()
        [1.4142135381698608, 0.7071067690849304]
    """
    # TODO:
    # 1. refuse another length, an alpha outside 0 ... 1, a negative importance
    # 2. raise the importance to alpha, not less than 1e-4 each
    # 3. divide by the square root of largest times smallest
    ### BEGIN SOLUTION
    checked_array(importance, "importance")
    if weight.ndim != 2 or importance.shape != weight.shape[1:]:
        raise ValueError(
            f"importance has the shape {importance.shape} and the weight {weight.shape}; give one "
            "number for each column of an (N, K) weight"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must be in 0 ... 1")
    if (importance < 0).any():
        raise ValueError(f"importance holds {importance.min()}; a mean magnitude is not negative")
    raised = np.maximum(importance.astype(np.float64), 1e-4) ** alpha  # (K,)
    scales: np.ndarray = (raised / np.sqrt(raised.max() * raised.min())).astype(np.float32)
    return scales
    ### END SOLUTION


def search_alpha(
    weight: np.ndarray,
    activations: np.ndarray,
    quantizer: Quantizer,
    grid: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
) -> AlphaSearch:
    """Find the exponent whose scaled weight, quantized, gives the result with the smallest error.

    Args:
        weight: (N, K).
        activations: (M, K) inputs of the layer; their importance is taken from them.
        quantizer: `quantizer.quantize(array).dequantize()` is what quantization leaves of an array.
        grid: exponents to try, in 0 ... 1.

    Returns:
        The exponent with the smallest mean squared error of activations @ weight.T, of equal ones
        the first, its scales, and all errors. With 0 in the grid it is never worse than not
        scaling.

    Raises:
        ValueError: an empty grid, an exponent outside 0 ... 1, no activations, NaN or infinity,
            shapes that do not fit.

    Source: arXiv:2306.00978, equation 5.
    """
    # TODO:
    # 1. refuse an empty grid; the importance of the activations
    # 2. for each alpha: scale the columns, quantize, dequantize, divide the columns again
    # 3. the error is that of the layer's result, not that of the weights
    # 4. keep the first alpha with the smallest error
    ### BEGIN SOLUTION
    if len(grid) == 0:
        raise ValueError("the grid is empty; give at least one alpha in 0 ... 1")
    importance = channel_importance([activations])
    candidates = [awq_scales(weight, importance, alpha) for alpha in grid]
    errors = []
    for scales in candidates:
        restored = quantizer.quantize(weight * scales).dequantize() / scales  # (N, K)
        difference = activations @ (restored - weight).T  # (M, N)
        errors.append(float(np.square(difference, dtype=np.float64).mean()))
    best = int(np.argmin(errors))
    return AlphaSearch(float(grid[best]), candidates[best], tuple(errors))
    ### END SOLUTION


# %% nbgrader={"grade_id": "test_awq__scales", "points": 2}
# Rejects: a mean of signed values, a mean of the batches' means, scales that are not centred, a
# silent channel that gets the scale 0.
two_batches = [
    np.array([[[1.0, -4.0, 0.0]]], np.float32),
    np.array([[3.0, 0.0, 0.0], [-2.0, -2.0, 0.0]], np.float32),
]
assert_close(
    channel_importance(two_batches), np.array([2.0, 2.0, 0.0], np.float32), what="importance"
)
assert_close(
    awq_scales(np.ones((2, 3), np.float32), np.array([16.0, 1.0, 4.0], np.float32), 0.5),
    np.array([2.0, 0.5, 1.0], np.float32),
    what="scales of 16 1 4 at alpha 0.5",
    dtype=np.float32,
)
expect_error(ValueError, channel_importance, [], mentions=("empty",))
expect_error(
    ValueError, awq_scales, np.ones((2, 3)), np.ones(3, np.float32), 1.5, mentions=("1.5",)
)
### BEGIN HIDDEN TESTS
rng = fresh("importance")
channels = int(rng.integers(3, 9))
uneven = [
    (rng.normal(size=shape) * 10.0**power).astype(np.float32)
    for shape, power in (((2, channels), 1), ((7, 3, channels), 0), ((1, channels), 2))
]
rows_in_one = np.concatenate([np.abs(each).reshape(-1, channels) for each in uneven])
assert_close(
    channel_importance(uneven),
    rows_in_one.astype(np.float64).mean(axis=0).astype(np.float32),
    rtol=1e-4,
    what="importance of uneven batches",
)
assert_close(
    channel_importance(each for each in uneven),
    rows_in_one.astype(np.float64).mean(axis=0).astype(np.float32),
    rtol=1e-4,
    what="importance of batches that come one by one",
)
drawn = (10.0 ** rng.uniform(-2, 3, size=channels)).astype(np.float32)
drawn[0], drawn[1] = 0.0, 1e-6  # silent channels
alpha = float(rng.uniform(0.2, 0.9))
raised = np.maximum(drawn.astype(np.float64), 1e-4) ** alpha
columns_of = np.ones((2, channels), np.float32)
assert_close(
    awq_scales(columns_of, drawn, alpha),
    (raised / np.sqrt(raised.max() * raised.min())).astype(np.float32),
    rtol=1e-4,
    what=f"scales at alpha {alpha:.2f}",
    dtype=np.float32,
)
assert_close(awq_scales(columns_of, drawn, 0.0), np.ones(channels, np.float32), what="alpha 0")
expect_error(
    ValueError, awq_scales, columns_of, drawn[1:], 0.5, mentions=(str(channels), str(channels - 1))
)
expect_error(ValueError, awq_scales, columns_of, -drawn - 1, 0.5)
expect_error(
    ValueError,
    channel_importance,
    [uneven[0], np.ones((2, channels + 1), np.float32)],
    mentions=(str(channels), str(channels + 1)),
)
expect_error(
    ValueError, channel_importance, [np.zeros((0, channels), np.float32)], mentions=("empty",)
)
expect_error(TypeError, channel_importance, [np.ones((2, 3), np.int64)], mentions=("int64",))
with_a_hole = uneven[1].copy()
with_a_hole[3, 1, 0] = np.nan
expect_error(ValueError, channel_importance, [uneven[0], with_a_hole], mentions=("nan",))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_awq__search", "points": 3}
# Rejects: the error of the weights in place of the result's, scales not divided out again, the
# worst alpha, an alpha that ignores the grid.
rng_visible = np.random.default_rng(5)
few_inputs = rng_visible.normal(size=(64, 16)).astype(np.float32)
few_inputs[:, 3] *= 100  # one salient channel
few_weights = rng_visible.normal(size=(8, 16)).astype(np.float32)
found = search_alpha(few_weights, few_inputs, GivenRowQuantizer(bits=4), grid=(0.0, 0.5, 1.0))
assert_int(len(found.errors), 3, what="errors of a grid of three")
assert found.alpha in (0.5, 1.0), f"scaling must win beside a salient channel, got {found.alpha}"
assert min(found.errors) < 0.5 * found.errors[0], f"errors {found.errors}"
expect_error(
    ValueError,
    search_alpha,
    few_weights,
    few_inputs,
    GivenRowQuantizer(4),
    grid=(),
    mentions=("empty",),
)
### BEGIN HIDDEN TESTS
rng = fresh("search of alpha")
for bits, salient in ((3, 30.0), (4, 300.0)):
    columns, rows, count = 24, int(rng.integers(6, 13)), 80
    inputs = rng.normal(size=(count, columns)).astype(np.float32)
    loud = rng.permutation(columns)[:2]
    inputs[:, loud] *= np.float32(salient)
    weights = rng.normal(size=(rows, columns)).astype(np.float32)
    weights[:, loud] *= np.float32(0.2)
    tried = tuple(float(each) for each in rng.permutation(np.linspace(0, 1, 9)))
    importance = np.abs(inputs).mean(axis=0, dtype=np.float64)
    expected_errors, all_scales = [], []
    for alpha in tried:
        scales = np.maximum(importance, 1e-4) ** alpha
        scales = (scales / np.sqrt(scales.max() * scales.min())).astype(np.float32)
        restored = GivenRowQuantizer(bits).quantize(weights * scales).dequantize() / scales
        off = inputs.astype(np.float64) @ (restored.astype(np.float64) - weights).T
        expected_errors.append(float((off**2).mean()))
        all_scales.append(scales)
    found = search_alpha(weights, inputs, GivenRowQuantizer(bits), tried)
    # A level at the edge of two may fall either way: allow a few per cent of the largest error.
    assert_close(
        list(found.errors),
        expected_errors,
        rtol=0.05,
        atol=0.01 * max(expected_errors),
        what="errors of the grid",
    )
    claimed = int(np.argmin([abs(found.alpha - alpha) for alpha in tried]))
    assert_close(found.alpha, tried[claimed], rtol=1e-9, what="alpha, one of the grid")
    assert expected_errors[claimed] <= 1.06 * min(expected_errors), (
        f"alpha {found.alpha} has the error {expected_errors[claimed]}, the best {min(expected_errors)}"
    )
    assert min(expected_errors) < 0.6 * expected_errors[tried.index(0.0)], "the draw shows nothing"
    assert_close(
        found.scales,
        all_scales[claimed],
        rtol=1e-3,
        what="scales of the best alpha",
        dtype=np.float32,
    )
level_inputs = rng.choice([-1.0, 1.0], size=(40, 6)).astype(np.float32)  # all equally important
tie = search_alpha(weights[:, :6], level_inputs, GivenRowQuantizer(3), (0.7, 0.0, 0.3))
assert_close(tie.alpha, 0.7, rtol=1e-9, what="alpha of equal errors: the first")
expect_error(
    ValueError, search_alpha, weights, inputs, GivenRowQuantizer(3), (0.5, 1.5), mentions=("1.5",)
)
expect_error(
    ValueError,
    search_alpha,
    weights,
    inputs[:, 1:],
    GivenRowQuantizer(3),
    (0.5,),
    mentions=("24", "23"),
)
expect_error(
    ValueError, search_alpha, weights, inputs[:0], GivenRowQuantizer(3), (0.5,), mentions=("empty",)
)
### END HIDDEN TESTS

# %% [markdown]
# ### Measure: salient, random, scaled
#
# Four ways to spend the bits of the GPT's Linears: all columns rounded; 3 % of the columns kept in float32, chosen at random or
# by importance; and AWQ, which keeps none. The importance comes from eight windows of the *training* text, the loss from
# text the model never saw.

# %% tags=["measure"]
calibration_starts = np.random.default_rng(0).integers(0, 200_000, size=8)
calibration_text = docs.encode(docs.train)
calibration_ids = np.stack([calibration_text[i : i + 128] for i in calibration_starts])  # (8, T)


def inputs_of_linears(model: nn.Module, ids: np.ndarray) -> dict[str, np.ndarray]:
    """What each Linear of a model is given: (M, K) by name."""
    collected: dict[str, np.ndarray] = {}
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):

            def keep(module: nn.Module, args: tuple[Any, ...], name: str = name) -> None:
                collected[name] = args[0].data.reshape(-1, args[0].shape[-1])

            handles.append(module.register_forward_pre_hook(keep))
    try:
        with no_grad():
            model(ids)
    finally:
        for handle in handles:
            handle.remove()
    return collected


calibration_inputs = inputs_of_linears(docs_gpt, calibration_ids)
importances = {name: channel_importance([x]) for name, x in calibration_inputs.items()}


def rounded_but(name: str, rounding: Quantizer, kept: np.ndarray) -> np.ndarray:
    """A trained weight, rounded in all columns but the kept ones."""
    weight = rounding.quantize(trained_weights[name]).dequantize()
    weight[:, kept] = trained_weights[name][:, kept]
    return weight


def scaled_and_rounded(
    weights: dict[str, np.ndarray], inputs: dict[str, np.ndarray], rounding: Quantizer
) -> dict[str, np.ndarray]:
    """What AWQ leaves of weights: scaled, rounded, and divided again."""
    restored = {}
    for name, weight in weights.items():
        scales = search_alpha(weight, inputs[name], rounding).scales
        restored[name] = rounding.quantize(weight * scales).dequantize() / scales
    return restored


def rises_of(rounding: Quantizer) -> dict[str, list[np.ndarray]]:
    """Rise of each window's loss, a list of runs for each way."""
    kept = {name: max(1, round(0.03 * len(each))) for name, each in importances.items()}
    salient = {name: np.argsort(-each)[: kept[name]] for name, each in importances.items()}
    runs: dict[str, list[np.ndarray]] = {"random": []}
    nothing = np.zeros(0, int)
    runs["none"] = [losses_with({n: rounded_but(n, rounding, nothing) for n in kept})]
    for seed in range(3):
        draw = np.random.default_rng(seed)
        chosen = {n: draw.choice(len(importances[n]), k, replace=False) for n, k in kept.items()}
        runs["random"].append(losses_with({n: rounded_but(n, rounding, chosen[n]) for n in kept}))
    runs["salient"] = [losses_with({n: rounded_but(n, rounding, salient[n]) for n in kept})]
    runs["scaled"] = [
        losses_with(scaled_and_rounded(trained_weights, calibration_inputs, rounding))
    ]
    return {
        way: [losses - float_losses for losses in runs[way]]
        for way in ("none", "random", "salient", "scaled")
    }


ablation = {"4 bits": rises_of(Quantizer(bits=4, granularity="channel", axis=0))}

# %% tags=["measure"]
ablation["3 bits"] = rises_of(Quantizer(bits=3, granularity="channel", axis=0))

# %% tags=["measure"]
ablation["3 bits / 32"] = rises_of(Quantizer(bits=3, granularity="group", group_size=32))
ablation_rows = []
for label, ways_found in ablation.items():
    for way, runs in ways_found.items():
        rise = np.mean(runs, axis=0)  # (W,)
        mean, half = mean_and_half_width(rise)
        against, against_half = mean_and_half_width(rise - ways_found["none"][0])
        ablation_rows.append(
            {
                "quantizer": label,
                "kept in float32": {
                    "none": "none",
                    "random": "3 % at random",
                    "salient": "3 % salient",
                    "scaled": "none, AWQ",
                }[way],
                "rise of the loss": f"{mean:+.4f} ± {half:.4f}",
                "against none": f"{against:+.4f} ± {against_half:.4f}",
            }
        )
loudness = {name: float(each.max() / np.median(each)) for name, each in importances.items()}
loudest = max(loudness, key=lambda name: loudness[name])
dashboards.show(
    dashboards.distribution(
        {
            f"{label}: {way}": [float(run.mean()) for run in runs]
            for label, ways_found in ablation.items()
            for way, runs in ways_found.items()
        },
        x_title="rise of the validation loss (nats a character)",
        title="Columns kept at random, columns kept by importance, columns scaled",
    ),
    summary="Rise of the loss over float32 (3 bits / 32: groups of 32, else a scale a row). "
    + "; ".join(
        f"{label}: " + ", ".join(f"{way} {np.mean(runs):.4f}" for way, runs in ways_found.items())
        for label, ways_found in ablation.items()
    )
    + f". The loudest channel of a layer's input is {np.median(list(loudness.values())):.1f} times its median channel (median of "
    f"the layers; the most is {loudness[loudest]:.0f} times, in {loudest}).",
    table=ablation_rows,
)

# %% [markdown]
# ### When does this lose?
#
# Read the right column: each way against rounding all columns, window by window. At three bits, are columns chosen by
# importance worth more than columns chosen at random? And at four? Is the gain of AWQ larger than its interval? It keeps nothing in float32 and can only
# scale. The last sentence below the figure says how much louder than the others the loudest channels are here.
#
# In large models some channels are a hundred times louder. You can make such channels here. Multiply two channels of each
# LayerNorm by 30 and divide the columns that read them by 30: **the same function**, in other numbers.

# %% tags=["measure"]
loud_gpt = deepcopy(docs_gpt)
for block in loud_gpt.blocks:
    for norm, reader in (
        (block.norm1, block.attention.qkv),
        (block.norm2, block.feed_forward.fc1),
    ):
        for channel in (5, 77):
            norm.weight.data[channel] *= 30
            norm.bias.data[channel] *= 30
            reader.weight.data[:, channel] /= 30
loud_linears = {n: m for n, m in loud_gpt.named_modules() if isinstance(m, nn.Linear)}
loud_weights = {name: module.weight.data.copy() for name, module in loud_linears.items()}
loud_inputs = inputs_of_linears(loud_gpt, calibration_ids)
four_bits = Quantizer(bits=4, granularity="channel", axis=0)


def loud_losses(weights: dict[str, np.ndarray]) -> np.ndarray:
    """Losses of the rewritten GPT with these weights."""
    for name, weight in weights.items():
        loud_linears[name].weight.data[:] = weight
    return losses_of_windows(loud_gpt)


loud_ways = {
    "float32": loud_losses(loud_weights),
    "4 bits": loud_losses({n: four_bits.quantize(w).dequantize() for n, w in loud_weights.items()}),
    "4 bits, AWQ": loud_losses(scaled_and_rounded(loud_weights, loud_inputs, four_bits)),
}
for way, losses in loud_ways.items():
    rise, half = mean_and_half_width(losses - float_losses)
    print(f"with loud channels, {way:12s} loss {losses.mean():.4f}, rise {rise:+.4f} ± {half:.4f}")

# %% [markdown]
# In float32 nothing changed. In four bits the small columns round to 0, and the loud channels that they read are lost. AWQ makes these
# columns large before it rounds and gets most of the loss back. That is what it is for.

# %% [markdown]
# ## Exercise 6d: the cache in int8
#
# *Difficulty 3 of 5, 25 minutes, 4 points.*
#
# Module 15's cache is paid for by each user and each position; the weights are paid for once. With many users the cache is
# the larger part. Keys and values tolerate int8 well when each vector has a scale of its own: one float32 for each head and
# position, $D + 4$ bytes in place of $4 D$. A vector is quantized once, when it arrives, and never again.
#
# The cache protocol stays what it was: `update` takes new keys and values and returns all of them, here converted back to
# float32. The model notices nothing.


# %% nbgrader={"grade_id": "kv8"}
#| export
class QuantizedLayerCache:
    """Keys and values of one attention layer, stored as int8 with a scale for each vector.

    Args:
        batch, n_head, capacity, head_dim: B, H, most positions, D; each 1 or more.

    Raises:
        ValueError: a size below 1; the message names it.

    Example:
        >>> cache = QuantizedLayerCache(batch=1, n_head=2, capacity=8, head_dim=4)
        >>> new = np.ones((1, 2, 3, 4), np.float32)
        >>> cache.update(new, new)[0].shape, cache.length, cache.nbytes
        ((1, 2, 3, 4), 3, 256)
    """

    def __init__(self, batch: int, n_head: int, capacity: int, head_dim: int) -> None:
        sizes = {"batch": batch, "n_head": n_head, "capacity": capacity, "head_dim": head_dim}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; a cache needs 1 or more")
        # TODO: room for all positions at once: int8 levels (2, B, H, capacity, D) for keys and
        # values, and a float32 scale for each of their vectors. Nothing is stored yet
        ### BEGIN SOLUTION
        self.capacity = capacity
        self.length = 0
        self._levels = np.zeros((2, batch, n_head, capacity, head_dim), np.int8)
        self._scales = np.zeros((2, batch, n_head, capacity, 1), np.float32)
        ### END SOLUTION

    def update(self, keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Store new keys and values; return all of them.

        Args:
            keys, values: (B, H, T, D) floating point.

        Returns:
            Keys and values of all positions, (B, H, S, D) float32, each as its levels give it; a
            vector's scale is its largest magnitude over 127.

        Raises:
            TypeError: no floating point numbers.
            ValueError: another shape, NaN or infinity, or more positions than are free (the message
                says capacity, stored and requested). Nothing is stored then.
        """
        # TODO:
        # 1. refuse what is not finite, does not fit the cache's sizes, or has no room
        # 2. a scale for each vector: its largest magnitude over 127; a vector of zeros gets 1
        # 3. write the rounded levels and the scales at the next free positions
        # 4. return levels times scale of all positions stored
        ### BEGIN SOLUTION
        _, batch, heads, capacity, width = self._levels.shape
        for name, new in (("keys", keys), ("values", values)):
            checked_array(new, name)
            if new.ndim != 4 or (new.shape[0], new.shape[1], new.shape[3]) != (batch, heads, width):
                raise ValueError(
                    f"{name} have the shape {new.shape}; this cache takes ({batch}, {heads}, T, "
                    f"{width})"
                )
        if keys.shape != values.shape:
            raise ValueError(f"keys are {keys.shape} and values {values.shape}; give equal shapes")
        start, end = self.length, self.length + keys.shape[2]
        if end > capacity:
            raise ValueError(
                f"the cache has a capacity of {capacity} positions and stores {start}; "
                f"{keys.shape[2]} more were requested"
            )
        for part, new in enumerate((keys, values)):
            scale = np.abs(new).max(axis=-1, keepdims=True).astype(np.float32) / 127  # (B, H, T, 1)
            scale[scale == 0] = 1
            self._levels[part, :, :, start:end] = np.clip(np.rint(new / scale), -127, 127)
            self._scales[part, :, :, start:end] = scale
        self.length = end
        restored = self._levels[:, :, :, :end] * self._scales[:, :, :, :end]  # (2, B, H, S, D)
        return restored[0], restored[1]
        ### END SOLUTION

    def reset(self) -> None:
        """Forget everything."""
        self.length = 0

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions.

        Raises:
            ValueError: `n` is negative or more than is stored; the message holds both numbers.
        """
        # TODO: the arrays may stay as they are
        ### BEGIN SOLUTION
        if not 0 <= n <= self.length:
            raise ValueError(f"cannot forget {n} positions, {self.length} are stored")
        self.length -= n
        ### END SOLUTION

    @property
    def nbytes(self) -> int:
        """Bytes reserved, read off the arrays."""
        # TODO: levels and scales
        ### BEGIN SOLUTION
        return self._levels.nbytes + self._scales.nbytes
        ### END SOLUTION


# %% nbgrader={"grade_id": "kv8__layers"}
#| export
class QuantizedKVCache(Sequence[QuantizedLayerCache]):
    """One QuantizedLayerCache for each layer: a cache that `GPT.forward` takes.

    Args:
        n_layer: layers, 1 or more.
        batch, n_head, capacity, head_dim: as each layer's cache takes them.

    Example:
        >>> cache = QuantizedKVCache(n_layer=2, batch=1, n_head=2, capacity=8, head_dim=4)
        >>> len(cache), cache.length, cache.nbytes
        (2, 0, 512)
    """

    def __init__(self, n_layer: int, batch: int, n_head: int, capacity: int, head_dim: int) -> None:
        if n_layer < 1:
            raise ValueError(f"n_layer is {n_layer}; a cache needs 1 or more")
        self._layers = [
            QuantizedLayerCache(batch, n_head, capacity, head_dim) for _ in range(n_layer)
        ]

    @overload
    def __getitem__(self, index: int) -> QuantizedLayerCache: ...

    @overload
    def __getitem__(self, index: slice) -> list[QuantizedLayerCache]: ...

    def __getitem__(self, index: int | slice) -> QuantizedLayerCache | list[QuantizedLayerCache]:
        """The cache of one layer."""
        return self._layers[index]

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self._layers)

    def __iter__(self) -> Iterator[QuantizedLayerCache]:
        """The layers' caches in order."""
        return iter(self._layers)

    @property
    def length(self) -> int:
        """Positions stored."""
        # TODO: every layer holds as many
        ### BEGIN SOLUTION
        return self._layers[0].length
        ### END SOLUTION

    @property
    def capacity(self) -> int:
        """Most positions."""
        return self._layers[0].capacity

    @property
    def nbytes(self) -> int:
        """Bytes of all layers."""
        # TODO: their sum
        ### BEGIN SOLUTION
        return sum(layer.nbytes for layer in self._layers)
        ### END SOLUTION

    def reset(self) -> None:
        """Forget everything."""
        # TODO: in every layer
        ### BEGIN SOLUTION
        for layer in self._layers:
            layer.reset()
        ### END SOLUTION

    def rewind(self, n: int) -> None:
        """Forget the last `n` positions of every layer."""
        # TODO: in every layer
        ### BEGIN SOLUTION
        for layer in self._layers:
            layer.rewind(n)
        ### END SOLUTION


# %% nbgrader={"grade_id": "test_kv8__layer", "points": 2}
# Rejects: one scale for several vectors, new vectors handed back unrounded, floats in storage, an
# overflow that is not explained, a vector of zeros that becomes NaN.
tiny_cache = QuantizedLayerCache(batch=1, n_head=1, capacity=3, head_dim=4)
first_key = np.array([[[[127.0, -2.4, 0.6, 0.0]]]], np.float32)
first_value = np.array([[[[0.0, 0.0, 0.0, 0.0]]]], np.float32)
keys_back, values_back = tiny_cache.update(first_key, first_value)
assert_close(
    keys_back, np.array([[[[127.0, -2.0, 1.0, 0.0]]]], np.float32), what="keys", dtype=np.float32
)
assert_close(values_back, first_value, what="a value of zeros", dtype=np.float32)
keys_back, _ = tiny_cache.update(first_key / 100, first_value)
assert_close(
    keys_back,
    np.array([[[[127.0, -2.0, 1.0, 0.0], [1.27, -0.02, 0.01, 0.0]]]], np.float32),
    what="a large key and a small one",
)
assert_int(tiny_cache.nbytes, 2 * 3 * (4 + 4), what="bytes of 3 positions of 4 channels")
two_more = np.ones((1, 1, 2, 4), np.float32)
expect_error(ValueError, tiny_cache.update, two_more, two_more, mentions=("3", "2", "capacity"))
assert_int(tiny_cache.length, 2, what="positions after a refused update")
expect_error(ValueError, QuantizedLayerCache, 1, 1, 0, 4, mentions=("capacity", "0"))
### BEGIN HIDDEN TESTS
rng = fresh("int8 cache")


def nearest_levels(vectors: np.ndarray) -> np.ndarray:
    """Vectors rounded to 127 levels either way, each by its own largest magnitude."""
    tops = np.abs(vectors.astype(np.float64)).max(axis=-1, keepdims=True) / 127
    steps = np.where(tops > 0, tops, 1.0)
    return np.rint(vectors / steps) * steps


batch, heads, width, capacity = 2, 3, int(rng.integers(4, 17)), 12
layer_cache = QuantizedLayerCache(batch, heads, capacity, width)
assert_int(layer_cache.nbytes, 2 * batch * heads * capacity * (width + 4), what="bytes")
given_keys = np.zeros((batch, heads, 0, width), np.float32)
given_values = given_keys
for count, forget in ((5, 0), (1, 2), (1, 0), (4, 7)):
    size = (batch, heads, count, 1)
    new_keys = rng.normal(size=(batch, heads, count, width)) * 10.0 ** rng.integers(
        -2, 3, size=size
    )
    new_values = rng.normal(size=(batch, heads, count, width)) * 10.0 ** rng.integers(
        -2, 3, size=size
    )
    new_keys, new_values = new_keys.astype(np.float32), new_values.astype(np.float32)
    given_keys = np.concatenate([given_keys, new_keys], axis=2)
    given_values = np.concatenate([given_values, new_values], axis=2)
    for got, given in zip(
        layer_cache.update(new_keys, new_values), (given_keys, given_values), strict=True
    ):
        steps = np.abs(given).max(axis=-1, keepdims=True) / 127
        at_half = np.abs(np.abs(given / steps) % 1 - 0.5) < 1e-3  # either level is right
        wanted = nearest_levels(given)
        assert got.shape == given.shape, f"shape {got.shape}, expected {given.shape}"
        assert np.all(np.abs(got - given) <= 0.502 * steps), "off by more than half a step"
        assert_close(
            np.where(at_half, 0, got / steps),
            np.where(at_half, 0, wanted / steps),
            rtol=1e-4,
            atol=1e-3,
            what="levels",
        )
        assert got.dtype == np.float32, f"dtype {got.dtype}, expected float32"
    assert_int(layer_cache.length, given_keys.shape[2], what="positions stored")
    layer_cache.rewind(forget)
    kept = given_keys.shape[2] - forget
    given_keys, given_values = given_keys[:, :, :kept], given_values[:, :, :kept]
    assert_int(layer_cache.length, kept, what=f"positions after rewind({forget})")
expect_error(ValueError, layer_cache.rewind, kept + 1, mentions=(str(kept + 1), str(kept)))
expect_error(ValueError, layer_cache.rewind, -1, mentions=("-1",))
right = rng.normal(size=(batch, heads, 1, width)).astype(np.float32)
expect_error(ValueError, layer_cache.update, right[:, :2], right[:, :2], mentions=("2",))
expect_error(ValueError, layer_cache.update, right, right[..., 1:], mentions=(str(width - 1),))
expect_error(TypeError, layer_cache.update, right.astype(np.int8), right, mentions=("int8",))
expect_error(ValueError, layer_cache.update, right, right * np.float32(np.nan), mentions=("nan",))
assert_int(layer_cache.length, kept, what="positions after four refused updates")
for position in range(4):
    sizes = [2, 3, 5, 4]
    sizes[position] = 0
    expect_error(ValueError, QuantizedLayerCache, *sizes, mentions=("0",))
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "test_kv8__model", "points": 2}
# Rejects: a cache that forgets or repeats positions, layers that are not counted, not emptied or not
# rewound.
small_gpt = GPT(
    GPTConfig(vocab_size=17, block_size=16, n_layer=2, n_head=2, n_embd=16),
    rng=np.random.default_rng(3),
).eval()
for each_parameter in small_gpt.parameters():
    each_parameter.data *= 3  # a fresh GPT hardly looks at its context
some_ids = np.random.default_rng(4).integers(0, 17, size=(2, 12))
with no_grad():
    exact_scores = small_gpt(some_ids).data  # (B, T, V)
cached_scores = inside(
    logits_in_chunks, small_gpt, some_ids, (5, 6, 7, 12), QuantizedKVCache(2, 2, 2, 16, 8)
)
off_by = float(np.abs(cached_scores - exact_scores).max() / np.abs(exact_scores).max())
assert off_by < 0.03, f"scores differ by {off_by:.1%} of the largest; int8 needs less than 3 %"
two_layers = QuantizedKVCache(2, 1, 2, 16, 8)
assert_int(two_layers.nbytes, 2 * 2 * 2 * 16 * (8 + 4), what="bytes of two layers")
### BEGIN HIDDEN TESTS
rng = fresh("a GPT with an int8 cache")
ids = rng.integers(0, 17, size=(3, 14))
places = np.delete(np.arange(1, 14), 6)  # not the middle: there, keeping 7 is forgetting 7
cuts = (*sorted(rng.choice(places, size=3, replace=False).tolist()), 14)
with no_grad():
    exact_scores = small_gpt(ids).data
whole_cache = QuantizedKVCache(2, 3, 2, 15, 8)
assert_int(whole_cache.nbytes, 2 * 2 * 3 * 2 * 15 * (8 + 4), what="bytes of all layers")
for turn in range(2):  # the second time after a reset
    cached_scores = inside(logits_in_chunks, small_gpt, ids, cuts, whole_cache)
    off_by = float(np.abs(cached_scores - exact_scores).max() / np.abs(exact_scores).max())
    assert off_by < 0.03, f"scores differ by {off_by:.1%} of the largest; int8 needs less than 3 %"
    assert not np.array_equal(cached_scores, exact_scores), "nothing was rounded"
    assert_int(whole_cache.length, 14, what="positions stored")
    whole_cache.reset()
    assert_int(whole_cache.length, 0, what="positions after reset()")
inside(logits_in_chunks, small_gpt, ids, cuts, whole_cache)
whole_cache.rewind(14 - cuts[1])  # forget the last chunks, and give them again
assert_int(whole_cache.length, cuts[1], what="positions after rewind()")
again = inside(logits_in_chunks, small_gpt, ids[:, cuts[1] :], (14 - cuts[1],), whole_cache)
off_by = float(np.abs(again - exact_scores[:, cuts[1] :]).max() / np.abs(exact_scores).max())
assert off_by < 0.03, f"scores after rewind() differ by {off_by:.1%} of the largest"
### END HIDDEN TESTS

# %% [markdown]
# ### Measure: bytes, loss and time of the int8 cache
#
# The same GPT, once with Module 15's float32 cache and once with yours. The loss is taken through the cache: every key and
# value that a later position sees was rounded.

# %% tags=["measure"]
from tinytorch.memoization import KVCache, generate_cached
from tinytorch.profiling import compare_latencies

sizes_of_gpt = docs_gpt.config
head_channels = sizes_of_gpt.n_embd // sizes_of_gpt.n_head


def int8_cache(batch: int = 1, positions: int = 256) -> QuantizedKVCache:
    """An empty int8 cache for docs_gpt."""
    return QuantizedKVCache(
        sizes_of_gpt.n_layer, batch, sizes_of_gpt.n_head, positions, head_channels
    )


cache_points: dict[str, list[tuple[float, float]]] = {"float32": [], "int8": []}
for positions in (32, 64, 128, 256):
    cache_points["float32"].append(
        (positions, KVCache.for_model(docs_gpt, 1, positions).nbytes / 1e3)
    )
    cache_points["int8"].append((positions, int8_cache(1, positions).nbytes / 1e3))
int8_cache_losses = losses_of_windows(
    lambda ids: docs_gpt(ids, cache=int8_cache(len(ids), ids.shape[1]))
)
cache_rise, cache_half = mean_and_half_width(int8_cache_losses - float_losses)
share_of_bytes = cache_points["int8"][-1][1] / cache_points["float32"][-1][1]
prompt_of_docs = heldout_ids[0][:64]
texts = {
    "float32": generate_cached(
        docs_gpt, prompt_of_docs, 128, cache=KVCache.for_model(docs_gpt, 1, 256)
    ),
    "int8": generate_cached(docs_gpt, prompt_of_docs, 128, cache=int8_cache()),
}
equal_tokens = texts["float32"] == texts["int8"]
first_difference = len(equal_tokens) if equal_tokens.all() else int(np.argmin(equal_tokens))
cache_times = compare_latencies(
    {
        "baseline": lambda: generate_cached(
            docs_gpt, prompt_of_docs, 64, cache=KVCache.for_model(docs_gpt, 1, 256)
        ),
        "int8": lambda: generate_cached(docs_gpt, prompt_of_docs, 64, cache=int8_cache()),
    },
    rounds=9,
    loops=1,
)
same_text = (
    "is the same with both caches, token by token"
    if first_difference == len(equal_tokens)
    else f"differs from its token {first_difference - len(prompt_of_docs) + 1} on"
)
dashboards.show(
    dashboards.scaling_curve(
        cache_points,
        x_title="positions",
        y_title="cache of one user (kB)",
        title="Two caches of the same positions",
    ),
    summary=f"The int8 cache takes {share_of_bytes:.3f} of the bytes. The loss changes by {cache_rise:+.5f} ± {cache_half:.5f} nats a "
    f"character. A greedy text of 128 tokens {same_text}.",
)
print("64 tokens after 64, against the float32 cache (baseline):")
print(cache_times)

# %% [markdown]
# Little more than a quarter of the bytes, and a change of the loss that needs many digits. But read the time: a ratio below 1 means
# that the int8 cache is slower. Each step converts the whole cache back to float32, in NumPy, only to multiply it once. A
# compiled kernel would read int8 and multiply as it goes; then fewer bytes are less time, too.

# %% [markdown]
# ## The dashboard
#
# Everything you built, in one place. Choose a layer of the GPT (`0.qkv` is that of block 0): its weights are quantized with
# the bits, the scheme and the granularity you choose, and its input with the same bits and the range that your calibrator
# found. The histogram is the input's, with the grid on it. Error and SQNR are those of the layer's **result**; the loss is
# the whole model's.
#
# Try: which calibrator wins at 8 bits, and which at 3? Which layer has the lowest SQNR at 3 bits, and which costs the most
# loss? Are they the same? Does `group` help where `tensor` fails?

# %% tags=["measure"]
from types import SimpleNamespace

dashboard_layers = {
    "0.qkv": "blocks.0.attention.qkv",
    "0.fc1": "blocks.0.feed_forward.fc1",
    "3.fc2": "blocks.3.feed_forward.fc2",
    "head": "head",
}
calibrators: dict[str, Callable[[], Any]] = {
    "minmax": MinMaxObserver,
    "moving average": MovingAverageObserver,
    "percentile": PercentileObserver,
    "mse": MSEObserver,
    "kl": KLObserver,
}
dashboard_bits = [8, 6, 4, 3, 2]
dashboard_windows = 16
full_loss = float(losses_with({}, dashboard_windows).mean())


def loss_of_one_layer(name: str, weight: np.ndarray, grid: QuantParams) -> float:
    """The GPT's loss with one layer's weight replaced and its input rounded."""

    def round_input(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (Tensor(dequantize_array(quantize_array(args[0].data, grid), grid)),)

    handle = docs_linears[name].register_forward_pre_hook(round_input)
    try:
        return float(losses_with({name: weight}, dashboard_windows).mean())
    finally:
        handle.remove()


@dataclass(frozen=True)
class QuantizedLayerResult:
    """One layer under one setting: what it costs and what it does."""

    grid: QuantParams
    clip: tuple[float, float]
    rms_error: float
    sqnr: float
    size_bytes: int
    loss: float


layer_results: dict[tuple[Any, ...], QuantizedLayerResult] = {}


def bytes_of_weight(stored: QuantizedTensor, bits: int) -> int:
    """Bytes of the levels, two a byte up to four bits, and of the scales and zero points."""
    extra = stored.nbytes - stored.values.nbytes
    return extra + (pack_int4(stored.values).nbytes if bits <= 4 else stored.values.nbytes)


def layer_result(
    name: str, bits: int, scheme: str, granularity: str, calibrator: str
) -> QuantizedLayerResult:
    """Quantize one layer and measure; each setting once."""
    key = (name, bits, scheme, granularity, calibrator)
    name = dashboard_layers[name]
    if key not in layer_results:
        observer = calibrators[calibrator]()
        observer.observe(calibration_inputs[name])
        grid = observer.params(bits, scheme)
        chosen = Quantizer(bits, scheme, granularity, axis=0, group_size=32)
        stored = chosen.quantize(trained_weights[name])
        weight = stored.dequantize()
        rounded = dequantize_array(quantize_array(calibration_inputs[name], grid), grid)
        exact = calibration_inputs[name] @ trained_weights[name].T  # (M, N)
        result = rounded @ weight.T
        layer_results[key] = QuantizedLayerResult(
            grid,
            observer.range(),
            quantization_error(exact, result),
            sqnr_db(exact, result),
            bytes_of_weight(stored, bits),
            loss_of_one_layer(name, weight, grid),
        )
    return layer_results[key]


def measure_quantization(
    layer: str, bits: int, scheme: str, granularity: str, calibrator: str
) -> SimpleNamespace:
    """What the dashboard draws for one setting."""
    now = layer_result(layer, bits, scheme, granularity, calibrator)
    every_level = np.arange(now.grid.qmin, now.grid.qmax + 1).astype(np.int8)
    sweeps = []
    for name in dashboard_layers:
        sweep = [
            layer_result(name, each, scheme, granularity, calibrator) for each in dashboard_bits
        ]
        sweeps.append(
            SimpleNamespace(
                name=name,
                bits=dashboard_bits,
                sqnr_db=[each.sqnr for each in sweep],
                metric=[each.loss for each in sweep],
            )
        )
    return SimpleNamespace(
        values=calibration_inputs[dashboard_layers[layer]].ravel(),
        levels=dequantize_array(every_level, now.grid),
        clip=now.clip,
        rms_error=now.rms_error,
        sqnr_db=now.sqnr,
        size_bytes=now.size_bytes,
        metric=now.loss,
        metric_name="loss (nats)",
        higher_is_better=False,
        full_size_bytes=trained_weights[dashboard_layers[layer]].nbytes,
        full_metric=full_loss,
        layers=sweeps,
        note="Below four bits the levels are stored in four: nothing here packs them tighter.",
    )


quantization_dashboard = dashboards.QuantizationDashboard(
    measure_quantization,
    layers=list(dashboard_layers),
    bits=dashboard_bits,
    schemes=["symmetric", "affine"],
    granularities=["tensor", "channel", "group"],
    calibrators=list(calibrators),
)
quantization_dashboard

# %% [markdown]
# ## What changes the time: compiled int8
#
# NumPy has no fast product of int8. A compiled kernel does: it reads a quarter of the bytes, and where the processor has an
# instruction for int8 dot products (VNNI), it multiplies and adds four pairs in each lane. Writing one token is nearly all
# reading of weights, so this is where int8 should pay.
#
# `CompiledInt8Step` is such a kernel for the whole GPT: weights in int8 with a scale a row, activations quantized as they come. It takes
# the place of `decode_step` in Module 15's `generate_cached`. Its float32 sister `CompiledStep` shows what compiling alone gives.

# %% tags=["measure"]
from tinytorch.kernels.compiled import vnni_available
from tinytorch.models import CompiledInt8Step, CompiledStep

int8_step = CompiledInt8Step(docs_gpt)
int8_step(docs_gpt, prompt_of_docs[:1], KVCache.for_model(docs_gpt, 1, 1))  # compiles: some seconds
print(f"processor with int8 dot products (VNNI): {vnni_available()}")


# %% tags=["measure"]
def write_on(step: Any) -> np.ndarray:
    """128 greedy tokens after a prompt of 64."""
    cache = KVCache.for_model(docs_gpt, 1, 256)
    return generate_cached(docs_gpt, prompt_of_docs, 128, cache=cache, step=step)


in_numpy, in_int8 = write_on(None), write_on(int8_step)
print(f"{np.mean(in_int8[64:] == in_numpy[64:]):.0%} of the int8 step's tokens are NumPy's")
float_step = CompiledStep(docs_gpt)
in_float = write_on(float_step)  # compiles
decode_times = compare_latencies(
    {
        "baseline": lambda: write_on(None),
        "compiled_float32": lambda: write_on(float_step),
        "compiled_int8": lambda: write_on(int8_step),
    },
    rounds=9,
    loops=1,
)
print("128 tokens after 64, against NumPy in float32 (baseline):")
print(decode_times)
int8_over_float = [
    float32 / int8
    for float32, int8 in zip(
        decode_times["compiled_float32"].latency.samples_ns,
        decode_times["compiled_int8"].latency.samples_ns,
        strict=True,
    )
]
low, high = median_interval(int8_over_float)
print(
    f"int8 against compiled float32: {np.median(int8_over_float):.2f} times as fast "
    f"(95 % interval {low:.2f} to {high:.2f})"
)
print(f"{np.mean(in_float[64:] == in_numpy[64:]):.0%} of the float32 step's tokens are NumPy's")

# %% [markdown]
# Equal tokens on one text prove little, and a different token is no proof of harm: once one differs, all later ones may. The
# loss decides. Here the int8 step reads held-out text token by token, against float32 on the same windows.


# %% tags=["measure"]
def losses_token_by_token(step: Any, windows: int = 8) -> np.ndarray:
    """Mean loss of each window when a decode step reads it, one token at a time (W,)."""
    ids, following = heldout_ids[:windows], heldout_next[:windows]
    losses = np.zeros(ids.shape)
    cache = KVCache.for_model(docs_gpt, windows, ids.shape[1])
    for place in range(ids.shape[1]):
        scores = F.log_softmax(Tensor(step(docs_gpt, ids[:, place], cache)), dim=-1).data  # (W, V)
        losses[:, place] = -scores[np.arange(windows), following[:, place]]
    return losses.mean(axis=1)


int8_losses = losses_token_by_token(int8_step)
step_rise, step_half = mean_and_half_width(int8_losses - float_losses[:8])
print(
    f"loss of {len(int8_losses)} windows: float32 {float_losses[:8].mean():.4f}, "
    f"int8 step {int8_losses.mean():.4f}, rise {step_rise:+.4f} ± {step_half:.4f}"
)

# %% [markdown] nbgrader={"grade_id": "question_serving", "points": 5}
# ## A question to answer in words
#
# *20 minutes, 5 points, graded by your instructor.*
#
# You serve a GPT with 6.7 billion weights, 32 layers and 32 heads of 128 channels each, on a machine with 24 GB of memory.
# Eight users write at once, each with up to 4096 positions. Weights and cache are in 16 bits. It does not fit. A colleague wants
# int4 weights: "four times smaller, so four times faster, and the weights' error is only 5 %".
#
# In about ten sentences: compute the bytes of weights and cache. Which of the two would you quantize, to what, and what
# remains to be paid besides the levels? What is wrong with each half of the colleague's sentence? Which measurements,
# made how, would you want before you ship it?
#
# ### BEGIN SOLUTION
# Weights: 6.7e9 * 2 bytes = 13.4 GB. Cache: 2 * 32 layers * 32 heads * 128 channels * 4096 positions * 8 users * 2 bytes = 17.2 GB;
# together 30.6 GB. The cache is the larger part and grows with users and length. In int8 with a float32 scale for each head and
# position it takes (128 + 4) / 256 of that, 8.9 GB: with the 16-bit weights 22.3 GB, which fits barely. With int8 weights as well
# (6.7 GB and a scale a row) it is 15.6 GB, with room for activations and more users. int4 weights alone, in groups of 32 with a
# float32 scale, take 5 bits each, 4.2 GB: 21.4 GB, which also fits, but at more risk for the quality than int8.
# "Four times smaller" leaves out the scales: 5 bits in place of 16 is 3.2 times, and the cache does not shrink at all.
# "Four times faster" holds at most for the share of the time spent reading weights (Amdahl), only with a kernel that multiplies
# from the packed bytes; unpacking first, as NumPy must, makes it slower. With eight users in one batch a weight is read once for all
# of them, and reading the cache is the larger part. "The error is only 5 %" speaks of weights: what counts is the error of the
# result, which depends on the activations that meet the weights, and in the end the loss on text the model never saw.
# I would measure: bytes of the arrays and the peak of the process; held-out loss and the task's own score of each variant on the
# same texts, as paired differences with an interval, at long contexts too; latency per token in alternating rounds against
# the 16-bit version at batch 1 and 8 and at short and long contexts, median of the ratios with interval. If int4 loses too much: smaller
# groups, activation-aware scaling, the sensitive layers in 8 bits, or QAT.
#
# Rubric: both sizes right, and that the cache is larger (1); a choice that fits, with scales counted (1); "four times faster" refuted:
# Amdahl, the need for a kernel, or the batch (1); the weights' error is not the result's, activations decide, loss on held-out data (1);
# measurements that are paired, with intervals, and of both quality and time (1).
# ### END SOLUTION

# %% [markdown]
# ## Summary
#
# You can now put a model into a quarter or an eighth of its bytes, say what that does to its results, and where the limits are.
#
# - The format is simple: a scale, a zero point, rounding, saturation. **Where** the scales sit decides the error.
# - Bytes are saved by storage alone. Time is saved by a kernel that computes on the small numbers.
# - Four bits need groups; two or three bits need training. Which weights matter is decided by what flows through them.
# - Every figure of quality here was a loss or an accuracy on data the model never saw. An error of weights is not one.

# %% [markdown]
# ### Hand in
#
# 1. Run `tito check 16`: every visible test, in a fresh process.
# 2. Run `tito export 16`: your code becomes `tinytorch.quantization`, and the next modules import it.
# 3. Hand in this notebook as your course tells you (`docs/students.md`).
#
# **Next, Module 17: Compression.** You made each number smaller. Many of these numbers hardly matter at all. Which can go,
# and does a model with holes run faster?
