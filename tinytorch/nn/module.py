"""The base of all layers and models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from tinytorch.kernels.arrays import Array
from tinytorch.tensor import Parameter, Tensor

ForwardPreHook = Callable[["Module", tuple[Any, ...]], Any]
ForwardHook = Callable[["Module", tuple[Any, ...], Any], Any]
Self = TypeVar("Self", bound="Module")


class HookHandle:
    """Undoes the registration of a hook."""

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """Take the hook away; again is harmless."""
        self._hooks.pop(self._key, None)


class Module:
    """A layer or model.

    Attributes that are a `Parameter` or a `Module` belong to it by their name; so do the tensors
    given to `register_buffer`. Subclasses write `forward`; users call the module itself.
    """

    training: bool = True
    _buffers: tuple[str, ...] = ()
    _pre_hooks: dict[int, ForwardPreHook] | None = None
    _hooks: dict[int, tuple[ForwardHook, bool]] | None = None
    _hooked: bool = False  # whether there ever was a hook; without one a call goes straight on

    # ---- computing ------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; each kind of module has its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`, and the hooks if there are any."""
        if self._hooked:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for pre_hook in list((self._pre_hooks or {}).values()):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        hooks = list((self._hooks or {}).values())
        try:
            output = self.forward(*args, **kwargs)
        except BaseException:
            for hook, always_call in hooks:
                if always_call:
                    hook(self, args, None)
            raise
        for hook, _ in hooks:
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_pre_hook(self, hook: ForwardPreHook) -> HookHandle:
        """Call `hook(module, args)` before each forward.

        What it returns, if not None, replaces the arguments.
        """
        self._hooked = True
        if self._pre_hooks is None:
            self._pre_hooks = {}
        return _register(self._pre_hooks, hook)

    def register_forward_hook(self, hook: ForwardHook, always_call: bool = False) -> HookHandle:
        """Call `hook(module, args, output)` after each forward.

        What it returns, if not None, replaces the output. With `always_call` it is also called,
        with None as output, when forward raised.
        """
        self._hooked = True
        if self._hooks is None:
            self._hooks = {}
        return _register(self._hooks, (hook, always_call))

    # ---- parts ----------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        for _, child in self.named_children():
            yield child

    def named_modules(
        self, prefix: str = "", seen: set[int] | None = None
    ) -> Iterator[tuple[str, Module]]:
        """This module (named "") and all below it, each once, with dotted names."""
        seen = set() if seen is None else seen
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        for _, module in self.named_modules():
            yield module

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with dotted names."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield f"{prefix}.{name}" if prefix else name, value

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        for _, parameter in self.named_parameters():
            yield parameter

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Keep a tensor that is not learned but belongs to the state, as `self.<name>`."""
        setattr(self, name, tensor)
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        for prefix, module in self.named_modules():
            for name in module._buffers:
                yield f"{prefix}.{name}" if prefix else name, getattr(module, name)

    def buffers(self) -> Iterator[Tensor]:
        """All buffers."""
        for _, buffer in self.named_buffers():
            yield buffer

    # ---- state ----------------------------------------------------------------------------------

    def state_dict(self, prefix: str = "") -> dict[str, Tensor]:
        """Parameters and buffers by dotted name; they share memory with the module's."""
        state: dict[str, Tensor] = OrderedDict()
        for name, value in vars(self).items():
            if isinstance(value, Parameter) or (name in self._buffers and value is not None):
                state[prefix + name] = value.detach()
        for name, child in self.named_children():
            state.update(child.state_dict(f"{prefix}{name}."))
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | Array], strict: bool = True) -> None:
        """Copy values into parameters and buffers of the same names. Nothing changes on an error.

        Args:
            state: as `state_dict()` gives it; plain arrays are welcome too.
            strict: names must be exactly the module's own.

        Raises:
            KeyError: missing or unexpected names.
            ValueError: a shape that differs.
            TypeError: a dtype that cannot become the module's without loss of kind.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        if strict and (missing or unexpected):
            raise KeyError(f"state does not fit: missing {missing}, unexpected {unexpected}")
        new = {
            name: value.data if isinstance(value, Tensor) else np.asarray(value)
            for name, value in state.items()
            if name in own
        }
        for name, array in new.items():
            target = own[name].data
            if array.shape != target.shape:
                raise ValueError(f"{name}: the module has {target.shape}, the state {array.shape}")
            if not np.can_cast(array.dtype, target.dtype, casting="same_kind"):
                raise TypeError(f"{name}: the module has {target.dtype}, the state {array.dtype}")
        for name, array in new.items():
            np.copyto(own[name].data, array, casting="same_kind")

    def train(self: Self, mode: bool = True) -> Self:
        """Switch this module and all below it to training (or, with False, to evaluation)."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Switch to evaluation: no dropout, running statistics."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter._grad = None

    # ---- showing --------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What `repr` shows between the brackets."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"  ({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        inside = self.extra_repr()
        if lines:
            inside = "\n" + "\n".join([f"  {inside}"] * bool(inside) + lines) + "\n"
        return f"{type(self).__name__}({inside})"


def _register(hooks: dict[int, Any], entry: Any) -> HookHandle:
    key = max(hooks, default=-1) + 1
    hooks[key] = entry
    return HookHandle(hooks, key)
