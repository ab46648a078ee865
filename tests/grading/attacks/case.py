"""One hostile submission: what it tries, how it is made, and what it may earn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.grading.attacks.place import Place
from tito.lessons import notebook as nb

Edit = Callable[[nb.Notebook], None]
HandIn = Callable[[Path, nb.Notebook, Place], None]


# Families that play only with their own interpreter: without walls, no other is run.
_PURE = ("tags", "patching", "lying", "twins", "html")


@dataclass(frozen=True)
class Case:
    """A hostile submission.

    Attributes:
        family: The kind of trick.
        name: Its name within the family.
        tries: What it wants, in a sentence.
        early: Code of a cell added above all tasks.
        late: Code of a cell added below all tests.
        solutions: The text of solution cells, by grade_id.
        answer: The text of the written answer.
        base: What the other solutions are: "blank", "wrong" or "right".
        edit: A last change of the whole notebook.
        hand_in: How it gets into submitted/; an ordinary file when None.
        most: The points it may earn: those of the same notebook without the trick.
        least: The points it must keep: one bad cell costs only itself.
        deadly: Whether it may run only where it sees no other process.
        speed: Whether it attacks the speed test.
        says: Words that the notes of its mark hold.
    """

    family: str
    name: str
    tries: str
    early: str = ""
    late: str = ""
    solutions: dict[str, str] = field(default_factory=dict)
    answer: str | None = None
    base: str = "wrong"
    edit: Edit | None = None
    hand_in: HandIn | None = None
    most: float = 0
    least: float = 0
    deadly: bool = False
    speed: bool = False
    says: tuple[str, ...] = ()

    @property
    def pure(self) -> bool:
        """Whether it plays only with its own interpreter, so that it is safe without walls."""
        return self.family in _PURE and not self.deadly

    @property
    def identity(self) -> str:
        """The family and the name: the student's name in the batch."""
        return f"{self.family}.{self.name}"
