"""The codec: what goes in comes out, and no bytes at all do harm."""

from __future__ import annotations

import collections
import enum
import math
import struct
import tracemalloc
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinytorch import Parameter, Tensor
from tito.grading.inside import wire as sandboxs
from tito.grading.judge import wire
from tito.grading.sandbox.errors import ProtocolError


class Seen:
    """Knows a handful of numbers, as a link does."""

    def handle(self, number: int, type_name: str) -> object:
        return ("handle", number, type_name)

    def own(self, number: int) -> object:
        if number > 9:
            raise ProtocolError("no such object")
        return ("own", number)

    def twin(self, number: int) -> object:
        raise ProtocolError("no such twin")


def encoded(value: object) -> bytes:
    def refer(thing: object) -> sandboxs.Reference:
        return sandboxs.Reference(b"h", 7, type(thing).__name__)

    return sandboxs.Encoder(refer, lambda thing: None).frame(value)


def there(value: object) -> Any:
    return wire.decode(encoded(value), Seen())


def refused(frame: bytes) -> str:
    with pytest.raises(ProtocolError) as error:
        wire.decode(frame, Seen())
    return str(error.value)


def same(left: Any, right: Any) -> bool:
    """Equal, of equal types, and NaN is NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        alike = left.shape == right.shape and left.dtype == right.dtype
        return alike and left.tobytes() == right.tobytes()
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True)
        return len(left) == len(right) and all(same(*pair) for pair in pairs)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (float, complex, np.generic)):
        return np.asarray(left).tobytes() == np.asarray(right).tobytes()
    return bool(left == right)


DTYPES = st.sampled_from(sandboxs.DTYPES).map(np.dtype)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=8),
    st.binary(max_size=8),
)
LEAVES = st.one_of(
    KEYS,
    st.floats(),
    st.complex_numbers(),
    ARRAYS,
    ARRAYS.map(lambda a: a.reshape(-1)[:1].sum()),
    st.sampled_from([..., int, dict, np.int8, np.float32, np.dtype("u2"), slice(1, None, 2)]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(KEYS, inner, max_size=5),
        st.frozensets(KEYS, max_size=4),
        st.sets(KEYS, max_size=4),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_goes_in_comes_out(value: object) -> None:
    assert same(there(value), value)


@given(VALUES, st.data())
def test_mutated_frames_raise_nothing_but_protocol_errors(value: object, data: Any) -> None:
    frame = bytearray(encoded(value))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(frame) - 1))
        frame[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(frame)))
    for hostile in (bytes(frame), bytes(frame[:cut]), bytes(frame) + b"N"):
        try:
            wire.decode(hostile, Seen())
        except ProtocolError:
            continue


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_protocol_errors(frame: bytes) -> None:
    for tag in (b"", b"l\x02\x00\x00\x00", b"a", b"d\x01\x00\x00\x00", b"m", b"x\x01", b"n", b"S"):
        try:
            wire.decode(tag + frame, Seen())
        except ProtocolError:
            continue


def u32(number: int) -> bytes:
    return struct.pack("<I", number)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"?",
        b"NN",
        b"a\x0b\x01" + struct.pack("<Q", 10**12),
        b"a\x0b\x02" + struct.pack("<QQ", 2**63, 2**63),
        b"a\x0b\x02" + struct.pack("<QQ", 0, 2**62),
        b"a\x0b\x11" + bytes(8 * 17),
        b"a\xff\x00" + bytes(8),
        b"l" + u32(2**32 - 1),
        b"t" + u32(2**31) + b"N" * 9,
        b"d" + u32(2**32 - 1),
        b"d" + u32(2) + b"TNTN",
        b"d" + u32(1) + b"l" + u32(0) + b"N",
        b"e" + u32(2) + b"TT",
        b"s" + u32(5 << 20),
        b"s" + u32(2) + b"\xff\xfe",
        b"b" + u32(9) + b"x",
        b"i\x00\x00",
        b"i\x01\x02" + bytes(513),
        b"i\xff\xff" + bytes(70000),
        b"a\x00\x01" + struct.pack("<Q", 1) + b"\x02",
        b"n\x00\x02",
        b"xA" + b"N" + b"N",
        b"x\x00" + b"N" + b"N",
        b"x\x01" + b"a\x04\x00" + bytes(8) + b"N",
        b"m\x01s" + u32(1) + b"P" + b"s" + u32(2) + b"_x" + b"N",
        b"m\x01s" + u32(1) + b"P" + b"s" + u32(8) + b"__init__" + b"N",
        b"m\x02s" + u32(1) + b"P" + (b"s" + u32(1) + b"x") * 2 + b"NN",
        b"m\x01s" + u32(5) + b"class" + b"s" + u32(1) + b"x" + b"N",
        b"m\x41s" + u32(1) + b"P",
        b"j" + struct.pack("<Q", 10),
        b"w" + struct.pack("<Q", 1),
        b"h" + struct.pack("<Q", 1) + b"N",
        b"B\xff",
        b"y\x0e",
    ],
)
def test_a_broken_rule_is_refused(frame: bytes) -> None:
    assert refused(frame)


def test_nesting_is_bounded() -> None:
    deepest: Any = None
    for _ in range(32):
        deepest = [deepest]
    assert there(deepest) == deepest
    assert "levels" in refused(b"l\x01\x00\x00\x00" * 33 + b"N")
    assert "levels" in refused(b"l\x01\x00\x00\x00" * 100_000 + b"N")
    with pytest.raises(sandboxs.TooLargeError):
        encoded([deepest])


def test_items_are_bounded() -> None:
    assert "items" in refused(b"l" + u32(1_000_001) + b"N" * 1_000_001)
    with pytest.raises(sandboxs.TooLargeError):
        encoded([None] * 1_000_001)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(sandboxs.TooLargeError):
        encoded(endless)


def test_a_frame_that_claims_much_costs_little() -> None:
    hostile = [
        b"a\x0b\x01" + struct.pack("<Q", 10**12),
        b"l" + u32(2**32 - 1) + b"N" * 100,
        b"t" + u32(2**32 - 1),
        b"s" + u32(2**22),
        b"b" + u32(2**32 - 1),
        b"a\x00\x02" + struct.pack("<QQ", 2**20, 2**19) + bytes(64),
    ]
    tracemalloc.start()
    try:
        for frame in hostile:
            refused(frame)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_the_largest_values_go_and_larger_ones_do_not() -> None:
    assert there(2**4094) == 2**4094
    assert there(-(2**4094)) == -(2**4094)
    for value in (2**4095, "x" * (4 << 20) + "x", bytes((64 << 20) + 1), np.zeros(9 << 20)):
        with pytest.raises(sandboxs.TooLargeError):
            encoded(value)
    assert "bytes" in refused(bytes((64 << 20) + 1))


def test_the_bounds_of_both_sides_are_the_same() -> None:
    for name in ("LARGEST_FRAME", "LARGEST_TEXT", "MOST_ITEMS", "DEEPEST", "MOST_AXES"):
        assert getattr(wire, name) == getattr(sandboxs, name)
    assert [np.dtype(name) for name in sandboxs.DTYPES] == list(wire.DTYPES)
    assert wire.BUILTIN_TYPES == sandboxs.BUILTIN_TYPES
    assert 8 * wire.MOST_INT_BYTES == sandboxs.INT_BITS


def test_arrays_arrive_plain_whatever_their_layout() -> None:
    base = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for odd in (
        base.T,
        base[:, ::-2],
        base.astype(">i2"),
        np.asfortranarray(base),
        base[0, 0, 0:0],
    ):
        back = there(odd)
        assert type(back) is np.ndarray
        assert back.dtype == np.dtype("<i2")
        assert back.flags.c_contiguous
        assert back.flags.writeable
        np.testing.assert_array_equal(back, odd)


class Liar(np.ndarray):
    def __eq__(self, other: object) -> bool:  # type: ignore[override]
        return True


class Color(enum.StrEnum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: Any


@pytest.mark.parametrize(
    "value",
    [
        np.ones(2).view(Liar),
        np.array([object()]),
        np.array(["a"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(1, [("a", "i4")]),
        np.ones(1, np.longdouble),
        object(),
        len,
        range(3),
        iter([1]),
        {Color.RED: 1},
        {(1, Color.RED)},
        OSError,
        Tensor(np.array([1, 2])).__class__,
    ],
)
def test_all_else_is_a_handle(value: object) -> None:
    assert there([value])[0][0] == "handle"


def test_subclasses_arrive_as_their_base() -> None:
    assert same(there(collections.OrderedDict(a=1)), {"a": 1})
    assert same(there(collections.Counter("aab")), {"a": 2, "b": 1})
    assert same(there(Color.RED), "red")
    assert same(there(enum.IntEnum("N", ["ONE"]).ONE), 1)  # type: ignore[attr-defined]
    assert same(there(type("L", (list,), {})([1])), [1])
    assert same(there(type("S", (str,), {})("s")), "s")


def test_named_tuples_are_made_anew() -> None:
    point = there(Point(1, np.ones(2)))
    assert (type(point).__name__, point.x, point._fields) == ("Point", 1, ("x", "y"))
    assert type(point) is not Point
    assert type(point) is type(there(Point(5, 6)))
    assert repr(there(Point(5, 6))) == "Point(x=5, y=6)"
    assert there(Point(1, 2)) == (1, 2)
    assert there(Point(1, 2))._asdict() == {"x": 1, "y": 2}


def test_tensors_arrive_as_the_judges_own() -> None:
    tensor = there(Tensor(np.ones((2, 3), np.float32), requires_grad=True))
    assert type(tensor) is Tensor
    assert (tensor.shape, tensor.requires_grad, tensor.grad) == ((2, 3), True, None)
    parameter = Parameter(np.ones(2, np.float32))
    parameter.grad = Tensor(np.full(2, 3, np.float32))
    back = there(parameter)
    assert type(back) is Parameter
    np.testing.assert_array_equal(back.grad.data, [3, 3])
    whole = there(Tensor(np.arange(3, dtype=np.int8)))
    assert (whole.dtype, whole.requires_grad) == (np.int8, False)
    leaf = Tensor(np.ones(2, np.float32), requires_grad=True)
    assert there((leaf * 2).sum()).item() == 2 * leaf.numel()


def test_half_characters_and_odd_numbers_survive() -> None:
    assert there("\ud800x") == "\ud800x"
    assert math.isnan(there(float("nan")))
    assert there(-0.0).hex() == (-0.0).hex()
    payload = struct.unpack("<d", b"\x01\x00\x00\x00\x00\x00\xf8\x7f")[0]
    assert struct.pack("<d", there(np.array([payload]))[0])[0] == 1
