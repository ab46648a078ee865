"""The two programs of a speed test: the student's and the instructor's, each in its sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tito.grading.judge.speed_sandbox import StoppedSandbox
from tito.testing.speed_pairs import Inputs, TimedCall

Ask = Callable[[Inputs], Any]

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DEEPEST = 32


class SandboxSide:
    """A function in a sandbox that is stopped whenever it has nothing to answer.

    Args:
        sandbox: The sandbox, through which `run` and `again` speak.
        run: Asks for all outputs of the function, see `speed.Program`.
        again: Asks for the last outputs once more.
        name: The function's name, for messages.
    """

    def __init__(self, sandbox: StoppedSandbox, run: Ask, again: Ask, name: str) -> None:
        self._sandbox = sandbox
        self._run = run
        self._again = again
        self._name = name

    def call(self, inputs: Inputs) -> TimedCall:
        """Run the function once for each of the inputs.

        Raises:
            AssertionError: What it returned is not complete data.
        """
        return self._timed(self._run, inputs)

    def empty(self, inputs: Inputs) -> TimedCall:
        """Take the inputs, run nothing, and give the last outputs once more."""
        return self._timed(self._again, inputs)

    def _timed(self, ask: Ask, inputs: Inputs) -> TimedCall:
        before_ns = self._sandbox.spent_ns
        outputs = ask(inputs)
        cpu_ns = self._sandbox.spent_ns - before_ns
        if type(outputs) is not list:
            raise AssertionError(
                f"the answer for {self._name} is of type {type(outputs).__name__}; expected a list"
            )
        _require_data(outputs, self._name)
        return TimedCall(outputs, cpu_ns)


def _require_data(value: Any, name: str, depth: int = 0) -> None:
    """Refuse what could be computed later, off the clock."""
    if isinstance(value, (list, tuple)) and depth < _DEEPEST:
        for item in value:
            _require_data(item, name, depth + 1)
    elif type(value) is dict and depth < _DEEPEST:
        for key, item in value.items():
            _require_data(key, name, depth + 1)
            _require_data(item, name, depth + 1)
    elif not (type(value) in _PLAIN or isinstance(value, (np.ndarray, np.generic))):
        if _is_tensor(value):
            return
        raise AssertionError(
            f"speed: not measured: {name} returned an object that is no data; a timed function "
            "must return finished arrays, Tensors or numbers, or lists, tuples and dicts of these."
        )


def _is_tensor(value: object) -> bool:
    from tinytorch import Tensor
    from tinytorch.nn import Parameter

    return type(value) in (Tensor, Parameter)
