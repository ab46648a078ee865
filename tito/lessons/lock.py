"""The students' lock file: the part of the course's own that their packages need."""

from __future__ import annotations

import re
from pathlib import Path

from tito.course import CourseError

_ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)(\[[^\]]*\])?==", re.MULTILINE)
_PARENT = re.compile(r"^\s+#\s+(?:via\s+)?(?P<name>[A-Za-z0-9][\w.-]*)", re.MULTILINE)


def students_lock(lock: Path, wanted: list[str]) -> str:
    """Cut a lock file down to some packages and what they need.

    Args:
        lock: A requirements file as uv writes it: pinned, hashed, with `# via` below each entry.
        wanted: The packages asked for, by name.

    Returns:
        The entries of these packages and, by following `# via`, of all they depend on.

    Raises:
        CourseError: The lock is missing, or lacks a wanted package.
    """
    try:
        entries = _entries(lock.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CourseError(f"{lock.name} is missing.", "Make it with `make lock`.") from error
    missing = [name for name in wanted if _canonical(name) not in entries]
    if missing:
        raise CourseError(f"{lock.name} lacks {', '.join(missing)}.", "Renew it with `make lock`.")
    kept = {_canonical(name) for name in wanted}
    grown = True
    while grown:
        more = {name for name, text in entries.items() if kept & _parents(text)} - kept
        kept |= more
        grown = bool(more)
    return "".join(text for name, text in entries.items() if name in kept)


def _entries(text: str) -> dict[str, str]:
    starts = [match.start() for match in _ENTRY.finditer(text)]
    entries: dict[str, str] = {}
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        match = _ENTRY.match(text[start:end])
        if match is not None:
            name = _canonical(match["name"])  # twice when platforms need different versions
            entries[name] = entries.get(name, "") + text[start:end]
    return entries


def _parents(entry: str) -> set[str]:
    return {_canonical(match["name"]) for match in _PARENT.finditer(entry)} - {"via"}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
