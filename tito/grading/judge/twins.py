"""Twins: the judge's modules that a sandbox has a copy of, kept the same on both sides.

A module handed to the student's code is one object in a student's kernel. Here it is two: the
judge's, and its twin in the sandbox. Before each message the judge ships what it changed since;
with each answer the sandbox tells what the student's code changed: arrays, gradients, modes. What a
module is made of may change on the judge's side only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tinytorch import Tensor, nn
from tito.grading.sandbox.errors import ProtocolError

_HOOKS = ("_hooks", "_pre_hooks")


def twin_module(number: int, kind: type) -> NoReturn:
    """In the sandbox: the twin of a module, made when it is new."""
    raise RuntimeError(f"twin {number} of a {kind} exists in a sandbox only")


def set_module(twin: Any, state: dict[str, Any]) -> None:
    """In the sandbox: give a twin the attributes of the judge's module."""
    raise RuntimeError(f"{twin!r} is no twin, it has no state {sorted(state)}")


def twin_tensor(number: int, kind: type, data: Any, requires_grad: bool, grad: Any) -> NoReturn:
    """In the sandbox: the twin of a tensor, with these values."""
    raise RuntimeError(f"twin {number} of a {kind} exists in a sandbox only")


def twin(number: int) -> NoReturn:
    """In the sandbox: a twin that is there already, and the same."""
    raise RuntimeError(f"twin {number} exists in a sandbox only")


@dataclass
class _Twin:
    """One of the judge's objects that has a twin; `sent` is its state as the sandbox has it."""

    number: int
    value: Any
    sent: Any = None
    remade: bool = False


class Twins:
    """All twins of one test cell."""

    def __init__(self) -> None:
        self._by_number: dict[int, _Twin] = {}
        self._by_id: dict[int, _Twin] = {}
        self._next = 1
        self._shipping: list[tuple[_Twin, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._by_number)

    def forget(self) -> None:
        """End the test cell: its modules are no twins any more. Numbers are not used again."""
        self._by_number.clear()
        self._by_id.clear()

    def stale(self) -> list[Any]:
        """The twins' originals that the judge changed since they were sent."""
        return [each.value for each in self._by_number.values() if _state(each.value) != each.sent]

    def shipped(self, sent: bool) -> None:
        """A message was pickled: what it held of twins is with the sandbox now, or never went."""
        if sent:
            for known, state in self._shipping:
                known.sent = state
        self._shipping.clear()

    def reduced_module(self, module: nn.Module) -> Any:
        """How a module is pickled: whole when the sandbox does not have it as it is now.

        Raises:
            AssertionError: The student's code changed what it is made of.
        """
        known = self._of(module)
        if known.remade:
            raise AssertionError(
                "the student's code replaced, added or removed parts of the "
                f"{type(module).__name__} that the test gave it; it may change values, not what "
                "the module is made of"
            )
        for value in vars(module).values():
            if isinstance(value, Tensor):
                self._of(value)
        state = _state(module)
        if known.sent == state:
            return twin, (known.number,)
        self._shipping.append((known, state))
        attributes = dict(vars(module))
        return twin_module, (known.number, type(module)), attributes, None, None, set_module

    def reduced_tensor(self, tensor: Tensor) -> Any:
        """How a tensor of a twin is pickled; None when it belongs to none."""
        known = self._by_id.get(id(tensor))
        if known is None:
            return None
        state = _state(tensor)
        if known.sent == state:
            return twin, (known.number,)
        self._shipping.append((known, state))
        kind = type(tensor)
        return twin_tensor, (known.number, kind, tensor.data, tensor.requires_grad, tensor._grad)

    def original(self, number: int) -> Any:
        """The judge's own object of a twin.

        Raises:
            ProtocolError: No twin has this number.
        """
        known = self._by_number.get(number)
        if known is None:
            raise ProtocolError(f"there is no twin with number {number}")
        return known.value

    def take(self, changes: object) -> None:
        """Put what the student's code changed into the judge's objects.

        Raises:
            ProtocolError: The changes are not in the form that a sandbox sends.
        """
        if type(changes) is not list:
            raise ProtocolError("changes of twins that are no list")
        for change in changes:
            if type(change) is not tuple or not change or type(change[0]) is not int:
                raise ProtocolError("a change of a twin that has no number")
            known = self._by_number.get(change[0])
            if known is None:
                raise ProtocolError(f"a change of twin {change[0]}, which does not exist")
            if isinstance(known.value, Tensor):
                _change_tensor(known.value, change[1:])
            else:
                _change_module(known, change[1:])
            known.sent = _state(known.value)

    def _of(self, value: Any) -> _Twin:
        known = self._by_id.get(id(value))
        if known is None:
            known = self._by_id[id(value)] = self._by_number[self._next] = _Twin(self._next, value)
            self._next += 1
        return known


def _state(value: Any) -> Any:
    """What is compared to see whether an object changed."""
    if isinstance(value, Tensor):
        return digest(value.data), value.requires_grad, digest(value._grad)
    state: list[tuple[str, Any]] = []
    for name, each in vars(value).items():
        if name in _HOOKS and isinstance(each, dict):
            state.append((name, tuple((key, _Same(hook)) for key, hook in each.items())))
        else:
            state.append((name, _Same(each)))
    return state


class _Same:
    """Equal to another one of the very same object, or of the same number or string."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same):
            return False
        if self._value is other._value:
            return True
        same_type = type(self._value) is type(other._value)
        return (
            same_type
            and isinstance(self._value, (int, float, str, bool, tuple))
            and (self._value == other._value)
        )

    __hash__ = None  # type: ignore[assignment]


def digest(array: Any) -> Any:
    """A short form of an array that changes with it."""
    if array is None:
        return None
    return array.shape, array.dtype.str, hash(array.tobytes())


def _change_tensor(tensor: Tensor, change: tuple[Any, ...]) -> None:
    if len(change) != 3 or type(change[0]) is not np.ndarray or type(change[1]) is not bool:
        raise ProtocolError("a change of a tensor without data")
    data, requires_grad, gradient = change
    if gradient is not None and (type(gradient) is not np.ndarray or gradient.shape != data.shape):
        raise ProtocolError("a gradient that does not fit its tensor")
    if data.shape == tensor.data.shape and data.dtype == tensor.data.dtype:
        np.copyto(tensor.data, data)  # arrays that share its memory see it too, as in a kernel
    else:
        tensor.data = data
    tensor.requires_grad = requires_grad
    tensor._grad = gradient


def _change_module(known: _Twin, change: tuple[Any, ...]) -> None:
    if len(change) != 2 or type(change[0]) is not bool or type(change[1]) is not bool:
        raise ProtocolError("a change of a module that is neither its mode nor its parts")
    training, remade = change
    known.remade = known.remade or remade
    if known.value.training is not training:
        known.value.training = training
