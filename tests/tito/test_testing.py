"""What test cells rely on: checks that say no for the right reason, and an oracle for work."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch import Parameter, Tensor, backend
from tinytorch import functional as F
from tito.testing import (
    FakeClock,
    Work,
    assert_close,
    assert_int,
    counted,
    expect_error,
    fresh,
    seed_of,
    seeds_drawn,
)


def refused(check: Callable[..., None], *args: object, **kwargs: object) -> str:
    with pytest.raises(AssertionError) as error:
        check(*args, **kwargs)
    return str(error.value)


class TestFresh:
    def test_is_new_each_time_and_repeats_from_its_seed(self) -> None:
        draws = [fresh("a").integers(1 << 60) for _ in range(8)]
        assert len(set(draws)) == 8
        again = fresh("a", seed=seed_of("a"))
        assert again.integers(1 << 60) == draws[-1]

    def test_a_failure_names_the_newest_seeds(self) -> None:
        for label in ("one", "two", "three", "four"):
            fresh(label)
        told = refused(assert_int, 1, 2)
        order = re.findall(r"fresh\('(\w+)', seed=(\d+)\)", told)
        assert [label for label, _ in order] == ["four", "three", "two"]
        assert int(order[0][1]) == seed_of("four")
        assert list(seeds_drawn())[-4:] == ["one", "two", "three", "four"]

    def test_an_unknown_label_is_an_error(self) -> None:
        with pytest.raises(KeyError, match="was not called"):
            seed_of("never")


class Liar(np.ndarray):
    """An array that claims to equal everything."""

    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return True


class Equal:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __float__(self) -> float:
        return 1.0


class Loud:
    def __repr__(self) -> str:
        raise RuntimeError("no")


ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
OFF_BY_ONE = ARRAY + np.array([[0, 0, 0], [0, 1, 1]], np.float32)


class TestAssertClose:
    @pytest.mark.parametrize(
        ("actual", "expected"),
        [
            (1.0, 1.0),
            (1, 1.0),
            (np.float32(1), 1.0),
            (1.0, 1),
            (np.float64(2.0), np.float64(2.0)),
            (True, True),
            (np.bool_(False), False),
            (ARRAY, ARRAY.astype(np.float64)),
            (ARRAY + 1e-7, ARRAY),
            (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])),
            (np.array([True]), np.array([True])),
            (np.arange(3, dtype=np.int8), np.arange(3)),
            ([1.0, 2], (1.0, 2.0)),
            ([[1.0], [2.0]], [[1.0], [2.0]]),
            (Tensor(ARRAY), Tensor(ARRAY)),
            (Parameter(ARRAY), Tensor(ARRAY)),
            ([], []),
        ],
    )
    def test_accepts(self, actual: object, expected: object) -> None:
        assert_close(actual, expected)

    @pytest.mark.parametrize(
        ("actual", "expected", "words"),
        [
            (1.1, 1.0, "is 1.1; expected 1.0 within rtol=1e-05"),
            (None, 1.0, "None of type NoneType; expected a number"),
            ("1.0", 1.0, "of type str; expected a number"),
            (True, 1.0, "of type bool; expected a number"),
            (1, True, "of type int; expected a bool"),
            (float("nan"), 1.0, "is nan; expected 1.0 (a finite number)"),
            (1.0, float("nan"), "expected nan"),
            (Equal(), 1.0, "expected a number"),
            (ARRAY.tolist(), ARRAY, "expected a NumPy array of shape (2, 3), dtype float32"),
            (Tensor(ARRAY), ARRAY, "of type Tensor; expected a NumPy array"),
            (ARRAY, Tensor(ARRAY), "of type ndarray; expected a Tensor"),
            (ARRAY.view(Liar), ARRAY, "of type Liar; expected a NumPy array"),
            (ARRAY.T, ARRAY, "shape (3, 2); expected shape (2, 3)"),
            (ARRAY.astype(int), ARRAY, "dtype int64; expected a float dtype such as float32"),
            (ARRAY > 1, ARRAY, "dtype bool; expected a float dtype"),
            (ARRAY, ARRAY.astype(int), "dtype float32; expected an integer dtype"),
            (OFF_BY_ONE, ARRAY, "[1, 1] is 5.0; expected 4.0"),
            (OFF_BY_ONE, ARRAY, "2 of 6 values are off"),
            ([1.0], [1.0, 2.0], "has 1 values; expected 2"),
            ({1.0}, [1.0], "of type set; expected a list or tuple"),
            ([1.0, "x"], [1.0, 2.0], "the result[1] is 'x' of type str; expected a number"),
            (Loud(), 1.0, "<Loud whose repr raises RuntimeError>"),
        ],
    )
    def test_refuses(self, actual: object, expected: object, words: str) -> None:
        assert words in refused(assert_close, actual, expected)

    def test_an_exact_dtype_and_a_name_can_be_asked_for(self) -> None:
        assert_close(ARRAY, ARRAY, dtype=np.float32)
        told = refused(assert_close, ARRAY, ARRAY, what="logits", dtype=np.float64)
        assert told.startswith("logits has dtype float32; expected float64.")

    @given(
        st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
        st.integers(0, 4),
        st.floats(1e-6, 0.5),
        st.floats(1e-6, 0.5),
    )
    def test_the_limit_is_where_it_says(
        self, values: list[float], at: int, rtol: float, atol: float
    ) -> None:
        expected = np.array(values)
        at %= len(values)
        limit = atol + rtol * abs(values[at])
        inside, outside = expected.copy(), expected.copy()
        inside[at] += 0.99 * limit
        outside[at] += 1.01 * limit
        assert_close(inside, expected, rtol, atol)
        assert f"[{at}]" in refused(assert_close, outside, expected, rtol, atol)


class TestAssertInt:
    def test_accepts_python_and_numpy_integers(self) -> None:
        assert_int(3, 3)
        assert_int(np.int8(3), 3)

    @pytest.mark.parametrize("actual", [3.0, True, "3", None, np.float64(3), Equal(), 4])
    def test_refuses(self, actual: object) -> None:
        assert "3" in refused(assert_int, actual, 3, what="calls")


def divide(by: float) -> float:
    if by == 0:
        raise ZeroDivisionError(f"by is {by}; give another number")
    return 1 / by


def unwritten() -> None:
    raise NotImplementedError("write your solution here, then delete this line")


class TestExpectError:
    def test_accepts_the_right_error_with_its_words(self) -> None:
        assert expect_error(ZeroDivisionError, divide, 0, mentions=("BY", "0")) is None
        expect_error((ValueError, ArithmeticError), divide, by=0, mentions="another")
        expect_error(NotImplementedError, unwritten)

    def test_refuses_silence_and_missing_words(self) -> None:
        assert refused(expect_error, ValueError, divide, 2).startswith(
            "divide(2) should raise ValueError; it returned 0.5."
        )
        told = refused(expect_error, ZeroDivisionError, divide, 0, mentions=("zero", "by"))
        assert "does not mention 'zero'" in told

    def test_another_error_is_passed_on(self) -> None:
        with pytest.raises(ZeroDivisionError):
            expect_error(ValueError, divide, 0)

    @pytest.mark.parametrize("kind", [Exception, RuntimeError])
    def test_an_unwritten_function_proves_nothing(self, kind: type[Exception]) -> None:
        with pytest.raises(NotImplementedError):
            expect_error(kind, unwritten)


class TestFakeClock:
    def test_moves_only_when_told(self) -> None:
        clock = FakeClock()
        assert (clock(), clock()) == (0, 0)
        clock.advance(7)
        assert clock() == 7
        assert clock.reads == 3

    def test_shows_whole_ticks_and_counts_its_own_readings(self) -> None:
        clock = FakeClock(read_ns=30, tick_ns=100, start_ns=50)
        assert [clock() for _ in range(5)] == [0, 0, 100, 100, 100]
        assert clock.now_ns == 200

    @pytest.mark.parametrize("kwargs", [{"read_ns": -1}, {"tick_ns": 0}])
    def test_cannot_run_backwards(self, kwargs: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="got read_ns"):
            FakeClock(**kwargs)
        with pytest.raises(ValueError, match="backwards"):
            FakeClock().advance(-1)


def random(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


def naive_conv_macs(x: Tensor, weight: Tensor, out: Tensor) -> int:
    """Count by looping over what a convolution does."""
    total = 0
    for _ in range(out.shape[0] * out.shape[1] * out.shape[2] * out.shape[3]):
        for _ in range(weight.shape[1]):
            total += weight.shape[2] * weight.shape[3]
    return total


class TestCounted:
    def test_a_linear_layer_by_hand(self) -> None:
        x, weight, bias = random(5, 8), random(3, 8), random(3)
        work = counted(F.linear, x, weight, bias)
        assert isinstance(work, Work)
        assert dict(work.calls) == {"linear": 1}
        assert work.macs == 5 * 8 * 3
        assert work.bytes_read == 4 * (5 * 8 + 3 * 8 + 3)
        assert work.bytes_written == 4 * 5 * 3
        np.testing.assert_allclose(
            work.result.data, x.data @ weight.data.T + bias.data, rtol=1e-5, atol=1e-5
        )

    @given(st.tuples(*(st.integers(1, 5) for _ in range(4))))
    def test_products_against_einsum_loops(self, sizes: tuple[int, int, int, int]) -> None:
        b, m, k, n = sizes
        assert counted(lambda: random(b, m, k) @ random(b, k, n)).macs == b * m * k * n
        assert counted(lambda: random(b, m, k) @ random(k, n)).macs == b * m * k * n

    def test_convolution_and_its_gradients(self) -> None:
        x, weight = random(2, 3, 7, 7), random(4, 3, 3, 3)
        x.requires_grad = weight.requires_grad = True
        forward = counted(F.conv2d, x, weight, None, 2, 1)
        expected = naive_conv_macs(x, weight, forward.result)
        assert forward.macs == expected
        backward = counted(forward.result.sum().backward)
        assert {name for name in backward.calls if name.startswith("conv2d_grad")} == {
            "conv2d_grad_input",
            "conv2d_grad_weight",
        }
        assert backward.macs == 2 * expected

    def test_attention_counts_the_whole_rectangle(self) -> None:
        q, k, v = random(2, 3, 4, 5), random(2, 3, 6, 5), random(2, 3, 6, 5)
        work = counted(F.scaled_dot_product_attention, q, k, v)
        assert work.calls["attention"] == 1
        assert work.macs == 2 * (2 * 3 * 4 * 6 * 5)

    def test_a_table_is_read_only_where_it_is_looked_up(self) -> None:
        table, ids = random(1_000, 16), np.array([1, 5, 7])
        work = counted(F.embedding, ids, table)
        assert work.bytes_read == 3 * 16 * 4 + ids.nbytes
        assert work.bytes_written == 3 * 16 * 4

    def test_dtypes_count_with_their_own_width(self) -> None:
        def negate() -> None:
            backend.active.neg(np.zeros(6, np.int8))

        assert (counted(negate).bytes_read, counted(negate).bytes_written) == (6, 6)

    def test_nothing_is_counted_afterwards(self) -> None:
        work = counted(lambda: random(2, 2) @ random(2, 2))
        before = dict(work.calls)
        _ = random(2, 2) @ random(2, 2)
        assert dict(work.calls) == before

    def test_an_error_passes_through_and_stops_the_counting(self) -> None:
        with pytest.raises(ZeroDivisionError):
            counted(divide, 0)
        assert counted(lambda: None).calls == {}
