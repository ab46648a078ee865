"""Attention against a loop over queries and keys, its gradients, the causal mask, the cache."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tinytorch.finite_differences import Floats, check_gradients, seeds
from tinytorch import Tensor, backend, nn, no_grad
from tinytorch import functional as F
from tinytorch.kernels import NumpyBackend, arrays

sizes = st.integers(1, 3)


def attention_by_loops(q: Floats, k: Floats, v: Floats, causal: bool, scale: float) -> Floats:
    """Each query asks each key it may see, in plain Python."""
    batch, heads, queries, _ = q.shape
    keys = k.shape[2]
    y = np.zeros((batch, heads, queries, v.shape[3]))
    for b, h, i in np.ndindex(batch, heads, queries):
        seen = range(i + keys - queries + 1) if causal else range(keys)
        weights = [math.exp(scale * sum(q[b, h, i] * k[b, h, j])) for j in seen]
        for j, weight in zip(seen, weights, strict=True):
            y[b, h, i] += weight / sum(weights) * v[b, h, j]
    return y


@settings(max_examples=40)
@given(
    lead=st.tuples(sizes, sizes),
    queries=st.integers(1, 4),
    older=st.integers(0, 3),
    width=sizes,
    causal=st.booleans(),
    seed=seeds,
)
def test_attention_against_loops_and_finite_differences(
    lead: tuple[int, int], queries: int, older: int, width: int, causal: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    q = rng.standard_normal((*lead, queries, width))
    k, v = (rng.standard_normal((*lead, queries + older, width)) for _ in range(2))
    expected = attention_by_loops(q, k, v, causal, 1 / math.sqrt(width))
    result = F.scaled_dot_product_attention(*map(Tensor, (q, k, v)), is_causal=causal)
    np.testing.assert_allclose(result.data, expected, atol=1e-12)
    check_gradients(lambda *t: F.scaled_dot_product_attention(*t, is_causal=causal), q, k, v)


def test_attention_with_its_own_scale() -> None:
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, 2, 3, 4)) for _ in range(3))
    result = F.scaled_dot_product_attention(*map(Tensor, (q, k, v)), scale=0.3)
    np.testing.assert_allclose(result.data, attention_by_loops(q, k, v, False, 0.3), atol=1e-12)
    check_gradients(lambda *t: F.scaled_dot_product_attention(*t, scale=0.3), q, k, v)


def test_scores_that_would_overflow() -> None:
    q = Tensor(np.full((1, 1, 2, 4), 100, np.float32))
    y = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.data, q.data)


@settings(max_examples=20)
@given(heads=sizes, width=sizes, length=st.integers(1, 4), causal=st.booleans(), seed=seeds)
def test_multi_head_attention_is_attention_on_the_split_heads(
    heads: int, width: int, length: int, causal: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    qkv = rng.standard_normal((2, length, 3 * heads * width))
    apart = [
        part.reshape(2, length, heads, width).transpose(0, 2, 1, 3)
        for part in np.split(qkv, 3, axis=2)
    ]
    expected = attention_by_loops(*apart, causal, 1 / math.sqrt(width))
    expected = expected.transpose(0, 2, 1, 3).reshape(2, length, -1)
    result = F.multi_head_attention(Tensor(qkv), heads, causal)
    np.testing.assert_allclose(result.data, expected, atol=1e-12)
    check_gradients(lambda t: F.multi_head_attention(t, heads, causal), qkv)


def test_weights_are_kept_only_for_a_gradient() -> None:
    events: list[backend.Event] = []
    q = Tensor(np.ones((1, 1, 3, 2), np.float32))
    trainable = Tensor(q.data, True)
    with backend.observe(events.append):
        F.scaled_dot_product_attention(q, q, q)
        F.scaled_dot_product_attention(trainable, q, q)
        with no_grad():
            F.scaled_dot_product_attention(trainable, q, q)
    assert [len(event.outputs) for event in events] == [1, 2, 1]
    assert events[1].outputs[1].shape == (1, 1, 3, 3)


def test_joining_the_heads_moves_no_data() -> None:
    kernels = NumpyBackend()
    q = np.ones((2, 4, 3, 5), np.float32)
    for save_weights in (False, True):
        y, _ = kernels.attention(q, q, q, causal=True, scale=1, save_weights=save_weights)
        assert y.transpose(0, 2, 1, 3).flags.c_contiguous


class ListCache:
    """The simplest cache: joins old and new."""

    def __init__(self) -> None:
        self.keys: Floats | None = None
        self.values: Floats | None = None

    @property
    def length(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def update(self, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        if self.keys is None or self.values is None:
            self.keys, self.values = keys, values
        else:
            self.keys = np.concatenate([self.keys, keys], axis=2)
            self.values = np.concatenate([self.values, values], axis=2)
        return self.keys, self.values


@pytest.mark.parametrize("steps", [[1] * 6, [4, 1, 1], [3, 3], [6]])
def test_a_cache_changes_nothing_but_the_work(steps: list[int]) -> None:
    rng = np.random.default_rng(0)
    block = nn.TransformerBlock(8, 2, rng=rng)
    x = rng.standard_normal((2, 6, 8)).astype(np.float32)
    cache = ListCache()
    ends = np.cumsum([0, *steps])
    with no_grad():
        whole = block(Tensor(x)).data
        parts = [block(Tensor(x[:, start:end]), cache=cache).data for start, end in pairwise(ends)]
    assert cache.length == 6
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


def test_gradients_do_not_silently_stop_at_a_cache() -> None:
    layer = nn.MultiHeadAttention(8, 2)
    y = layer(Tensor(np.ones((1, 3, 8), np.float32)), cache=ListCache())
    with pytest.raises(RuntimeError, match="cache keeps no graph"):
        y.sum().backward()


def test_a_causal_layer_does_not_look_ahead_and_another_does() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 5, 8)).astype(np.float32)
    changed = x.copy()
    changed[0, 3] += 1
    for causal in (True, False):
        layer = nn.MultiHeadAttention(8, 2, causal=causal, rng=np.random.default_rng(1))
        before, after = layer(Tensor(x)).data, layer(Tensor(changed)).data
        assert np.array_equal(before[0, :3], after[0, :3]) == causal
        assert not np.array_equal(before[0, 3:], after[0, 3:])


def test_errors_show_the_shapes() -> None:
    q, k = Tensor(np.ones((1, 2, 4, 3))), Tensor(np.ones((1, 2, 3, 3)))
    with pytest.raises(ValueError, match="4 queries but 3 keys"):
        F.scaled_dot_product_attention(q, k, k, is_causal=True)
    with pytest.raises(
        ValueError, match=r"q \(1, 2, 4, 3\), k \(1, 2, 3, 3\) and v \(1, 2, 4, 3\)"
    ):
        F.scaled_dot_product_attention(q, k, q)
    with pytest.raises(ValueError, match="embed_dim 10 cannot be shared by 4 heads"):
        nn.MultiHeadAttention(10, 4)
    with pytest.raises(ValueError, match=r"\(2, 3, 10\).*12"):
        F.multi_head_attention(Tensor(np.ones((2, 3, 10))), 4)


@pytest.mark.parametrize("cache_bytes", [1, 300, 700, 1 << 30])
@pytest.mark.parametrize("causal", [True, False])
def test_blocks_of_heads_make_no_difference(
    cache_bytes: int, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "CACHE_BYTES", cache_bytes)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((3, 3, length, 2)) for length in (4, 5, 5))
    expected = attention_by_loops(q, k, v, causal, 1 / math.sqrt(2))
    result = F.scaled_dot_product_attention(*map(Tensor, (q, k, v)), is_causal=causal)
    np.testing.assert_allclose(result.data, expected, atol=1e-12)
    check_gradients(lambda *t: F.scaled_dot_product_attention(*t, is_causal=causal), q, k, v)
