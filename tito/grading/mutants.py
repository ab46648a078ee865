"""Planted mistakes and honest other solutions: reading mutants.toml and variants.toml."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tito.course import CourseError
from tito.lessons import notebook as nb
from tito.lessons.roles import Role, task_of

LEAST_MUTANTS = 3
_TEXT_KEYS = ("name", "cell", "find", "replace")


@dataclass(frozen=True)
class Change:
    """A replacement in one solution cell.

    `loses` holds the tests it must lose; for a variant it is empty. `about` says what the mistake
    is, or what is different and right.
    """

    name: str
    cell: str
    find: str
    replace: str
    about: str
    loses: tuple[str, ...] = ()

    def apply(self, source: str) -> str:
        """The cell's text with the replacement made."""
        return source.replace(self.find, self.replace)


def read_mutants(path: Path, lesson: nb.Notebook) -> list[Change]:
    """Read a lesson's mutants.

    Args:
        path: `mutants.toml`.
        lesson: The instructor's notebook.

    Raises:
        CourseError: The file breaks a rule; every breach is listed with its fix.
    """
    found, problems = _read(path, "mutant", "mistake", lesson)
    tests = {nb.grade_id(cell) for cell in lesson["cells"] if nb.is_test(cell)}
    for change in found:
        if not change.loses:
            problems.append(f"{change.name}: `loses` names no test; name those it must lose.")
        for test in change.loses:
            if test not in tests:
                problems.append(f"{change.name}: `loses` names {test!r}, which is no test here.")
    planted = Counter(task_of(change.cell, Role.SOLUTION) for change in found)
    _refuse(path, problems)  # before counting: an entry that cannot be used is no mutant yet
    few = {task: planted[task] for task in _tasks(lesson) if planted[task] < LEAST_MUTANTS}
    _refuse(
        path,
        [f"{task!r} has {n} mutants; plant at least {LEAST_MUTANTS}." for task, n in few.items()],
    )
    return found


def read_variants(path: Path, lesson: nb.Notebook) -> list[Change]:
    """Read a lesson's variants; see `read_mutants`. A lesson may have none."""
    if not path.is_file():
        return []
    found, problems = _read(path, "variant", "note", lesson)
    for change in found:
        if change.loses:
            problems.append(f"{change.name}: a variant loses nothing; remove `loses`.")
    _refuse(path, problems)
    return found


def _read(
    path: Path, table: str, about: str, lesson: nb.Notebook
) -> tuple[list[Change], list[str]]:
    try:
        entries: Any = tomllib.loads(path.read_text(encoding="utf-8")).get(table, [])
    except FileNotFoundError as error:
        raise CourseError(
            f"{path.name} is missing beside the lesson's text.",
            f"Write it; docs/authoring.md shows the form of [[{table}]].",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{path.name} is not TOML: {error}.", "Correct the syntax.") from error
    solutions = {
        nb.grade_id(cell): cell["source"]
        for cell in lesson["cells"]
        if nb.is_solution(cell) and cell["cell_type"] == "code"
    }
    changes: list[Change] = []
    problems: list[str] = []
    for number, entry in enumerate(entries, start=1):
        shown = entry.get("name") or f"[[{table}]] number {number}"
        mistakes = _mistakes(entry, about, solutions)
        problems += [f"{shown}: {mistake}" for mistake in mistakes]
        if not mistakes:
            changes.append(_change(entry, about))
    for name, count in Counter(change.name for change in changes).items():
        if count > 1:
            problems.append(f"{name}: {count} have this name; give each its own.")
    return changes, problems


def _mistakes(entry: dict[str, Any], about: str, solutions: dict[Any, str]) -> list[str]:
    """What is wrong with one entry, by itself."""
    wanted = (*_TEXT_KEYS, about)
    missing = [key for key in wanted if not isinstance(entry.get(key), str)]
    if missing:
        return [f"{', '.join(missing)} missing or no text; add it."]
    unknown = sorted(entry.keys() - {*wanted, "loses"})
    if unknown:
        return [f"unknown key {', '.join(unknown)}; known are {', '.join(wanted)} and loses."]
    loses = entry.get("loses", [])
    if not isinstance(loses, list) or not all(isinstance(test, str) for test in loses):
        return ['`loses` is no list of tests; write it as ["test_..."].']
    source = solutions.get(entry["cell"])
    if source is None:
        return [f"there is no solution cell {entry['cell']!r}; name one by its grade_id."]
    count = source.count(entry["find"]) if entry["find"] else 0
    if count != 1:
        return [f"`find` matches {count} times in the cell {entry['cell']!r}; make it match once."]
    if entry["find"] == entry["replace"]:
        return ["`find` and `replace` are the same; plant a difference."]
    return []


def _change(entry: dict[str, Any], about: str) -> Change:
    texts = {key: entry[key] for key in _TEXT_KEYS}
    return Change(**texts, about=entry[about], loses=tuple(entry.get("loses", [])))


def _tasks(lesson: nb.Notebook) -> list[str]:
    """The tasks that have tests, in the lesson's order."""
    tests = [nb.grade_id(cell) or "" for cell in lesson["cells"] if nb.is_test(cell)]
    return list(dict.fromkeys(task_of(test, Role.TEST) for test in tests))


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        listed = "\n".join(f"- {problem}" for problem in problems)
        raise CourseError(
            f"{path.parent.name}/{path.name} breaks {len(problems)} rules:\n{listed}",
            "Correct the file; nothing was run.",
        )
