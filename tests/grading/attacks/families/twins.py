"""Models that a test hands over, and gets back changed."""

from __future__ import annotations

from functools import partial

from tests.grading.attacks.case import Case

case = partial(Case, "twins")


def pruned(lines: str, above: str = "") -> dict[str, str]:
    """A solution of `pruned` with a body of its own."""
    body = "\n".join(f"    {line}" for line in lines.strip().split("\n"))
    return {"pruned": f"{above}\ndef pruned(layer, threshold):\n{body}\n    return -1"}


CASES = [
    case(
        "lying_weights",
        "the weights become an object that agrees with all",
        solutions=pruned(
            "layer.weight.data = np.zeros((16, 8)).view(Agreeing)",
            "class Agreeing(np.ndarray):\n"
            "    def __array_ufunc__(self, *a, **k): return np.zeros((16, 8), bool)\n"
            "    def __eq__(self, other): return True",
        ),
    ),
    case(
        "no_weights",
        "the weights are taken away, or are text",
        solutions=pruned("layer.weight = 'none'\ndel layer.bias"),
    ),
    case(
        "more_layers",
        "the layer receives parts, buffers and hooks of its own",
        solutions=pruned(
            "layer.more = Linear(3000, 3000)\nlayer.loop = layer\n"
            "layer.register_buffer('seen', np.zeros(3))\n"
            "layer.register_forward_hook(lambda *a: None)"
        ),
    ),
    case(
        "another_class",
        "the layer, or its weight, becomes something else",
        solutions=pruned(
            "class Fake(type(layer)):\n    def __getattribute__(self, name): return self\n"
            "layer.__class__ = Fake"
        ),
    ),
    case(
        "odd_weights",
        "weights of other shapes, kinds and sizes",
        solutions=pruned(
            "odd = [np.broadcast_to(np.float32(0), (1 << 20, 1 << 20)),\n"
            "       np.zeros((16, 8), object), np.full((16, 8), np.nan, np.float32),\n"
            "       np.zeros((8, 16), np.float32).T]\n"
            "layer.weight.data = odd[TURN.pop() if TURN else 0]",
            "TURN = [0, 1, 2, 3]",
        ),
    ),
    case(
        "huge_weights",
        "weights of half a gigabyte",
        solutions=pruned("layer.weight.data = np.zeros((1 << 14, 1 << 13), np.float32)"),
    ),
    case(
        "odd_gradient",
        "a gradient that is a module, a list, itself",
        solutions=pruned(
            "layer.weight.grad = layer.weight\nlayer.bias.grad = [layer]\n"
            "layer.weight.requires_grad = 'yes'\nlayer.training = []"
        ),
    ),
    case(
        "acts_when_unpickled",
        "the state acts in the hands of whoever loads it",
        solutions=pruned(
            "layer.acting = Acting()\nlayer.__reduce__ = Acting().__reduce__",
            "class Acting:\n    def __reduce__(self):\n"
            "        return (exec, (\"open('/tmp/@TOKEN@-loaded', 'w')\",))",
        ),
    ),
    case(
        "framework_patched",
        "the framework's classes are changed in the sandbox",
        early=r"""
import tinytorch, tinytorch.nn
for kind in (tinytorch.Tensor, tinytorch.nn.Module, tinytorch.nn.Linear, tinytorch.nn.Parameter):
    for name in ("__eq__", "data", "state_dict", "parameters", "named_parameters", "__init__"):
        try:
            setattr(kind, name, lambda self, *a, **k: {})
        except (AttributeError, TypeError):
            continue
""",
    ),
    case(
        "threshold_kept",
        "the answer to the known call is right, all others are not",
        solutions=pruned(
            "if threshold == 0.2:\n    small = np.abs(layer.weight.data) < 0.2\n"
            "    layer.weight.data[small] = 0\n    return 0"
        ),
    ),
    case(
        "changed_later",
        "a thread goes on changing the weights after the call",
        solutions=pruned(
            "def change():\n    while True:\n        layer.weight.data *= 0.5\n"
            "        time.sleep(0.001)\n"
            "import threading\nthreading.Thread(target=change, daemon=True).start()"
        ),
    ),
]
