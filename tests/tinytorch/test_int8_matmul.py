"""Products of int8 matrices: exact on every path, and clear about what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.kernels.compiled import int8_gemm, int8_matmul, int8_packed, vnni_available
from tinytorch.kernels.compiled.int8_direct import matmul_direct
from tinytorch.kernels.compiled.int8_plain import multiply_plain
from tinytorch.kernels.compiled.int8_vnni import LANES

needs_vnni = pytest.mark.skipif(not vnni_available(), reason="the processor has no VNNI")

SIZES = st.tuples(st.integers(1, 40), st.integers(1, 200), st.integers(1, 75))  # M, K, N
FILLINGS = ["random", "lowest", "highest", "opposite"]


def draw(rows: int, columns: int, filling: str, seed: int) -> np.ndarray:
    if filling == "random":
        return np.random.default_rng(seed).integers(-128, 128, (rows, columns), dtype=np.int8)
    return np.full((rows, columns), -128 if filling == "lowest" else 127, np.int8)


def operands(sizes, filling, seed):
    """a (M, K) and b (N, K); "opposite" multiplies 127 with -128."""
    rows, channels, columns = sizes
    a = draw(rows, channels, filling, seed)
    b = draw(columns, channels, "lowest" if filling == "opposite" else filling, seed + 1)
    return a, b


def product(a, b):
    """NumPy's own, in 64 bits."""
    return a.astype(np.int64) @ b.astype(np.int64).T


def packed(a, b):
    result = np.empty((len(a), len(b)), np.int32)
    int8_gemm.matmul_packed(int8_packed.fill_quads(a), int8_packed.pack(b), result)
    return result


def direct(a, b):
    result = np.empty((len(a), len(b)), np.int32)
    matmul_direct(a, b, result)
    return result


def plain(a, b):
    result = np.empty((len(a), len(b)), np.int32)
    int8_gemm.matmul_plain(a, b, result)
    return result


PATHS = [
    plain,
    pytest.param(direct, marks=needs_vnni),
    pytest.param(packed, marks=needs_vnni),
    int8_matmul,
]


@pytest.mark.parametrize("path", PATHS)
@given(sizes=SIZES, filling=st.sampled_from(FILLINGS), seed=st.integers(0, 2**32 - 2))
@settings(max_examples=60)
def test_is_exact(path, sizes, filling, seed):
    """Rejects a sum that rounds, saturates, skips a tail or reads past one."""
    a, b = operands(sizes, filling, seed)
    np.testing.assert_array_equal(path(a, b), product(a, b))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9, 11, 12, 13, 17, 27, 192])
def test_is_exact_for_each_mix_of_tiles(path, count):
    """Rejects a mistake where one height of tiles ends and the next begins."""
    for columns in (1, LANES, 2 * LANES + 1, 8 * LANES, 11 * LANES - 3):
        a, b = operands((count, 68, columns), "random", count)
        np.testing.assert_array_equal(path(a, b), product(a, b))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("filling", ["lowest", "highest", "opposite"])
def test_largest_sums_do_not_overflow(path, filling):
    """Rejects correction terms that leave int32 for good: K is as large as it may be."""
    a, b = operands((17, int8_gemm.MAX_CHANNELS, 3), filling, 0)
    np.testing.assert_array_equal(path(a, b), product(a, b))


@pytest.mark.parametrize("sizes", [(0, 5, 3), (3, 5, 0), (3, 0, 4), (0, 0, 0)])
def test_empty(sizes):
    """A sum of nothing is 0; no rows or columns are no error."""
    rows_, channels, columns = sizes
    a, b = np.empty((rows_, channels), np.int8), np.empty((columns, channels), np.int8)
    result = int8_matmul(a, b)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, np.zeros((rows_, columns), np.int32))


def test_views_are_read_as_what_they_are():
    """Rejects a kernel that takes a transposed or strided view for a contiguous array."""
    a, b = operands((20, 30, 26), "random", 3)
    np.testing.assert_array_equal(int8_matmul(a.T, b[:, :20].T[:20].T), product(a.T, b[:, :20]))
    np.testing.assert_array_equal(int8_matmul(a[::2, ::-1], b), product(a[::2, ::-1], b))


@pytest.mark.parametrize("count", [2, 200])
def test_read_only_arrays_are_read(count):
    """Arrays from a file in memory are read-only."""
    a, b = operands((count, 31, 26), "random", 6)
    a.flags.writeable = b.flags.writeable = False
    np.testing.assert_array_equal(int8_matmul(a, b), product(a, b))


def test_operands_are_not_changed():
    a, b = operands((20, 31, 26), "random", 4)
    before = a.copy(), b.copy()
    int8_matmul(a, b)
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


def test_without_vnni_it_is_the_plain_loops(monkeypatch):
    """Rejects a fallback that nothing leads to."""
    monkeypatch.setattr(int8_gemm, "vnni_available", lambda: False)
    monkeypatch.setattr(int8_gemm, "pack", None)
    a, b = operands((200, 31, 26), "random", 5)
    np.testing.assert_array_equal(int8_matmul(a, b), product(a, b))


def test_a_missing_tail_would_be_seen():
    """The comparison says no to a kernel that forgets the last channel."""
    a, b = operands((3, 9, 4), "highest", 0)
    result = np.empty((3, 4), np.int32)
    multiply_plain(a[:, :8].copy(), b[:, :8].copy(), result)
    assert (result != product(a, b)).all()


@pytest.mark.parametrize(
    ("a", "b", "error", "words"),
    [
        (np.zeros((2, 3), np.int16), np.zeros((2, 3), np.int8), TypeError, ["a is int16", "int8"]),
        (np.zeros((2, 3), np.int8), np.zeros((2, 3), np.uint8), TypeError, ["b is uint8", "int8"]),
        ([[1]], np.zeros((2, 3), np.int8), TypeError, ["a is list"]),
        (np.zeros(3, np.int8), np.zeros((2, 3), np.int8), ValueError, ["(3,)", "(M, K)"]),
        (np.zeros((2, 3), np.int8), np.zeros((3, 2), np.int8), ValueError, ["(3, 2)", "same K"]),
        (
            np.zeros((1, 2**17), np.int8),
            np.zeros((1, 2**17), np.int8),
            ValueError,
            ["131072", "131071", "overflow"],
        ),
    ],
)
def test_bad_input(a, b, error, words):
    with pytest.raises(error) as raised:
        int8_matmul(a, b)
    for word in words:
        assert word in str(raised.value)
