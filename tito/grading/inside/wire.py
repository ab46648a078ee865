"""From values to frames: what a student's process may say to the judge.

Only plain data is written out. Anything else goes as a reference, a number by which the judge can
ask about the object. The judge's decoder checks every frame; nothing here needs to be trusted.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from keyword import iskeyword
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from tinytorch import Parameter, Tensor

LARGEST_FRAME = 64 << 20
LARGEST_TEXT = 4 << 20
MOST_ITEMS = 1_000_000
DEEPEST = 32
MOST_AXES = 16
INT_BITS = 4096
MOST_FIELDS = 64

DTYPES = (
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"),
    *("f2", "f4", "f8", "c8", "c16"),
)
BUILTIN_TYPES = (int, float, complex, bool, str, bytes, list, tuple, dict, set)

_CODE_OF = {np.dtype(name): code for code, name in enumerate(DTYPES)}
_SCALAR_CODES = {dtype.type: code for dtype, code in _CODE_OF.items()}
_COUNT = struct.Struct("<cI")
_FLOAT = struct.Struct("<cd")
_COMPLEX = struct.Struct("<cdd")
_REFERENCE = struct.Struct("<cQ")


class TooLargeError(Exception):
    """The value does not fit into a frame: too large, too deep, or it contains itself."""


class Reference(NamedTuple):
    """How an object goes that is no data.

    Attributes:
        tag: `h` for an object of the student's, `j` for one of the judge's, `w` for a twin.
        number: The number both sides know it by.
        name: The name of its type (for `h`).
    """

    tag: bytes
    number: int
    name: str = ""


class Encoder:
    """Writes one value.

    Args:
        refer: Returns the reference of an object that is no data, or has one already.
        known: Ids of objects that go as references although they are data: parts of twins.
    """

    def __init__(
        self, refer: Callable[[object], Reference], known: Callable[[object], Reference | None]
    ) -> None:
        self._refer = refer
        self._known = known
        self._parts: list[bytes] = []
        self._size = 0
        self._items = 0

    def frame(self, value: object) -> bytes:
        """The frame of a value.

        Raises:
            TooLargeError: It does not fit.
        """
        self.value(value, 0)
        return b"".join(self._parts)

    def value(self, value: Any, depth: int) -> None:
        """Write a value that is inside `depth` others."""
        self._items += 1
        if depth > DEEPEST or self._items > MOST_ITEMS:
            raise TooLargeError(f"more than {DEEPEST} levels or {MOST_ITEMS} items")
        kind = type(value)
        write = _WRITERS.get(kind)
        if write is None:
            write = _by_descent(kind)
        write(self, value, depth)

    def put(self, part: bytes) -> None:
        """Add bytes."""
        self._size += len(part)
        if self._size > LARGEST_FRAME:
            raise TooLargeError(f"more than {LARGEST_FRAME} bytes")
        self._parts.append(part)

    def reference(self, value: object) -> None:
        """Write an object as a reference."""
        referred = self._refer(value)
        self.put(_REFERENCE.pack(referred.tag, referred.number))
        if referred.tag == b"h":
            self.text(referred.name[:200])

    def text(self, text: str) -> None:
        """Write a string; half characters (surrogates) are kept."""
        raw = str.encode(text, "utf-8", "surrogatepass")
        if len(raw) > LARGEST_TEXT:
            raise TooLargeError(f"a string of more than {LARGEST_TEXT} bytes")
        self.put(_COUNT.pack(b"s", len(raw)))
        self.put(raw)

    def tensor(self, value: Any, depth: int) -> None:
        """Write a tensor as data: its values, whether it requires a gradient, its gradient."""
        known = self._known(value)
        if known is not None:
            self.put(_REFERENCE.pack(known.tag, known.number))
        elif _code(value.data) is None:
            self.reference(value)
        else:
            flags = bool(value.requires_grad) + 2 * isinstance(value, Parameter)
            gradient = value._grad
            self.put(b"x" + bytes([flags]))
            self.value(value.data, depth + 1)
            self.value(None if _code(gradient) is None else gradient, depth + 1)

    def array(self, value: Any, depth: int) -> None:
        """Write an array, in C order and little-endian; unknown dtypes go as references."""
        code = _code(value)
        if code is None:
            self.reference(value)
            return
        self.put(struct.pack(f"<cBB{value.ndim}Q", b"a", code, value.ndim, *value.shape))
        if self._size + value.nbytes > LARGEST_FRAME:
            raise TooLargeError(
                f"an array of {value.nbytes} bytes; what goes to a test holds at most "
                f"{LARGEST_FRAME} bytes"
            )
        self.put(np.ascontiguousarray(value, np.dtype(DTYPES[code])).tobytes())


def _code(value: object) -> int | None:
    """The number of an array's dtype; None when it is no plain array of a plain dtype."""
    if type(value) is not np.ndarray or value.ndim > MOST_AXES:
        return None
    return _CODE_OF.get(value.dtype.newbyteorder("="))


def _none(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.put(b"N")


def _bool(encoder: Encoder, value: bool, depth: int) -> None:
    encoder.put(b"T" if value else b"F")


def _int(encoder: Encoder, value: int, depth: int) -> None:
    bits = int.bit_length(value)
    if bits >= INT_BITS:
        raise TooLargeError(f"an int of {bits} bits")
    length = (bits + 8) // 8
    encoder.put(
        struct.pack("<cH", b"i", length) + int.to_bytes(value, length, "little", signed=True)
    )


def _float(encoder: Encoder, value: float, depth: int) -> None:
    encoder.put(_FLOAT.pack(b"f", value))


def _complex(encoder: Encoder, value: complex, depth: int) -> None:
    encoder.put(_COMPLEX.pack(b"c", value.real, value.imag))


def _str(encoder: Encoder, value: str, depth: int) -> None:
    encoder.text(value)


def _bytes(encoder: Encoder, value: bytes, depth: int) -> None:
    if len(value) > LARGEST_FRAME:
        raise TooLargeError(f"{len(value)} bytes")
    encoder.put(_COUNT.pack(b"b", len(value)))
    encoder.put(bytes(value))


def _list(encoder: Encoder, value: list[Any], depth: int) -> None:
    _sequence(encoder, b"l", list(value), depth)


def _tuple(encoder: Encoder, value: tuple[Any, ...], depth: int) -> None:
    fields = getattr(type(value), "_fields", None)
    if type(value) is not tuple and _are_fields(fields, type(value).__name__, len(value)):
        encoder.put(b"m" + bytes([len(value)]))
        encoder.text(type(value).__name__[:200])
        for name in fields:
            encoder.text(name)
        for item in tuple(value):
            encoder.value(item, depth + 1)
    else:
        _sequence(encoder, b"t", tuple(value), depth)


def _are_fields(fields: Any, name: str, count: int) -> TypeGuard[tuple[str, ...]]:
    return (
        name.isidentifier()
        and not iskeyword(name)
        and type(fields) is tuple
        and len(fields) == count <= MOST_FIELDS
        and len(set(fields)) == count
        and all(type(each) is str and each.isidentifier() for each in fields)
        and not any(iskeyword(each) or each.startswith("_") for each in fields)
    )


def _sequence(encoder: Encoder, tag: bytes, items: Any, depth: int) -> None:
    encoder.put(_COUNT.pack(tag, len(items)))
    for item in items:
        encoder.value(item, depth + 1)


def _set(encoder: Encoder, value: Any, depth: int) -> None:
    if all(_is_key(item) for item in value):
        _sequence(encoder, b"e" if isinstance(value, set) else b"z", list(value), depth)
    else:
        encoder.reference(value)


def _dict(encoder: Encoder, value: dict[Any, Any], depth: int) -> None:
    pairs = list(dict.items(value))
    if not all(_is_key(key) for key, _ in pairs):
        encoder.reference(value)
        return
    encoder.put(_COUNT.pack(b"d", len(pairs)))
    for key, item in pairs:
        encoder.value(key, depth + 1)
        encoder.value(item, depth + 1)


def _is_key(value: Any) -> bool:
    """Whether it stays what it is as a key: exact types only, so that no two become equal."""
    if type(value) in (tuple, frozenset):
        return all(_is_key(item) for item in value)
    return value is None or type(value) in (bool, int, float, complex, str, bytes)


def _array(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.array(value, depth)


def _scalar(encoder: Encoder, value: Any, depth: int) -> None:
    code = _SCALAR_CODES[type(value)]
    encoder.put(b"n" + bytes([code]) + np.asarray(value, DTYPES[code]).tobytes())


def _tensor(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.tensor(value, depth)


def _slice(encoder: Encoder, value: slice, depth: int) -> None:
    encoder.put(b"S")
    for item in (value.start, value.stop, value.step):
        encoder.value(item, depth + 1)


def _ellipsis(encoder: Encoder, value: Any, depth: int) -> None:
    encoder.put(b"E")


def _type(encoder: Encoder, value: type, depth: int) -> None:
    if value in _SCALAR_CODES:
        encoder.put(b"Y" + bytes([_SCALAR_CODES[value]]))
    elif value in BUILTIN_TYPES:
        encoder.put(b"B" + bytes([BUILTIN_TYPES.index(value)]))
    else:
        encoder.reference(value)


def _dtype(encoder: Encoder, value: np.dtype[Any], depth: int) -> None:
    code = _CODE_OF.get(value.newbyteorder("="))
    if code is None:
        encoder.reference(value)
    else:
        encoder.put(b"y" + bytes([code]))


def _other(encoder: Encoder, value: object, depth: int) -> None:
    encoder.reference(value)


Writer = Callable[[Encoder, Any, int], None]

_WRITERS: dict[type, Writer] = {
    type(None): _none,
    bool: _bool,
    int: _int,
    float: _float,
    complex: _complex,
    str: _str,
    bytes: _bytes,
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    frozenset: _set,
    np.ndarray: _array,
    Tensor: _tensor,
    Parameter: _tensor,
    slice: _slice,
    type(...): _ellipsis,
    type: _type,
    **dict.fromkeys(_SCALAR_CODES, _scalar),
    **dict.fromkeys({type(dtype) for dtype in _CODE_OF}, _dtype),
}

_BASES: tuple[tuple[type, Writer], ...] = (
    (int, _int),
    (str, _str),
    (list, _list),
    (tuple, _tuple),
    (dict, _dict),
)


def _by_descent(kind: type) -> Writer:
    """How a type that is not listed goes: as the container or builtin it descends from."""
    if np.generic not in kind.__mro__:
        for base, write in _BASES:
            if base in kind.__mro__:
                return write
    return _other
