"""What the names in a graded cell mean: the judge's own values, or the student's objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from tito.grading.judge.cells import plan_of
from tito.grading.judge.handles import Handle
from tito.lessons import notebook as nb


class Names(dict[str, Any]):
    """The namespace of the judge's cells.

    A name that the lesson's solution cells bind is the student's: it is looked up in the sandbox
    when a cell reads it. All other names are the judge's own.

    Args:
        remote: The names that are the student's.
        ask: Returns what the student's cells bound to a name, or raises NameError.
    """

    def __init__(self, remote: frozenset[str], ask: Callable[[str], Any]) -> None:
        super().__init__(__name__="__main__", __builtins__=__builtins__, display=_display)
        self._remote = remote
        self._ask = ask
        self._looked_up: dict[str, Handle] = {}
        self._given: dict[int, tuple[object, str]] = {}

    def __missing__(self, name: str) -> Any:
        if name not in self._remote:
            raise KeyError(name)
        found = self._looked_up.get(name)
        if found is not None:
            return found
        value = self._ask(name)
        if type(value) is Handle:  # data may be bound anew at any time
            self._looked_up[name] = value
        return value

    def forget_student(self) -> None:
        """The student's names may mean something new from here on."""
        self._looked_up.clear()

    def bound_by_given(self, names: Iterable[str]) -> list[str]:
        """A given cell has run here: which of its names are the judge's.

        Names that solution cells bind as well stay the student's.
        """
        own: list[str] = []
        for name in names:
            if name in self._remote:
                self.pop(name, None)
            elif name in self:
                own.append(name)
                self._note(self[name], name)
        return own

    def given_name(self, value: object) -> str | None:
        """The name by which a given cell's function or class is known on both sides."""
        known = self._given.get(id(value))
        return known[1] if known is not None and known[0] is value else None

    def student_name(self, value: object) -> str | None:
        """The name under which a cell looked up an object of the student's."""
        return next((name for name, known in self._looked_up.items() if known is value), None)

    def _note(self, value: object, name: str) -> None:
        if isinstance(value, (FunctionType, type)) and value.__module__ == "__main__":
            self._given[id(value)] = (value, name)


def _display(*objects: object, **options: object) -> None:
    """In the judge nothing is displayed."""


def bound_names(lesson: nb.Notebook) -> frozenset[str]:
    """The names that a lesson's solution cells bind: in graded cells they are the student's."""
    return plan_of(lesson).remote
