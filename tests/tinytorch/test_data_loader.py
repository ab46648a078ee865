import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch import Tensor
from tinytorch.data import DataLoader, token_windows


@given(
    examples=st.integers(0, 40),
    batch_size=st.integers(1, 12),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_each_example_comes_once_in_batches_of_the_right_size(
    examples: int, batch_size: int, shuffle: bool, drop_last: bool
) -> None:
    rows = np.arange(examples)
    loader = DataLoader([rows, rows * 10], batch_size, shuffle, np.random.default_rng(0), drop_last)
    batches = list(loader)
    assert len(batches) == len(loader)
    sizes = [len(first.data) for first, _ in batches]
    assert all(size == batch_size for size in sizes[:-1])
    if drop_last:
        assert all(size == batch_size for size in sizes)
        assert sum(sizes) == examples - examples % batch_size
    else:
        assert sum(sizes) == examples
    seen = [int(row) for first, _ in batches for row in first.data]
    assert len(set(seen)) == len(seen)
    if not shuffle:
        assert seen == list(range(len(seen)))
    for first, second in batches:
        np.testing.assert_array_equal(second.data, first.data * 10)


def test_batches_are_tensors_of_the_arrays_dtypes() -> None:
    images, labels = np.zeros((3, 2), np.float32), np.zeros(3, np.int64)
    (batch,) = DataLoader([images, labels], batch_size=3)
    assert [type(part) for part in batch] == [Tensor, Tensor]
    assert [part.dtype for part in batch] == [np.float32, np.int64]


def test_shuffling_is_new_in_each_pass_and_the_same_for_the_same_seed() -> None:
    def two_passes(seed: int) -> list[list[int]]:
        loader = DataLoader([np.arange(50)], 50, shuffle=True, rng=np.random.default_rng(seed))
        return [batch.data.tolist() for _ in range(2) for (batch,) in loader]

    first, second = two_passes(1)
    assert first != second
    assert two_passes(1) == [first, second]
    assert two_passes(2) != [first, second]


def test_shuffling_without_a_generator_is_a_permutation() -> None:
    (batch,) = next(iter(DataLoader([np.arange(20)], 20, shuffle=True)))
    assert sorted(batch.data.tolist()) == list(range(20))


@pytest.mark.parametrize(
    ("arrays", "batch_size", "message"),
    [
        ([np.zeros(3), np.zeros(4)], 2, r"\[3, 4\] rows"),
        ([], 2, "at least one array"),
        ([np.zeros(3)], 0, "batch_size is 0"),
        ([np.float32(1)], 2, "needs a first axis"),
    ],
)
def test_what_does_not_fit_is_refused(
    arrays: list[np.ndarray], batch_size: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DataLoader(arrays, batch_size)


@given(count=st.integers(2, 60), length=st.integers(1, 20), stride=st.integers(1, 25))
def test_windows_are_slices_and_targets_come_one_later(
    count: int, length: int, stride: int
) -> None:
    ids = np.arange(count) * 3
    if count <= length:
        with pytest.raises(ValueError, match="N above length"):
            token_windows(ids, length, stride)
        return
    inputs, targets = token_windows(ids, length, stride)
    starts = range(0, count - length, stride)
    assert len(inputs) == len(targets) == len(starts)
    for start, x, y in zip(starts, inputs, targets, strict=True):
        assert x.tolist() == ids[start : start + length].tolist()
        assert y.tolist() == ids[start + 1 : start + length + 1].tolist()


def test_windows_take_no_memory() -> None:
    ids = np.arange(1000)
    inputs, _ = token_windows(ids, 256)
    assert np.shares_memory(inputs, ids)
    assert not inputs.flags.writeable
