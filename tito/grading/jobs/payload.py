"""One submission on its way to a worker, and its graded notebook on the way back, as bytes."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import asdict, dataclass

from tito.course import CourseError

_LEVEL = 1  # notebooks shrink to a fifth at once; more effort gains little
_HEADER_BYTES = 4


@dataclass(frozen=True)
class Order:
    """How one submission is to be graded.

    Attributes:
        name: The notebook's file name, for messages.
        lesson: The hash of the instructor's notebook, a blob.
        given: The hash of the given tree, a blob.
        isolation: The level it runs under.
        cell_s: Seconds a cell may run.
        notebook_s: Seconds the notebook may run.
        content: The hash of everything the marks follow from.
        unreadable: Why there is nothing to run; empty when there is.
        notes: What the teacher should know of the files handed in.
    """

    name: str
    lesson: str
    given: str
    isolation: str
    cell_s: float
    notebook_s: float
    content: str
    unreadable: str = ""
    notes: tuple[str, ...] = ()


def pack_order(order: Order, submission: bytes | None) -> bytes:
    """An order and the file it is for, compressed."""
    header = json.dumps(asdict(order)).encode()
    size = len(header).to_bytes(_HEADER_BYTES, "little")
    return zlib.compress(size + header + (submission or b""), _LEVEL)


def unpack_order(payload: bytes) -> tuple[Order, bytes | None]:
    """The reverse; no file when the order says that it is unreadable.

    Raises:
        CourseError: The bytes are no order of this version.
    """
    try:
        content = zlib.decompress(payload)
        size = int.from_bytes(content[:_HEADER_BYTES], "little")
        words = json.loads(content[_HEADER_BYTES : _HEADER_BYTES + size])
        order = Order(**{**words, "notes": tuple(words["notes"])})
    except (zlib.error, ValueError, TypeError, KeyError) as error:
        raise CourseError(
            f"The job cannot be read: {error}.",
            "Use the same version of the course on all machines, and run `tito grade` again.",
        ) from error
    return order, None if order.unreadable else content[_HEADER_BYTES + size :]


def squeezed(content: bytes) -> bytes:
    """Bytes, compressed."""
    return zlib.compress(content, _LEVEL)


def unsqueezed(content: bytes) -> bytes:
    """The reverse of `squeezed`."""
    return zlib.decompress(content)


def digest(*parts: str | bytes) -> str:
    """One hash of several parts; where one ends and the next begins counts."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "little"))
        whole.update(content)
    return whole.hexdigest()
