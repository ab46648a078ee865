"""The layers: shapes, initial values, parameters, gradients of whole blocks."""

import math

import numpy as np
import pytest

from tests.tinytorch.finite_differences import check_gradients
from tinytorch import Parameter, Tensor, nn


def as_float64(module: nn.Module) -> nn.Module:
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.astype(np.float64)
    return module


LAYERS: dict[str, tuple[nn.Module, tuple[int, ...], tuple[int, ...], int]] = {
    # layer, shape in, shape out, number of learned values
    "Linear": (nn.Linear(3, 5), (2, 4, 3), (2, 4, 5), 20),
    "Linear without bias": (nn.Linear(3, 5, bias=False), (2, 3), (2, 5), 15),
    "Conv2d": (nn.Conv2d(2, 3, 3, stride=2, padding=1), (2, 2, 5, 5), (2, 3, 3, 3), 57),
    "Conv2d without bias": (nn.Conv2d(2, 3, 1, bias=False), (1, 2, 2, 2), (1, 3, 2, 2), 6),
    "MaxPool2d": (nn.MaxPool2d(2), (1, 2, 5, 4), (1, 2, 2, 2), 0),
    "MaxPool2d with stride": (nn.MaxPool2d(2, stride=1), (1, 2, 3, 3), (1, 2, 2, 2), 0),
    "BatchNorm2d": (nn.BatchNorm2d(3), (2, 3, 2, 2), (2, 3, 2, 2), 6),
    "LayerNorm": (nn.LayerNorm(4), (2, 3, 4), (2, 3, 4), 8),
    "ReLU": (nn.ReLU(), (2, 3), (2, 3), 0),
    "GELU": (nn.GELU(), (2, 3), (2, 3), 0),
    "Flatten": (nn.Flatten(), (2, 3, 4), (2, 12), 0),
    "MultiHeadAttention": (nn.MultiHeadAttention(6, 2), (2, 3, 6), (2, 3, 6), 168),
    "FeedForward": (nn.FeedForward(3), (2, 3), (2, 3), 87),
    "FeedForward narrow": (nn.FeedForward(3, 2), (2, 3), (2, 3), 17),
    "TransformerBlock": (nn.TransformerBlock(4, 2, hidden_dim=8), (2, 3, 4), (2, 3, 4), 172),
}


@pytest.mark.parametrize("name", LAYERS)
def test_shapes_parameters_and_gradients(name: str) -> None:
    layer, shape, result_shape, count = LAYERS[name]
    as_float64(layer)
    x = np.random.default_rng(0).standard_normal(shape)
    assert layer(Tensor(x)).shape == result_shape
    assert sum(parameter.numel() for parameter in layer.parameters()) == count
    parameters = list(layer.parameters())

    def function(x: Tensor, *values: Tensor) -> Tensor:
        originals = [parameter.data for parameter in parameters]
        owners = {id(p): (m, n) for m in layer.modules() for n, p in vars(m).items()}
        for parameter, value in zip(parameters, values, strict=True):
            module, attribute = owners[id(parameter)]
            setattr(module, attribute, value)
        try:
            return layer(x)  # type: ignore[no-any-return]
        finally:
            for parameter, original in zip(parameters, originals, strict=True):
                module, attribute = owners[id(parameter)]
                parameter.data = original
                setattr(module, attribute, parameter)

    check_gradients(function, x, *(p.data.copy() for p in parameters), atol=1e-6)


def test_initial_values_come_from_the_generator_and_are_float32() -> None:
    for make in (
        lambda rng: nn.Linear(4, 3, rng=rng),
        lambda rng: nn.Conv2d(4, 3, 2, rng=rng),
        lambda rng: nn.Embedding(4, 3, rng=rng),
        lambda rng: nn.TransformerBlock(4, 2, rng=rng),
    ):
        first, second, other = (make(np.random.default_rng(seed)) for seed in (1, 1, 2))
        for (name, a), b, c in zip(
            first.named_parameters(), second.parameters(), other.parameters(), strict=True
        ):
            assert a.dtype == np.float32
            np.testing.assert_array_equal(a.data, b.data)
            assert "norm" in name or not np.array_equal(a.data, c.data)


def test_two_layers_without_a_generator_differ() -> None:
    assert not np.array_equal(nn.Linear(4, 3).weight.data, nn.Linear(4, 3).weight.data)


def test_initial_scales() -> None:
    rng = np.random.default_rng(0)
    weight = nn.Linear(400, 300, rng=rng).weight.data
    assert np.abs(weight).max() <= 1 / math.sqrt(400)
    assert weight.std() == pytest.approx(1 / math.sqrt(3 * 400), rel=0.02)
    weight = nn.Conv2d(16, 64, 5, rng=rng).weight.data
    assert weight.std() == pytest.approx(1 / math.sqrt(3 * 16 * 25), rel=0.02)
    table = nn.Embedding(300, 100, rng=rng).weight.data
    assert (table.mean(), table.std()) == pytest.approx((0, 1), abs=0.02)


def test_the_weight_of_linear_is_out_by_in() -> None:
    layer = nn.Linear(2, 3)
    assert layer.weight.shape == (3, 2)
    assert isinstance(layer.weight, Parameter)


def test_names_inside_the_blocks() -> None:
    block = nn.TransformerBlock(4, 2)
    children = [name for name, _ in block.named_children()]
    assert children == ["norm1", "attention", "norm2", "feed_forward"]
    assert [name for name, _ in block.attention.named_children()][:2] == ["qkv", "out"]
    inner = [name for name, _ in block.feed_forward.named_children()]
    assert inner[:3] == ["fc1", "activation", "fc2"]
    assert block.attention.qkv.weight.shape == (12, 4)
    assert nn.MultiHeadAttention(4, 2, bias=False).qkv.bias is None


def test_a_block_adds_to_its_input() -> None:
    block = nn.TransformerBlock(4, 2)
    block.attention.out.weight.data[...] = 0
    block.feed_forward.fc2.weight.data[...] = 0
    for layer in (block.attention.out, block.feed_forward.fc2):
        assert layer.bias is not None
        layer.bias.data[...] = 0
    x = np.random.default_rng(0).standard_normal((1, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(block(Tensor(x)).data, x)


def test_float32_stays_float32_in_every_layer() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=rng), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    )
    y = model(Tensor(np.ones((2, 1, 6, 6), np.float32)))
    z = nn.TransformerBlock(4, 2, dropout=0.2)(y.flatten(2).transpose(1, 2))
    z.mean().backward()
    assert (y.dtype, z.dtype) == (np.float32, np.float32)
    assert all(p.grad is not None and p.grad.dtype == np.float32 for p in model.parameters())


def test_dropout_drops_and_scales_in_training_only() -> None:
    layer = nn.Dropout(0.25, rng=np.random.default_rng(0))
    x = Tensor(np.ones((200, 200), np.float32), True)
    y = layer(x)
    assert y.dtype == np.float32
    assert set(np.unique(y.data)) == {0.0, np.float32(1 / 0.75)}
    assert (y.data == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert not np.array_equal(layer(x).data, y.data)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, y.data)
    assert layer.eval()(x) is x
    assert nn.Dropout(0.0)(x) is x


def test_dropout_with_equal_generators_is_equal() -> None:
    x = Tensor(np.ones(50))
    first, second = (nn.Dropout(0.5, rng=np.random.default_rng(3))(x) for _ in range(2))
    np.testing.assert_array_equal(first.data, second.data)
    assert first.dtype == np.float64


@pytest.mark.parametrize("p", [-0.1, 1.0, 2])
def test_dropout_refuses_impossible_probabilities(p: float) -> None:
    with pytest.raises(ValueError, match="0 <= p < 1"):
        nn.Dropout(p)


def test_embedding_takes_arrays_tensors_and_lists() -> None:
    layer = nn.Embedding(5, 3)
    for ids in ([[1, 4]], np.array([[1, 4]]), Tensor([[1, 4]])):
        np.testing.assert_array_equal(layer(ids).data, layer.weight.data[[[1, 4]]])
