"""Named tuples of the judge's own making, for those that a student's process returns.

`collections.namedtuple` writes source code from the names and evaluates it; here a class is put
together from its parts, and nothing of the student's is compiled.
"""

from __future__ import annotations

from functools import lru_cache
from keyword import iskeyword
from operator import itemgetter
from typing import Any

from tito.grading.sandbox.errors import ProtocolError


@lru_cache(maxsize=256)
def record_type(name: str, fields: tuple[str, ...]) -> type[tuple[Any, ...]]:
    """A tuple class whose items also have names.

    Args:
        name: The class's name.
        fields: The items' names, all different.

    Raises:
        ProtocolError: A name is no identifier, begins with an underscore, or comes twice.
    """
    for each in (name, *fields):
        if not each.isidentifier() or iskeyword(each):
            raise ProtocolError(f"a named tuple with the name {each!r}")
    if len(set(fields)) != len(fields) or any(each.startswith("_") for each in fields):
        raise ProtocolError(f"a named tuple with the fields {fields}")
    items: dict[str, Any] = {
        each: property(itemgetter(place), doc=f"Item {place}.") for place, each in enumerate(fields)
    }
    return type(name, (_Record,), {**items, "__slots__": (), "_fields": fields})


class _Record(tuple[Any, ...]):
    """The base of all of them: a plain tuple in every respect but its attributes and repr."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        pairs = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={item!r}' for name, item in pairs)})"

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))
