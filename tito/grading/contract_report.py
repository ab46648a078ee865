"""The contract's outcomes: as a table, as gradebook/contract.csv, and as pages in docs/contract."""

from __future__ import annotations

import csv
import io
from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from tito.course import Course, Lesson
from tito.grading.contract import (
    ATTACK,
    BLANK,
    MUTANT,
    REFERENCE,
    LessonUnderContract,
    Outcome,
)
from tito.lessons.atomic import write_atomically

_ORDER = (BLANK, REFERENCE, ATTACK, MUTANT)


def run_contracts(
    course: Course, lessons: list[Lesson], console: Console, update_docs: bool
) -> bool:
    """Prove the contract of lessons, show it and write it down; whether all of it is kept.

    Raises:
        CourseError: A lesson is not as it must be.
    """
    proved: dict[Lesson, list[Outcome]] = {}
    for lesson in lessons:
        subject = LessonUnderContract(course, lesson)
        steps = track(
            subject.run(),
            f"Contract of {lesson}",
            total=len(subject.cases),
            console=console,
            transient=True,
        )
        proved[lesson] = in_order(list(steps))
        console.print(contract_table(lesson, proved[lesson]))
    write_atomically(course.root / "gradebook" / "contract.csv", as_csv(proved))
    if update_docs:
        for lesson, outcomes in proved.items():
            place = course.root / "docs" / "contract" / f"{lesson.folder}.md"
            write_atomically(place, as_page(lesson, outcomes))
    broken = sum(not outcome.kept for outcomes in proved.values() for outcome in outcomes)
    count = sum(map(len, proved.values()))
    if broken:
        console.print(f"[red]The contract is broken in {broken} of {count} runs.[/red]")
    else:
        console.print(f"[green]The contract is kept in all {count} runs.[/green]")
    return not broken


def in_order(outcomes: list[Outcome]) -> list[Outcome]:
    """Blank, reference, attacks, mutants, variants; by name within each."""

    def place(outcome: Outcome) -> tuple[int, str]:
        kind = outcome.case.kind
        return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), outcome.case.name)

    return sorted(outcomes, key=place)


def contract_table(lesson: Lesson, outcomes: list[Outcome]) -> Table:
    """One lesson's outcomes for a terminal; what is wrong stands in place of what was lost."""
    table = Table(title=f"Contract of lesson {lesson}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("kind", no_wrap=True)
    table.add_column("run", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("loses", overflow="fold")
    for outcome in outcomes:
        points = f"{outcome.points:g}/{outcome.most:g}"
        words = Text(_lost(outcome).replace("test_", ""))
        if not outcome.kept:
            words = Text(f"broken: {outcome.verdict}", style="red")
        table.add_row(outcome.case.kind, outcome.case.name, points, words)
    return table


def as_csv(proved: dict[Lesson, list[Outcome]]) -> str:
    """All outcomes as comma-separated values, with how long each ran."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["lesson", "run", "kind", "points", "most", "loses", "seconds", "verdict"])
    for lesson, outcomes in proved.items():
        for each in outcomes:
            writer.writerow(
                [
                    lesson.folder,
                    each.case.name,
                    each.case.kind,
                    f"{each.points:g}",
                    f"{each.most:g}",
                    " ".join(sorted(each.lost)),
                    f"{each.seconds:.2f}",
                    each.verdict,
                ]
            )
    return text.getvalue()


def as_page(lesson: Lesson, outcomes: list[Outcome]) -> str:
    """One lesson's outcomes as a page of the documentation."""
    counts = Counter(outcome.case.kind for outcome in outcomes)
    parts = [
        f"# The contract of lesson {lesson}\n",
        f"{len(outcomes)} runs: {', '.join(f'{kind} {counts[kind]}' for kind in counts)}. Written "
        f"by `tito contract {lesson.number} --update-docs`; "
        "[what it proves](../grading.md#the-contract).\n",
        "| run | kind | points | loses |",
        "|---|---|---|---|",
    ]
    for each in outcomes:
        about = each.case.about.rstrip(".").replace("|", "\\|")
        points = f"{each.points:g} / {each.most:g}"
        lost = _lost(each) if each.kept else f"**broken:** {each.verdict}"
        parts.append(f"| `{each.case.name}`: {about} | {each.case.kind} | {points} | {lost} |")
    return "\n".join(parts) + "\n"


def _lost(outcome: Outcome) -> str:
    if outcome.case.kind in (BLANK, ATTACK) and outcome.kept:
        return "all"
    return ", ".join(sorted(outcome.lost)) or "none"
