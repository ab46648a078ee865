"""Reading a lesson's percent text: `# %%` opens a code cell, `# %% [markdown]` a text cell.

jupytext reads the same files (a test holds the two readers together). Ours keeps line numbers for
messages, refuses what the course has no use for, and starts in milliseconds.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tito.course import CourseError

_MARKER = re.compile(r"^# %%(?P<rest>.*)$")
_KEY = re.compile(r"\s*(?P<key>[A-Za-z_][\w-]*)=")
_MAGIC = re.compile(r"^\s*(#\s*)?([%!])(?=[A-Za-z])")
_QUOTES = ('"""', 'r"""')


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a lesson: where, what, and how to mend it."""

    line: int
    cell: str
    message: str
    fix: str


@dataclass(frozen=True)
class TextCell:
    """One cell as the author wrote it.

    `line` is the number, from one, of its `# %%` line; `first_line` that of its first content line.
    """

    kind: str
    text: str
    line: int
    first_line: int
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How messages name the cell: its grade_id, or its first words."""
        grade_id = self.metadata.get("nbgrader", {})
        if isinstance(grade_id, dict) and isinstance(grade_id.get("grade_id"), str):
            return str(grade_id["grade_id"])
        words = next((line.strip() for line in self.text.splitlines() if line.strip()), "(empty)")
        return words if len(words) <= 40 else words[:37] + "..."


class LessonRefusedError(CourseError):
    """A lesson's text breaks rules; the message lists every problem with its line and its fix."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        listed = "\n".join(
            f"{file}:{problem.line} [{problem.cell}] {problem.message}\n    fix: {problem.fix}"
            for problem in self.problems
        )
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        super().__init__(f"{count} in {file}; nothing was written.\n{listed}", "")


def read_percent(path: Path, shown: str) -> list[TextCell]:
    """Read a lesson's text into cells.

    Args:
        path: The percent text.
        shown: The name messages use for it.

    Raises:
        CourseError: The file is missing or is not UTF-8.
        LessonRefusedError: Its cell markers are malformed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise CourseError(f"{shown} does not exist.", "Write the lesson's text there.") from error
    except UnicodeDecodeError as error:
        raise CourseError(f"{shown} is not UTF-8 text ({error}).", "Save it as UTF-8.") from error
    return parse_percent(text, shown)


def parse_percent(text: str, shown: str) -> list[TextCell]:
    """Split percent text into cells; see `read_percent`."""
    lines = text.replace("\r\n", "\n").split("\n")
    starts = [number for number, line in enumerate(lines) if _MARKER.match(line)]
    problems = _check_preamble(lines, starts[0] if starts else len(lines))
    if not starts and not problems:
        problems.append(Problem(1, "whole file", "there is no cell.", "Open one with `# %%`."))
    if not starts:
        raise LessonRefusedError(shown, problems)
    cells: list[TextCell] = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        kind, metadata, mistakes = _parse_marker(lines[start], start + 1)
        problems += mistakes
        body, first = _trim(lines[start + 1 : end], start + 2)
        if kind == "markdown":
            body, mistakes = _uncomment(body, first)
        else:
            mistakes = _check_magics(body, first)
        problems += mistakes
        cells.append(TextCell(kind, "\n".join(body), start + 1, first, metadata))
    if problems:
        raise LessonRefusedError(shown, problems)
    return cells


def _check_preamble(lines: list[str], end: int) -> list[Problem]:
    """Allow only comments (jupytext's header, an editor's settings) above the first cell."""
    for number, line in enumerate(lines[:end], start=1):
        if line.strip() and not line.startswith("#"):
            return [
                Problem(
                    number,
                    "before the first cell",
                    "text outside any cell.",
                    "Put `# %%` above it.",
                )
            ]
    return []


def _parse_marker(line: str, number: int) -> tuple[str, dict[str, Any], list[Problem]]:
    """Read what follows `# %%`: the cell's kind and its metadata."""
    rest = line.removeprefix("# %%").strip()
    kind = "code"
    if rest.startswith("["):
        word, _, rest = rest[1:].partition("]")
        if word != "markdown":
            fix = "Use `# %%` for code or `# %% [markdown]` for text."
            return kind, {}, [Problem(number, line, f"unknown kind of cell [{word}].", fix)]
        kind = "markdown"
    metadata: dict[str, Any] = {}
    decoder = json.JSONDecoder()
    rest = rest.strip()
    while rest:
        match = _KEY.match(rest)
        if match is None:
            fix = 'After `# %%` only `tags=[...]` and `nbgrader={"grade_id": ...}` may follow.'
            return kind, metadata, [Problem(number, line, f"cannot read {rest!r}.", fix)]
        try:
            value, end = decoder.raw_decode(rest[match.end() :])
        except json.JSONDecodeError as error:
            fix = 'Write JSON: double quotes, as in nbgrader={"grade_id": "latency"}.'
            message = f"the value of {match['key']} is not JSON ({error.msg})."
            return kind, metadata, [Problem(number, line, message, fix)]
        if match["key"] in metadata:
            fix = "Keep one of them."
            return kind, metadata, [Problem(number, line, f"{match['key']} is given twice.", fix)]
        metadata[match["key"]] = value
        rest = rest[match.end() + end :].strip()
    return kind, metadata, []


def _trim(lines: list[str], first: int) -> tuple[list[str], int]:
    """Drop blank lines around a cell's content, keeping count of the first line's number."""
    start, end = 0, len(lines)
    while start < end and not lines[start].strip():
        start += 1
    while end > start and not lines[end - 1].strip():
        end -= 1
    return lines[start:end], first + start


def _uncomment(lines: list[str], first: int) -> tuple[list[str], list[Problem]]:
    """Turn a text cell's lines (commented, or in triple quotes) into Markdown."""
    if lines and lines[0] in _QUOTES and lines[-1] == '"""' and len(lines) > 1:
        return lines[1:-1], []
    plain: list[str] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=first):
        if line.startswith("# "):
            plain.append(line[2:])
        elif line.rstrip() in ("", "#"):
            plain.append("")
        else:
            fix = "Begin each line of a text cell with `# `, or open a code cell with `# %%`."
            problems.append(Problem(number, "text cell", f"{line!r} is no comment.", fix))
    return plain, problems


def _check_magics(lines: list[str], first: int) -> list[Problem]:
    """Refuse notebook magics: exported modules and graders run plain Python."""
    return [
        Problem(
            number, "code cell", f"{line.strip()!r} is a notebook magic.", "Write plain Python."
        )
        for number, line in enumerate(lines, start=first)
        if _MAGIC.match(line)
    ]
