"""`tito audit`: generated files are up to date, and no answer leaks."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tito.course import LESSONS, Course, Lesson
from tito.lessons import notebook as nb
from tito.lessons.build import built
from tito.lessons.bundle import bundle
from tito.lessons.export import exported
from tito.lessons.given import package_files
from tito.lessons.leaks import (
    Secret,
    scan,
    secrets_of,
    shown_by_lesson,
    visible_grams,
    visible_texts,
)
from tito.lessons.readable import files_under
from tito.lessons.release import released
from tito.lessons.roles import LessonCell
from tito.lessons.rules import read_lesson


def audit(course: Course, *, leaks: bool, sync: bool) -> list[str]:
    """Run the checks asked for.

    Args:
        course: An instructor's checkout.
        leaks: Look for answers and hidden tests in what students get and read.
        sync: Make every generated file again, in memory, and compare bytes.

    Returns:
        What was found, one sentence each; empty when all is well.

    Raises:
        CourseError: A lesson's text breaks a rule, so that nothing can be compared.
    """
    findings: list[str] = []
    if sync:
        findings += sync_findings(course)
    if leaks:
        findings += leak_findings(course)
    return findings


def sync_findings(course: Course) -> list[str]:
    """Compare source/, release/ and the exported modules with what they are made from."""
    present = course.present()
    findings = [finding for lesson in present for finding in _stale(course, lesson)]
    findings += list(_strays(course))
    for lesson in LESSONS:
        if lesson in present:
            continue
        for path in (course.source(lesson), course.release(lesson), course.exported(lesson)):
            if path.exists():
                text = course.relative(course.text(lesson))
                findings.append(
                    f"{course.relative(path)} has no {text} it is made from: delete it."
                )
    return findings


def _stale(course: Course, lesson: Lesson) -> Iterator[str]:
    source = built(course, lesson)
    shown = course.relative(course.source(lesson))
    module = exported(nb.parse_notebook(source.decode(), shown), lesson, shown)
    for path, content, command in (
        (course.source(lesson), source, "build"),
        (course.release(lesson), released(source, lesson), "release"),
        (course.exported(lesson), module.code.encode(), "export"),
    ):
        fix = f"run `tito {command} {lesson.number}`"
        if not path.is_file():
            yield f"{course.relative(path)} is missing: {fix}."
        elif path.read_bytes() != content:
            yield f"{course.relative(path)} differs from what it is made from: {fix}."


def _strays(course: Course) -> Iterator[str]:
    for folder in ("source", "release"):
        for path in sorted((course.root / folder).rglob("*.py")):
            yield (
                f"{course.relative(path)}: Python files do not belong in {folder}/, nbgrader would "
                "give them to students: move or delete it."
            )


def leak_findings(course: Course) -> list[str]:
    """Look for secrets in release/, a fresh bundle and the book."""
    lessons = {
        lesson: read_lesson(course.text(lesson), course.relative(course.text(lesson)))
        for lesson in course.present()
    }
    secrets = [s for lesson, cells in lessons.items() for s in secrets_of(lesson, cells)]
    seen = _seen(course, lessons, secrets)
    leaks = scan(_given_out(course), secrets, seen)
    for lesson, cells in lessons.items():
        leaks += shown_by_lesson(lesson, cells, secrets, course.relative(course.text(lesson)))
    return [str(leak) for leak in leaks] + _outputs(course)


def _seen(
    course: Course, lessons: dict[Lesson, list[LessonCell]], secrets: list[Secret]
) -> set[tuple[str, ...]]:
    """Runs of tokens that students have anyway: the lessons' visible text and the framework."""
    texts = [text for cells in lessons.values() for text in visible_texts(cells)]
    for name, content in package_files(course.root, before=LESSONS[0].number):
        if name.endswith(".py"):
            texts.append(content.decode())
    return visible_grams(texts, secrets)


def _given_out(course: Course) -> Iterator[tuple[str, bytes]]:
    yield from files_under(course.root / "release", "release")
    for name, content in files_under(course.root / "book", "book"):
        if not ("/_build/" in name and "/_static/" in name):  # the theme's scripts and styles
            yield name, content
    with tempfile.TemporaryDirectory(prefix="tito-audit-") as name:
        made = bundle(course, Path(name))
        with zipfile.ZipFile(made.zip) as archive:
            for member in archive.namelist():
                yield f"bundle: {member}", archive.read(member)


def _outputs(course: Course) -> list[str]:
    """Notebooks given out, and their sources, hold no outputs: results could be answers too."""
    findings = []
    for folder in ("source", "release"):
        for path in sorted((course.root / folder).rglob("*.ipynb")):
            name = course.relative(path)
            cells = nb.read_notebook(path, name)["cells"]
            dirty = [str(i) for i, cell in enumerate(cells, 1) if cell.get("outputs")]
            if dirty:
                findings.append(f"{name} holds outputs (cells {', '.join(dirty)}): build it again.")
    return findings


def show(findings: list[str], *, leaks: bool, sync: bool) -> bool:
    """Print findings; return whether there were none."""
    console = Console()
    for finding in findings:
        console.print(Text(f"✗ {finding}", style="red"), soft_wrap=True)
    if not findings:
        good = ["generated files are up to date"] * sync + ["nothing leaks"] * leaks
        console.print(Text(f"✓ {' and '.join(good)}", style="green"))
    return not findings
