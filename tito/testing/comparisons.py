"""Checks that explain.

They look at a value's type, dtype, shape and finiteness before they compare numbers, and only ever
compare plain arrays, so an object that claims to equal everything gains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from tito.testing.seeds import how_to_repeat

_SHOWN_CHARACTERS = 80


def assert_close(
    actual: object,
    expected: object,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    *,
    what: str = "the result",
    dtype: Any = None,
) -> None:
    """Check numbers: type, dtype, shape and finiteness first, then `|a - e| <= atol + rtol * |e|`.

    Args:
        actual: What the code under test returned.
        expected: A number, a NumPy array, a Tensor, or a list or tuple of numbers; `actual` must
            be of the same kind.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        what: A name for the value, used in the message.
        dtype: The exact dtype required; otherwise only the kind (float, int, bool) must agree.

    Raises:
        AssertionError: They differ; the message says where and by how much.
    """
    want, got = _as_array(expected, expected, what), _as_array(actual, expected, what)
    _check_dtype(got, want, dtype, what)
    if got.shape != want.shape:
        _fail(f"{what} has shape {got.shape}; expected shape {want.shape}.")
    if want.dtype.kind == "b":
        wrong = got != want
    elif want.dtype.kind in "iu":
        wrong = ~np.isclose(got.astype(np.float64), want.astype(np.float64), rtol, atol)
    else:
        wrong = ~np.isclose(got, want, rtol, atol, equal_nan=True)
    if np.any(wrong):
        _fail(_difference(got, want, wrong, what, rtol, atol))


def assert_int(actual: object, expected: int, what: str = "the result") -> None:
    """Check a whole number exactly (`True` and `3.0` are no whole numbers here).

    Raises:
        AssertionError: It is not an int, or another one.
    """
    if not (type(actual) is int or _is_numpy_scalar(actual, np.integer)):
        _fail(
            f"{what} is {_shown(actual)} of type {_type_name(actual)}; expected the int {expected}."
        )
    if int(actual) != expected:  # type: ignore[call-overload]
        _fail(f"{what} is {int(actual)}; expected {expected}.")  # type: ignore[call-overload]


def expect_error(
    error_types: type[BaseException] | tuple[type[BaseException], ...],
    fn: Callable[..., object],
    *args: object,
    mentions: Sequence[str] = (),
    **kwargs: object,
) -> None:
    """Check that a call raises, and that its message tells the reader what matters.

    Args:
        error_types: The error, or errors, that are right here.
        fn: What to call, with `args` and `kwargs`.
        mentions: Words the message must contain, whatever their case. A single word may be given
            as a plain string.

    Raises:
        AssertionError: Nothing was raised, another error was, or the message lacks a word.
    """
    wanted = error_types if isinstance(error_types, tuple) else (error_types,)
    names = " or ".join(each.__name__ for each in wanted)
    call = f"{getattr(fn, '__name__', 'the call')}({', '.join(_shown(arg) for arg in args)})"
    try:
        result = fn(*args, **kwargs)
    except wanted as error:
        if isinstance(error, NotImplementedError) and NotImplementedError not in wanted:
            raise  # an unwritten stub is a RuntimeError by descent; it proves nothing
        words = (mentions,) if isinstance(mentions, str) else mentions
        missing = [word for word in words if word.lower() not in str(error).lower()]
        if missing:
            _fail(
                f"{call} raised {type(error).__name__}, as it should, but its message "
                f"{str(error)!r} does not mention {', '.join(map(repr, missing))}."
            )
        return
    _fail(f"{call} should raise {names}; it returned {_shown(result)}.")


def _as_array(value: object, model: object, what: str) -> np.ndarray[Any, Any]:
    """Return `value`'s numbers after checking that it is of the same kind as `model`."""
    if _is_tensor(model):
        if not _is_tensor(value):
            _fail(f"{what} is {_shown(value)} of type {_type_name(value)}; expected a Tensor.")
        data = value.data  # type: ignore[attr-defined]
        if type(data) is not np.ndarray:
            _fail(f"{what}.data is of type {_type_name(data)}; expected a NumPy array.")
        tensor_data: np.ndarray[Any, Any] = data
        return tensor_data
    if isinstance(model, np.ndarray):
        if not isinstance(value, np.ndarray) or type(value) is not np.ndarray:
            _fail(
                f"{what} is {_shown(value)} of type {_type_name(value)}; "
                f"expected a NumPy array of shape {model.shape}, dtype {model.dtype}."
            )
        return value
    if isinstance(model, (list, tuple)):
        return _sequence(value, model, what)
    if isinstance(model, (bool, np.bool_)):
        if type(value) is not bool and not _is_numpy_scalar(value, np.bool_):
            _fail(f"{what} is {_shown(value)} of type {_type_name(value)}; expected a bool.")
    elif not (type(value) in (int, float) or _is_numpy_scalar(value, np.number)):
        _fail(f"{what} is {_shown(value)} of type {_type_name(value)}; expected a number.")
    return np.asarray(value)


def _sequence(value: object, model: Sequence[object], what: str) -> np.ndarray[Any, Any]:
    if type(value) not in (list, tuple):
        _fail(f"{what} is {_shown(value)} of type {_type_name(value)}; expected a list or tuple.")
    items: Sequence[object] = value  # type: ignore[assignment]
    if len(items) != len(model):
        _fail(f"{what} has {len(items)} values; expected {len(model)}.")
    pairs = zip(items, model, strict=True)
    return np.array([_as_array(item, like, f"{what}[{i}]") for i, (item, like) in enumerate(pairs)])


def _check_dtype(
    got: np.ndarray[Any, Any], want: np.ndarray[Any, Any], dtype: Any, what: str
) -> None:
    if dtype is not None:
        if got.dtype != np.dtype(dtype):
            _fail(f"{what} has dtype {got.dtype}; expected {np.dtype(dtype)}.")
        return
    kinds = {"i": "an integer", "u": "an integer", "f": "a float", "b": "a bool", "c": "a complex"}
    got_kind, want_kind = kinds.get(got.dtype.kind), kinds.get(want.dtype.kind)
    is_number = got.ndim == 0 and {got_kind, want_kind} == {"an integer", "a float"}
    if got_kind != want_kind and not is_number:  # 3 is a fine answer where 3.0 is expected
        _fail(f"{what} has dtype {got.dtype}; expected {want_kind} dtype such as {want.dtype}.")


def _difference(
    got: np.ndarray[Any, Any],
    want: np.ndarray[Any, Any],
    wrong: np.ndarray[Any, Any],
    what: str,
    rtol: float,
    atol: float,
) -> str:
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
    at = f"{what}{list(index)}" if index else what
    text = f"{at} is {got[index].item()!r}; expected {want[index].item()!r}"
    if got.dtype.kind == "f" and not np.isfinite(got[index]) and np.isfinite(want[index]):
        text += " (a finite number)"
    if want.dtype.kind != "b":
        text += f" within rtol={rtol:g}, atol={atol:g}"
    if index:
        text += f"; {int(np.sum(wrong))} of {wrong.size} values are off"
    return text + "."


def _is_tensor(value: object) -> bool:
    from tinytorch import Tensor

    return type(value) is Tensor or type(value).__mro__[1:2] == (Tensor,)


def _is_numpy_scalar(value: object, kind: type) -> bool:
    return isinstance(value, kind) and type(value).__module__ == "numpy"


def _type_name(value: object) -> str:
    """The name of a value's type; a judge's handle knows that of the object it stands for."""
    remote_type = vars(type(value)).get("remote_type")
    return str(remote_type.__func__(value)) if remote_type else type(value).__name__


def _shown(value: object) -> str:
    """A short form of any value that survives a broken `__repr__`."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN_CHARACTERS else flat[: _SHOWN_CHARACTERS - 3] + "..."


def _fail(message: str) -> NoReturn:
    raise AssertionError(message + how_to_repeat())
