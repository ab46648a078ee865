"""How parameters learn from their gradients: optimizers, schedules, clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from tinytorch import backend
from tinytorch.kernels.arrays import Array
from tinytorch.tensor import Tensor

State: TypeAlias = "dict[str, Array | float | int | str]"
Schedule: TypeAlias = Callable[[int], float]
"""From the number of the step, counted from 0, to a factor of the learning rate."""


class Optimizer:
    """What all optimizers share: the parameters, and arrays of their shapes as state.

    Args:
        parameters: floating point tensors, each once; frozen ones never get a gradient and stay.
        lr: learning rate, above 0; may be changed between steps.

    Raises:
        ValueError: no parameters, one given twice, or a learning rate below 0.
        TypeError: something that is no floating point tensor.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("there are no parameters to learn; pass model.parameters()")
        for parameter in self.parameters:
            if not isinstance(parameter, Tensor) or parameter.data.dtype.kind != "f":
                raise TypeError(
                    f"an optimizer changes floating point tensors, got {type(parameter).__name__}; "
                    "pass model.parameters()"
                )
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError("a parameter was given twice and would be changed twice in each step")
        self.lr = _not_negative("lr", lr)

    def step(self) -> None:
        """Change each parameter that has a gradient; the others stay."""
        raise NotImplementedError(f"{type(self).__name__} has no step(); define one")

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters:
            parameter._grad = None

    def state_arrays(self) -> list[Array]:
        """The arrays kept from step to step: what the optimizer costs in memory."""
        return [value for value in self.state_dict().values() if isinstance(value, np.ndarray)]

    def state_dict(self) -> State:
        """The learning rate and all that is kept from step to step; arrays share memory."""
        return {"kind": type(self).__name__, "lr": self.lr}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another optimizer of the same kind stood. Nothing changes on an error.

        Raises:
            ValueError: state of another kind, or arrays that do not fit the parameters.
        """
        kind = state.get("kind")
        if kind != type(self).__name__:
            raise ValueError(
                f"this is the state of {kind}, and the optimizer is {type(self).__name__}"
            )
        self._load(state)
        self.lr = float(state["lr"])

    def _load(self, state: Mapping[str, Any]) -> None:
        """Take over what the kind of optimizer keeps."""

    def _arrays_from(self, state: Mapping[str, Any], name: str) -> list[Array | None]:
        """Copies of the arrays `name.0`, `name.1`, ...; None where there is none."""
        arrays: list[Array | None] = []
        for number, parameter in enumerate(self.parameters):
            stored = state.get(f"{name}.{number}")
            if stored is not None and np.shape(stored) != parameter.data.shape:
                raise ValueError(
                    f"{name}.{number} has shape {np.shape(stored)}, its parameter "
                    f"{parameter.data.shape}; the state is of another model"
                )
            arrays.append(None if stored is None else np.array(stored, parameter.data.dtype))
        surplus = f"{name}.{len(self.parameters)}"
        if surplus in state:
            raise ValueError(
                f"the state has {surplus}, but there are only {len(self.parameters)} parameters; "
                "the state is of another model"
            )
        return arrays


class SGD(Optimizer):
    """Stochastic gradient descent.

    With a momentum m each parameter keeps a velocity v = m v + gradient and moves by -lr v; with
    `nesterov` by -lr (gradient + m v).

    Args:
        parameters: tensors that require a gradient.
        lr: learning rate.
        momentum: share of the velocity that stays, 0 to below 1.
        nesterov: look one step ahead; needs a momentum.
        weight_decay: this share of the parameter is added to its gradient.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning",
        ICML 2013.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = _share("momentum", momentum)
        if nesterov and not momentum:
            raise ValueError("nesterov needs a momentum above 0, for example momentum=0.9")
        self.nesterov = nesterov
        self.weight_decay = _not_negative("weight_decay", weight_decay)
        self._velocities: list[Array | None] = [None] * len(self.parameters)

    def step(self) -> None:
        """Move each parameter that has a gradient."""
        sgd_step, lr, weight_decay = backend.active.sgd_step, self.lr, self.weight_decay
        if not self.momentum:
            for parameter in self.parameters:
                gradient = parameter._grad
                if gradient is not None:
                    sgd_step(parameter.data, gradient, lr=lr, weight_decay=weight_decay)
            return
        for number, parameter in enumerate(self.parameters):
            gradient = parameter._grad
            if gradient is None:
                continue
            velocity = self._velocities[number]
            if velocity is None:
                velocity = self._velocities[number] = np.zeros_like(parameter.data)
            sgd_step(
                parameter.data,
                gradient,
                velocity,
                lr=lr,
                momentum=self.momentum,
                nesterov=self.nesterov,
                weight_decay=weight_decay,
            )

    def state_dict(self) -> State:
        """The learning rate and the velocities (`velocity.0`, ...)."""
        return {**super().state_dict(), **_numbered("velocity", self._velocities)}

    def _load(self, state: Mapping[str, Any]) -> None:
        self._velocities = self._arrays_from(state, "velocity")


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Each parameter keeps running means m of its gradient and v of the gradient's square, corrected
    for their start at 0; it shrinks by lr * weight_decay and moves by -lr m / (sqrt(v) + eps).

    Args:
        parameters: tensors that require a gradient.
        lr: learning rate.
        betas: share of m and of v that stays in each step.
        eps: keeps the division finite.
        weight_decay: share of the parameter, times lr, that goes in each step.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019,
        arXiv:1711.05101.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas = (_share("betas[0]", betas[0]), _share("betas[1]", betas[1]))
        if eps <= 0:
            raise ValueError(f"eps is {eps}; it must be above 0")
        self.eps = eps
        self.weight_decay = _not_negative("weight_decay", weight_decay)
        self._means: list[Array | None] = [None] * len(self.parameters)
        self._squares: list[Array | None] = [None] * len(self.parameters)
        self._steps = [0] * len(self.parameters)

    def step(self) -> None:
        """Move each parameter that has a gradient."""
        adamw_step = backend.active.adamw_step
        beta1, beta2 = self.betas
        for number, parameter in enumerate(self.parameters):
            gradient = parameter._grad
            if gradient is None:
                continue
            mean, square = self._means[number], self._squares[number]
            if mean is None or square is None:
                mean = self._means[number] = np.zeros_like(parameter.data)
                square = self._squares[number] = np.zeros_like(parameter.data)
            self._steps[number] += 1
            adamw_step(
                parameter.data,
                gradient,
                mean,
                square,
                lr=self.lr,
                beta1=beta1,
                beta2=beta2,
                eps=self.eps,
                weight_decay=self.weight_decay,
                step=self._steps[number],
            )

    def state_dict(self) -> State:
        """The learning rate, the steps taken (`step.0`, ...) and the means (`m.0`, `v.0`, ...)."""
        return {
            **super().state_dict(),
            **{f"step.{number}": count for number, count in enumerate(self._steps)},
            **_numbered("m", self._means),
            **_numbered("v", self._squares),
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        means, squares = self._arrays_from(state, "m"), self._arrays_from(state, "v")
        steps = [int(state.get(f"step.{number}", 0)) for number in range(len(self.parameters))]
        for number, (count, mean, square) in enumerate(zip(steps, means, squares, strict=True)):
            if (count > 0) != (mean is not None) or (mean is None) != (square is None):
                raise ValueError(
                    f"the state of parameter {number} is incomplete: step.{number}, m.{number} and "
                    f"v.{number} belong together"
                )
        self._means, self._squares, self._steps = means, squares, steps


def cosine_schedule(step: int, total_steps: int, final: float = 0.0) -> float:
    """A factor that falls from 1 at step 0 to `final` at step `total_steps`, as half a cosine wave.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR
        2017, arXiv:1608.03983.

    Example:
        >>> [round(cosine_schedule(step, 4), 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if total_steps < 1:
        raise ValueError(f"total_steps is {total_steps}; it must be at least 1")
    done = min(max(step / total_steps, 0.0), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))


def warmup_schedule(step: int, warmup_steps: int) -> float:
    """A factor that rises in a straight line to 1, which it reaches at step `warmup_steps` - 1.

    Example:
        >>> [warmup_schedule(step, 4) for step in range(6)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    if warmup_steps < 0:
        raise ValueError(f"warmup_steps is {warmup_steps}; it must be 0 or more")
    return 1.0 if step + 1 >= warmup_steps else (step + 1) / warmup_steps


class Scheduler:
    """Sets an optimizer's learning rate to its first value times a factor for each step.

    Call `step()` before each `optimizer.step()`.

    Args:
        optimizer: its `lr` now is the one that factor 1 means.
        schedule: from the number of the step, from 0, to the factor; for example
            `lambda step: warmup_schedule(step, 100) * cosine_schedule(step, 2000)`.
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule) -> None:
        self.optimizer = optimizer
        self.schedule = schedule
        self.base_lr = optimizer.lr
        self.steps = 0

    def step(self) -> None:
        """Set the learning rate for the next step of the optimizer."""
        self.optimizer.lr = self.base_lr * self.schedule(self.steps)
        self.steps += 1


def clip_gradient_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor so that their joint length is at most `max_norm`.

    Returns:
        The length before: the square root of the sum of all squared elements.

    Raises:
        FloatingPointError: the length is infinite or not a number; the gradients stay as they are.

    Source: Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013,
        arXiv:1211.5063.
    """
    if max_norm <= 0:
        raise ValueError(f"max_norm is {max_norm}; it must be above 0")
    kernels = backend.active
    with_gradient = [parameter for parameter in parameters if parameter._grad is not None]
    flat = [parameter._grad.reshape(-1) for parameter in with_gradient]  # type: ignore[union-attr]
    norm = math.sqrt(sum(float(kernels.matmul(gradient, gradient)) for gradient in flat))
    if not math.isfinite(norm):
        raise FloatingPointError(
            f"the gradients' length is {norm}: training has diverged; a smaller learning rate helps"
        )
    if norm > max_norm:
        for parameter in with_gradient:
            gradient = parameter._grad
            assert gradient is not None
            factor = np.asarray(max_norm / norm, gradient.dtype)
            parameter._grad = kernels.mul(gradient, factor)
    return norm


def _numbered(name: str, arrays: list[Array | None]) -> dict[str, Array]:
    return {f"{name}.{i}": array for i, array in enumerate(arrays) if array is not None}


def _not_negative(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} is {value}; it must be 0 or more")
    return value


def _share(name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be in 0 <= {name} < 1")
    return value
