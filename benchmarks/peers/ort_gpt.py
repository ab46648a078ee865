"""The ONNX graph of a GPT in ONNX Runtime: one thread, bound buffers, a cache in place."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime import OrtValue

from benchmarks.peers import Weights
from benchmarks.peers.onnx_graph import gpt_graph
from tinytorch.models import GPTConfig


class OrtGPT:
    """Reads tokens one pass at a time; `reset` begins a new sequence.

    Inputs and outputs are bound once: a pass copies nothing but its token and its position.

    Args:
        weights: by the names of `tinytorch.models.GPT`.
        config: the sizes.
        batch: B, sequences at once.
        int8: quantize the products' weights, and their inputs as they come (dynamic).
    """

    def __init__(
        self, weights: Weights, config: GPTConfig, batch: int = 1, int8: bool = False
    ) -> None:
        graph = gpt_graph(weights, config, batch)
        self.session = session(dynamic_int8(graph) if int8 else graph)
        self.config, self.batch = config, batch
        width = config.n_embd // config.n_head
        shape = (batch, config.n_head, config.block_size, width)
        self.cache = {
            f"{kind}_{layer}": OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
            for layer in range(config.n_layer)
            for kind in ("keys", "values")
        }
        self.last_position = np.zeros(batch, np.int32)
        self.total_length = np.zeros((), np.int32)
        self._passes: dict[int, _Pass] = {}
        self.length = 0

    def reset(self) -> None:
        self.length = 0

    def read(self, ids: np.ndarray) -> np.ndarray:
        """Read more tokens (B, T); scores after the last, (B, V), valid until the next pass."""
        count = ids.shape[1]
        if count not in self._passes:
            self._passes[count] = _Pass(self, count)
        one = self._passes[count]
        one.tokens[...] = ids
        one.positions[...] = np.arange(self.length, self.length + count)
        self.length += count
        self.last_position[...] = self.length - 1
        self.total_length[...] = self.length
        self.session.run_with_iobinding(one.binding)
        return one.scores[:, -1]


class _Pass:
    """The bound buffers of a pass over T tokens."""

    def __init__(self, model: OrtGPT, count: int) -> None:
        self.tokens = np.zeros((model.batch, count), np.int64)
        self.positions = np.zeros(count, np.int64)
        self.scores = np.zeros((model.batch, count, model.config.vocab_size), np.float32)
        self.binding = model.session.io_binding()
        self._kept: list[OrtValue] = []  # the binding does not keep what is bound alive
        inputs = {
            "tokens": self.tokens,
            "positions": self.positions,
            "last_position": model.last_position,
            "total_length": model.total_length,
        }
        for name, array in inputs.items():
            self.binding.bind_ortvalue_input(name, self._value(array))
        self.binding.bind_ortvalue_output("scores", self._value(self.scores))
        for name, value in model.cache.items():
            self.binding.bind_ortvalue_input(f"past_{name}", value)
            self.binding.bind_ortvalue_output(f"present_{name}", value)

    def _value(self, array: np.ndarray) -> OrtValue:
        """The array's own memory as a value of ONNX Runtime."""
        self._kept.append(OrtValue.ortvalue_from_numpy(array))
        return self._kept[-1]


def session(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """A session with all optimizations and one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def dynamic_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime's own dynamic quantization of the graph's products, a scale for each column."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(
            graph,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            # what the attention returns, which onnx cannot infer
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return onnx.load(target)


def generate(model: OrtGPT, prompt: np.ndarray, new: int) -> list[int]:
    """Greedy tokens after a prompt (T,)."""
    model.reset()
    unread = prompt[None]  # (1, T)
    tokens: list[int] = []
    while len(tokens) < new:
        tokens.append(int(model.read(unread)[0].argmax()))
        unread = np.array([[tokens[-1]]])
    return tokens
