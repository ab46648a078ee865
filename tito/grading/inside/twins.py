"""Twins of the judge's modules, and what the student's code changed in them."""

from __future__ import annotations

from typing import Any

from tinytorch import Tensor, nn

_HOOKS = ("_hooks", "_pre_hooks")
_allocate = object.__new__


class Twins:
    """The twins of one test cell, by the judge's numbers."""

    def __init__(self) -> None:
        self._by_number: dict[int, Any] = {}
        self._number_of: dict[int, int] = {}
        self._settled: dict[int, Any] = {}
        self._loading: set[int] = set()

    def forget(self) -> None:
        """The test cell is over."""
        self._by_number.clear()
        self._number_of.clear()
        self._settled.clear()

    def number(self, value: object) -> int | None:
        """The number of a twin; None for any other object."""
        number = self._number_of.get(id(value))
        return number if number is not None and self._by_number[number] is value else None

    # ---- what the judge's frames ask for --------------------------------------------------------

    def twin(self, number: int) -> Any:
        """A twin that is here."""
        return self._by_number[number]

    def module(self, number: int, kind: type) -> Any:
        """The twin of a module; made empty when it is new."""
        return self._by_number.get(number) or self._add(number, _allocate(kind))

    def set_module(self, module: Any, state: dict[str, Any]) -> None:
        """Give a module the judge's attributes; hooks that were registered here stay."""
        here = vars(module)
        kept = {
            name: {
                key: hook
                for key, hook in (here.get(name) or {}).items()
                if key not in (state.get(name) or {})
            }
            for name in _HOOKS
        }
        here.clear()
        here.update(state)
        for name, hooks in kept.items():
            if hooks:
                here[name] = {**(here.get(name) or {}), **hooks}
                here["_hooked"] = True

    def tensor(self, number: int, kind: type, data: Any, requires_grad: bool, grad: Any) -> Any:
        """The twin of a tensor, with the judge's values."""
        known = self._by_number.get(number)
        tensor = (
            self._add(number, plain_tensor(kind, data, False, None)) if known is None else known
        )
        tensor.data, tensor.requires_grad, tensor._grad = data, requires_grad, grad
        self._loading.add(number)
        return tensor

    def _add(self, number: int, value: Any) -> Any:
        self._by_number[number] = value
        self._number_of[id(value)] = number
        self._loading.add(number)
        return value

    # ---- what goes back -------------------------------------------------------------------------

    def settle(self) -> None:
        """A message of the judge is read: what it set is no change of the student's."""
        for number in self._loading:
            self._settled[number] = _state(self._by_number[number])
        self._loading.clear()

    def changes(self) -> list[tuple[Any, ...]]:
        """What the student's code changed since the last message, for the judge."""
        found: list[tuple[Any, ...]] = []
        for number, value in self._by_number.items():
            before, now = self._settled.get(number), _state(value)
            if before == now:
                continue
            self._settled[number] = now
            if isinstance(value, Tensor):
                found.append((number, value.data, bool(value.requires_grad), value._grad))
            else:
                remade = before is None or before[1:] != now[1:]
                found.append((number, bool(value.training), remade))
        return found


def plain_tensor(kind: Any, data: Any, requires_grad: bool, gradient: Any) -> Any:
    """A tensor outside any graph, of a class that may refuse an odd dtype in its constructor."""
    tensor = _allocate(kind)
    tensor.data, tensor.requires_grad, tensor._grad = data, requires_grad, gradient
    tensor._parents, tensor._backward = (), None
    return tensor


def _state(value: Any) -> Any:
    """What is compared to see whether a twin changed."""
    if isinstance(value, Tensor):
        return _digest(value.data), bool(value.requires_grad), _digest(value._grad)
    parts = {
        name: id(each)
        for name, each in vars(value).items()
        if isinstance(each, (Tensor, nn.Module))
    }
    return value.training, id(type(value)), parts


def _digest(array: Any) -> Any:
    return None if array is None else (array.shape, array.dtype.str, hash(array.tobytes()))
