"""A GPT as an ONNX graph, with ONNX Runtime's own attention over a shared cache."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers import Weights
from tinytorch.models import GPTConfig

CONTRIB = "com.microsoft"


def gpt_graph(weights: Weights, config: GPTConfig, batch: int = 1) -> onnx.ModelProto:
    """The decoder with the inputs tokens, positions, the cache's lengths, and past keys and values.

    GroupQueryAttention writes the new keys and values into the buffers it reads when the caller
    gives the same memory as past and as present.
    """
    graph = _Graph(weights, config)
    graph.node("Gather", ["token_embedding.weight", "tokens"], ["tokens_in"])
    graph.node("Gather", ["position_embedding.weight", "positions"], ["places_in"])
    graph.node("Add", ["tokens_in", "places_in"], ["x0"])
    x = "x0"
    for layer in range(config.n_layer):
        x = _block(graph, x, layer)
    graph.norm(x, "norm", "last")
    graph.product("last", "head", "scores")
    width = config.n_embd // config.n_head
    cache_shape = [batch, config.n_head, config.block_size, width]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [batch, "T"]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, ["T"]),
        helper.make_tensor_value_info("last_position", TensorProto.INT32, [batch]),
        helper.make_tensor_value_info("total_length", TensorProto.INT32, []),
        *_caches("past", config.n_layer, cache_shape),
    ]
    scores = helper.make_tensor_value_info(
        "scores", TensorProto.FLOAT, [batch, "T", config.vocab_size]
    )
    outputs = [scores, *_caches("present", config.n_layer, cache_shape)]
    whole = helper.make_graph(graph.nodes, "gpt", inputs, outputs, graph.initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(whole, opset_imports=opsets, ir_version=9)


def _caches(which: str, layers: int, shape: list[int]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(f"{which}_{kind}_{layer}", TensorProto.FLOAT, shape)
        for layer in range(layers)
        for kind in ("keys", "values")
    ]


def _block(graph: "_Graph", x: str, layer: int) -> str:
    """The nodes of one block; returns the name of its result."""
    name = f"blocks.{layer}."
    graph.norm(x, f"{name}norm1", f"{name}n1")
    graph.product(f"{name}n1", f"{name}attention.qkv", f"{name}qkv")
    graph.node(
        "GroupQueryAttention",
        [
            *(f"{name}qkv", "", ""),
            *(f"past_keys_{layer}", f"past_values_{layer}", "last_position", "total_length"),
        ],
        [f"{name}heads", f"present_keys_{layer}", f"present_values_{layer}"],
        domain=CONTRIB,
        num_heads=graph.config.n_head,
        kv_num_heads=graph.config.n_head,
    )
    graph.product(f"{name}heads", f"{name}attention.out", f"{name}gathered")
    graph.node("Add", [x, f"{name}gathered"], [f"{name}middle"])
    graph.norm(f"{name}middle", f"{name}norm2", f"{name}n2")
    graph.product(f"{name}n2", f"{name}feed_forward.fc1", f"{name}wide", bias=False)
    bias = f"{name}feed_forward.fc1.bias"
    graph.node("FastGelu", [f"{name}wide", bias], [f"{name}active"], domain=CONTRIB)
    graph.product(f"{name}active", f"{name}feed_forward.fc2", f"{name}narrow")
    graph.node("Add", [f"{name}middle", f"{name}narrow"], [f"{name}end"])
    return f"{name}end"


class _Graph:
    """Nodes and initial values, growing."""

    def __init__(self, weights: Weights, config: GPTConfig) -> None:
        self.config = config
        self.nodes: list[onnx.NodeProto] = []
        products = {name for name in weights if weights[name].ndim == 2 and "embedding" not in name}
        self.initializers = [
            numpy_helper.from_array(
                np.ascontiguousarray(array.T if name in products else array), name
            )
            for name, array in weights.items()
        ]
        self.biases = {name for name in weights if name.endswith(".bias")}

    def node(self, op: str, inputs: list[str], outputs: list[str], **attributes: object) -> None:
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))

    def norm(self, x: str, name: str, result: str) -> None:
        inputs = [x, f"{name}.weight", f"{name}.bias"]
        self.node("LayerNormalization", inputs, [result], axis=-1, epsilon=1e-5)

    def product(self, x: str, name: str, result: str, bias: bool = True) -> None:
        """x times the layer's weight (stored as (in, out)), plus its bias if it has one."""
        if not bias or f"{name}.bias" not in self.biases:
            self.node("MatMul", [x, f"{name}.weight"], [result])
            return
        self.node("MatMul", [x, f"{name}.weight"], [f"{result}_product"])
        self.node("Add", [f"{result}_product", f"{name}.bias"], [result])
