"""From frames to values: the only form in which a student's process can tell the judge anything.

A frame is bytes of a hostile process. Every length, count, code and number in it is checked before
it is used; whatever is wrong raises `ProtocolError`. Nothing is imported, looked up or executed.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NoReturn, Protocol

import numpy as np

from tinytorch import Parameter, Tensor
from tito.grading.judge.records import record_type
from tito.grading.sandbox.errors import ProtocolError

LARGEST_FRAME = 64 << 20
LARGEST_TEXT = 4 << 20
MOST_ITEMS = 1_000_000
DEEPEST = 32
MOST_AXES = 16
MOST_INT_BYTES = 512
MOST_ELEMENTS = 1 << 40
MOST_FIELDS = 64
MOST_TYPE_NAME = 1_000

DTYPES = tuple(
    np.dtype(name)
    for name in (
        *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"),
        *("f2", "f4", "f8", "c8", "c16"),
    )
)
BUILTIN_TYPES = (int, float, complex, bool, str, bytes, list, tuple, dict, set)

_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_FLOAT, _COMPLEX = struct.Struct("<d"), struct.Struct("<dd")


class References(Protocol):
    """What numbers in a frame stand for; each method raises ProtocolError for a wrong one."""

    def handle(self, number: int, type_name: str) -> object:
        """An object of the student's."""

    def own(self, number: int) -> object:
        """An object of the judge's."""

    def twin(self, number: int) -> object:
        """A module or tensor of the judge's that has a twin in the sandbox."""


def decode(frame: bytes, references: References) -> Any:
    """The value in a frame.

    Args:
        frame: Exactly one value's bytes.
        references: Resolves the numbers that stand for objects.

    Raises:
        ProtocolError: The frame breaks a rule.
    """
    if len(frame) > LARGEST_FRAME:
        raise ProtocolError(f"a frame of {len(frame)} bytes; at most {LARGEST_FRAME} are read")
    decoder = _Decoder(frame, references)
    value = decoder.value(0)
    if decoder.at != len(frame):
        raise ProtocolError(f"{len(frame) - decoder.at} bytes follow the frame's value")
    return value


class _Decoder:
    """A frame and how far it was read."""

    def __init__(self, frame: bytes, references: References) -> None:
        self.at = 0
        self._frame = frame
        self._references = references
        self._items = 0

    def value(self, depth: int) -> Any:
        """Read the next value, which is inside `depth` others."""
        self._items += 1
        if depth > DEEPEST or self._items > MOST_ITEMS:
            raise ProtocolError(f"a frame of more than {DEEPEST} levels or {MOST_ITEMS} items")
        if self.at >= len(self._frame):
            raise ProtocolError("the frame ends where a value should begin")
        read = _READERS[self._frame[self.at]]
        self.at += 1
        return read(self, depth)

    def _take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self._frame):
            left = len(self._frame) - self.at
            raise ProtocolError(f"{count} bytes are announced, {left} follow")
        part = self._frame[self.at : end]
        self.at = end
        return part

    def _number(self, form: struct.Struct) -> int:
        (number,) = form.unpack(self._take(form.size))
        return int(number)

    def _count(self, smallest: int) -> int:
        """A number of items, each of at least `smallest` bytes: never more than can follow."""
        count = self._number(_U32)
        if count * smallest > len(self._frame) - self.at:
            raise ProtocolError(f"{count} items are announced, the frame is too short for them")
        return count

    def read_none(self, depth: int) -> None:
        return None

    def read_true(self, depth: int) -> bool:
        return True

    def read_false(self, depth: int) -> bool:
        return False

    def read_ellipsis(self, depth: int) -> Any:
        return ...

    def read_int(self, depth: int) -> int:
        length = self._number(_U16)
        if not 0 < length <= MOST_INT_BYTES:
            raise ProtocolError(f"an int of {length} bytes; at most {MOST_INT_BYTES} are read")
        return int.from_bytes(self._take(length), "little", signed=True)

    def read_float(self, depth: int) -> float:
        (number,) = _FLOAT.unpack(self._take(8))
        return float(number)

    def read_complex(self, depth: int) -> complex:
        return complex(*_COMPLEX.unpack(self._take(16)))

    def read_str(self, depth: int) -> str:
        length = self._number(_U32)
        if length > LARGEST_TEXT:
            raise ProtocolError(f"a string of {length} bytes; at most {LARGEST_TEXT} are read")
        try:
            return self._take(length).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a string that is not UTF-8: {error.reason}") from None

    def read_bytes(self, depth: int) -> bytes:
        return self._take(self._number(_U32))

    def read_list(self, depth: int) -> list[Any]:
        return [self.value(depth + 1) for _ in range(self._count(1))]

    def read_tuple(self, depth: int) -> tuple[Any, ...]:
        return tuple(self.read_list(depth))

    def read_set(self, depth: int) -> set[Any]:
        items = self.read_list(depth)
        found = {self._key(item) for item in items}
        if len(found) != len(items):
            raise ProtocolError("a set that holds the same item twice")
        return found

    def read_frozenset(self, depth: int) -> frozenset[Any]:
        return frozenset(self.read_set(depth))

    def read_dict(self, depth: int) -> dict[Any, Any]:
        count = self._count(2)
        found = {}
        for _ in range(count):
            key = self._key(self.value(depth + 1))
            found[key] = self.value(depth + 1)
        if len(found) != count:
            raise ProtocolError("a dict that holds the same key twice")
        return found

    def _key(self, item: Any) -> Any:
        if type(item) in (tuple, frozenset):
            for each in item:
                self._key(each)
        elif item is not None and type(item) not in (bool, int, float, complex, str, bytes):
            raise ProtocolError(f"a key of type {type(item).__name__}")
        return item

    def read_record(self, depth: int) -> Any:
        count = self._take(1)[0]
        if count > MOST_FIELDS:
            raise ProtocolError(f"a named tuple of {count} fields; at most {MOST_FIELDS} are read")
        texts = [self._text() for _ in range(count + 1)]
        kind = record_type(texts[0], tuple(texts[1:]))
        return kind(self.value(depth + 1) for _ in range(count))

    def _text(self) -> str:
        if self._take(1) != b"s":
            raise ProtocolError("a name that is no string")
        text = self.read_str(0)
        if len(text) > MOST_TYPE_NAME:
            raise ProtocolError(f"a name of {len(text)} characters")
        return text

    def _dtype(self) -> np.dtype[Any]:
        code = self._take(1)[0]
        if code >= len(DTYPES):
            raise ProtocolError(f"an unknown dtype, number {code}")
        return DTYPES[code]

    def read_scalar(self, depth: int) -> Any:
        dtype = self._dtype()
        return _array(self._take(dtype.itemsize), dtype, ())[()]

    def read_array(self, depth: int) -> Any:
        dtype, axes = self._dtype(), self._take(1)[0]
        if axes > MOST_AXES:
            raise ProtocolError(f"an array of {axes} axes; at most {MOST_AXES} are read")
        shape = struct.unpack(f"<{axes}Q", self._take(8 * axes))
        if math.prod(max(size, 1) for size in shape) > MOST_ELEMENTS:
            raise ProtocolError(f"an array of shape {shape}")
        return _array(self._take(math.prod(shape) * dtype.itemsize), dtype, shape)

    def read_tensor(self, depth: int) -> Tensor:
        flags = self._take(1)[0]
        data, gradient = self.value(depth + 1), self.value(depth + 1)
        fits = type(data) is np.ndarray and flags < 4
        if gradient is not None:
            fits = fits and type(gradient) is np.ndarray and gradient.shape == data.shape
            fits = fits and gradient.dtype == data.dtype
        if not fits or (flags & 1 and data.dtype.kind != "f"):
            raise ProtocolError("a tensor without an array, or whose gradient is another's")
        tensor = (Parameter if flags & 2 else Tensor)(data, bool(flags & 1))
        tensor._grad = gradient
        return tensor

    def read_dtype(self, depth: int) -> np.dtype[Any]:
        return self._dtype()

    def read_scalar_type(self, depth: int) -> type:
        return self._dtype().type

    def read_builtin_type(self, depth: int) -> type:
        number = self._take(1)[0]
        if number >= len(BUILTIN_TYPES):
            raise ProtocolError(f"an unknown builtin type, number {number}")
        return BUILTIN_TYPES[number]

    def read_slice(self, depth: int) -> slice:
        return slice(*(self.value(depth + 1) for _ in range(3)))

    def read_handle(self, depth: int) -> object:
        return self._references.handle(self._number(_U64), self._text())

    def read_own(self, depth: int) -> object:
        return self._references.own(self._number(_U64))

    def read_twin(self, depth: int) -> object:
        return self._references.twin(self._number(_U64))

    def read_unknown(self, depth: int) -> NoReturn:
        raise ProtocolError(f"an unknown tag, {self._frame[self.at - 1]}")


def _array(raw: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """An array of its own memory; a bool that is neither 0 nor 1 is refused."""
    if dtype.kind == "b" and raw.count(0) + raw.count(1) != len(raw):
        raise ProtocolError("a bool that is neither true nor false")
    return np.frombuffer(raw, dtype).reshape(shape).copy()


_BY_TAG = {
    b"N": _Decoder.read_none,
    b"T": _Decoder.read_true,
    b"F": _Decoder.read_false,
    b"E": _Decoder.read_ellipsis,
    b"i": _Decoder.read_int,
    b"f": _Decoder.read_float,
    b"c": _Decoder.read_complex,
    b"s": _Decoder.read_str,
    b"b": _Decoder.read_bytes,
    b"l": _Decoder.read_list,
    b"t": _Decoder.read_tuple,
    b"e": _Decoder.read_set,
    b"z": _Decoder.read_frozenset,
    b"d": _Decoder.read_dict,
    b"m": _Decoder.read_record,
    b"n": _Decoder.read_scalar,
    b"a": _Decoder.read_array,
    b"x": _Decoder.read_tensor,
    b"y": _Decoder.read_dtype,
    b"Y": _Decoder.read_scalar_type,
    b"B": _Decoder.read_builtin_type,
    b"S": _Decoder.read_slice,
    b"h": _Decoder.read_handle,
    b"j": _Decoder.read_own,
    b"w": _Decoder.read_twin,
}
_READERS: list[Any] = [_BY_TAG.get(bytes([tag]), _Decoder.read_unknown) for tag in range(256)]
