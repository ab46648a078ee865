"""The leak scan: do answers or hidden tests show up anywhere a student can look?

Each secret (a solution region, a model answer, a hidden test) becomes a stream of tokens without
comments, whitespace, commas, parentheses and quotes, so that reformatting does not hide it. Runs
of twelve tokens that nothing visible contains are looked for in every file given out. The second,
independent check is the canary test in tests/grading/leaks.
"""

from __future__ import annotations

import io
import re
import textwrap
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

from tito.course import Lesson
from tito.lessons import nbgrader_settings as settings
from tito.lessons.readable import pieces
from tito.lessons.roles import LessonCell, Role, region_texts, visible_text

GRAM = 12  # tokens in a row; about three short lines
_SHORTEST = 6  # a shorter secret is like any other line of code and cannot be told from it
_MOSTLY = 0.5  # of a solution's grams, in the lesson's own visible text
_TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|[^\s\w]")
_IGNORED = set(",()\"'`#")
_COMMENT = re.compile(r"(?m)(^|\s)#.*$")

Gram = tuple[str, ...]


@dataclass(frozen=True)
class Secret:
    """A stretch of a lesson that students must not see before they hand in."""

    lesson: Lesson
    grade_id: str
    kind: str
    grams: frozenset[Gram]

    @property
    def length(self) -> int:
        """Tokens in each of its grams."""
        return len(next(iter(self.grams)))


@dataclass(frozen=True)
class Leak:
    """A place where a secret shows."""

    file: str
    secret: Secret
    sample: str

    def __str__(self) -> str:
        """Where, what, and a sample of it."""
        return (
            f"{self.file} shows {self.secret.kind} {self.secret.grade_id} "
            f"of lesson {self.secret.lesson}: {self.sample}"
        )


def tokens(text: str) -> list[str]:
    """Words, numbers and operators of any text, without layout, quotes, commas and parentheses."""
    return [token for token in _TOKEN.findall(text) if token not in _IGNORED]


def secrets_of(lesson: Lesson, cells: list[LessonCell]) -> list[Secret]:
    """The secrets of a lesson; those too short to recognise are left out."""
    found: list[Secret] = []
    for cell in cells:
        marks = {
            Role.SOLUTION: ("the solution", settings.BEGIN_SOLUTION, settings.END_SOLUTION),
            Role.QUESTION: ("the model answer", settings.BEGIN_SOLUTION, settings.END_SOLUTION),
            Role.TEST: ("hidden tests", settings.BEGIN_HIDDEN_TESTS, settings.END_HIDDEN_TESTS),
        }.get(cell.role)
        if marks is None:
            continue
        kind, begin, end = marks
        for text in region_texts(cell.written.text, begin, end):
            bare = text if cell.written.kind == "markdown" else without_comments(text)
            grams = _grams(tokens(bare))
            if grams:
                found.append(Secret(lesson, cell.grade_id or "", kind, frozenset(grams)))
    return found


def without_comments(code: str) -> str:
    """A stretch of Python without its comments."""
    lines = textwrap.dedent(code).split("\n")
    try:
        found = list(tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline))
    except (tokenize.TokenError, IndentationError):
        return _COMMENT.sub("", code)  # a stretch cut out of a statement
    for token in reversed(found):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(lines)


def _grams(stream: list[str], length: int = GRAM) -> set[Gram]:
    """All runs of `length` tokens; a shorter stream is one run, or none when it is too short."""
    if len(stream) < length:
        return {tuple(stream)} if len(stream) >= _SHORTEST else set()
    return {tuple(stream[i : i + length]) for i in range(len(stream) - length + 1)}


class GramFinder:
    """Finds known runs of tokens in texts, in one pass whatever their lengths."""

    def __init__(self, wanted: Iterable[Gram]) -> None:
        self._by_start: dict[Gram, list[Gram]] = {}
        for gram in wanted:
            self._by_start.setdefault(gram[:_SHORTEST], []).append(gram)

    def find(self, text: str) -> set[Gram]:
        """The known runs in a text, read with and without its comments."""
        found: set[Gram] = set()
        for variant in {text, _COMMENT.sub("", text)}:
            stream = tokens(variant)
            starts = zip(*(stream[i:] for i in range(_SHORTEST)), strict=False)
            for at, start in enumerate(starts):
                for gram in self._by_start.get(start, ()):
                    if tuple(stream[at : at + len(gram)]) == gram:
                        found.add(gram)
        return found


def visible_grams(texts: Iterable[str], secrets: list[Secret]) -> set[Gram]:
    """Those runs of the secrets that students see anyway, and that therefore prove nothing."""
    finder = GramFinder(gram for secret in secrets for gram in secret.grams)
    return {gram for text in texts for gram in finder.find(text)}


def visible_texts(cells: list[LessonCell]) -> list[str]:
    """What a lesson shows its students."""
    return [visible_text(cell.written.text) for cell in cells]


def scan(files: Iterable[tuple[str, bytes]], secrets: list[Secret], seen: set[Gram]) -> list[Leak]:
    """Look for secrets in files.

    Args:
        files: Names and contents; notebooks and pages are taken apart, binary files are skipped.
        secrets: What to look for.
        seen: Runs of tokens that prove nothing, because students are given them.

    Returns:
        At most one leak for each file and secret.
    """
    owners: dict[Gram, list[Secret]] = {}
    for secret in secrets:
        for gram in secret.grams - seen:
            owners.setdefault(gram, []).append(secret)
    finder = GramFinder(owners)
    leaks: dict[tuple[str, Secret], Leak] = {}
    for name, content in files:
        for piece in pieces(name, content):
            for gram in sorted(finder.find(piece)):
                for secret in owners[gram]:
                    leaks.setdefault((name, secret), Leak(name, secret, " ".join(gram)))
    return list(leaks.values())


def shown_by_lesson(
    lesson: Lesson, cells: list[LessonCell], secrets: list[Secret], file: str
) -> list[Leak]:
    """Find solutions that the lesson's own visible text gives away.

    `scan` must not count what students are given, so an author who pastes an answer into the prose
    would blind it: here a solution of which the visible text holds the greater part is a leak.
    """
    own = [secret for secret in secrets if secret.lesson == lesson and secret.length == GRAM]
    shown = visible_grams(visible_texts(cells), own)
    return [
        Leak(file, secret, " ".join(sorted(secret.grams & shown)[0]))
        for secret in own
        if secret.kind != "hidden tests" and len(secret.grams & shown) > _MOSTLY * len(secret.grams)
    ]
