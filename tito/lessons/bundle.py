"""`tito bundle`: what a student gets, as a folder and as a .zip of the same bytes every time."""

from __future__ import annotations

import json
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tito.course import LESSONS, Course, CourseError
from tito.lessons import notebook as nb
from tito.lessons.expected import CELLS_FILE, graded_ids
from tito.lessons.given import package_files
from tito.lessons.lock import students_lock

NAME = "tinytorch-optimization"
_STUDENT_PACKAGES = [
    "numpy",
    "ipywidgets",
    "anywidget",
    "plotly",
    "jupyterlab",
    "ipykernel",
    "typer",
    "rich",
    "threadpoolctl",
    "ruff",
    "hatchling",
]
# A student's tito: nothing that builds, releases, grades or knows where answers are.
_STUDENT_TITO = [
    "tito/__init__.py",
    "tito/cli.py",
    "tito/course.py",
    "tito/doctor.py",
    "tito/lab.py",
    "tito/lessons/__init__.py",
    "tito/lessons/atomic.py",
    "tito/lessons/check.py",
    "tito/lessons/check_run.py",
    "tito/lessons/check_table.py",
    "tito/lessons/check_worker.py",
    "tito/lessons/expected.py",
    "tito/lessons/export.py",
    "tito/lessons/nbgrader_settings.py",
    "tito/lessons/notebook.py",
    "tito/lessons/percent.py",
    "tito/lessons/roles.py",
    "tito/lessons/ruff.py",
    "tito/lessons/status.py",
    "tito/lessons/student_commands.py",
    "tito/lessons/stub.py",
]
_STUDENT_TITO_FOLDERS = ("tito/testing", "tito/lab_settings")
_TEMPLATES = Path(__file__).parent / "student_files"
_ZIP_TIME = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the earliest a zip can say, so that equal content is equal bytes


@dataclass
class Bundle:
    """Where the bundle lies."""

    folder: Path
    zip: Path
    lessons: list[str] = field(default_factory=list)


def bundle(course: Course, out: Path) -> Bundle:
    """Write the student's folder and its .zip.

    Args:
        course: An instructor's checkout whose lessons were released.
        out: The folder to put both in; an earlier bundle there is replaced.

    Raises:
        CourseError: No lesson was released, a file is missing, or the disk refused.
    """
    files = dict(sorted(bundle_files(course)))
    made = Bundle(out / NAME, out / f"{NAME}.zip")
    made.lessons = [lesson.folder for lesson in LESSONS if course.release(lesson).is_file()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_foreign(made.folder)
        with tempfile.TemporaryDirectory(prefix=f".{NAME}.", dir=out) as name:
            _write_folder(Path(name) / NAME, files)
            _write_zip(Path(name) / "zip", files)
            if made.folder.exists():
                made.folder.rename(Path(name) / "old")
            (Path(name) / NAME).rename(made.folder)
            (Path(name) / "zip").replace(made.zip)
    except OSError as error:
        raise CourseError(
            f"Could not write the bundle to {out}: {error.strerror or error}.",
            "Free some space there or choose another folder with --out.",
        ) from error
    return made


def bundle_files(course: Course) -> Iterator[tuple[str, bytes]]:
    """Relative path and content of every file of the bundle.

    Raises:
        CourseError: No lesson was released, or a file of the course is missing.
    """
    cells: dict[str, list[str]] = {}
    for lesson in LESSONS:
        path = course.release(lesson)
        if path.is_file():
            content = path.read_bytes()
            shown = course.relative(path)
            cells[lesson.folder] = graded_ids(nb.parse_notebook(content.decode(), shown))
            yield f"assignments/{lesson.folder}/{lesson.name}.ipynb", content
    if not cells:
        raise CourseError("No lesson was released yet.", "Run `tito build` and `tito release`.")
    yield CELLS_FILE, (json.dumps(cells, indent=1) + "\n").encode()
    yield from package_files(course.root, before=LESSONS[0].number)
    yield from _tool_files(course)
    yield from _project_files(course)


def _tool_files(course: Course) -> Iterator[tuple[str, bytes]]:
    for relative in _STUDENT_TITO:
        yield relative, _required(course.root / relative, relative)
    for folder in _STUDENT_TITO_FOLDERS:
        for path in sorted((course.root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(course.root).as_posix(), path.read_bytes()


def _project_files(course: Course) -> Iterator[tuple[str, bytes]]:
    project = tomllib.loads(_required(course.root / "pyproject.toml", "pyproject.toml").decode())
    declared = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *project.get("dependency-groups", {}).get("dev", []),
    ]
    wanted = {_name(line): line for line in declared if _name(line) in _STUDENT_PACKAGES}
    missing = sorted(set(_STUDENT_PACKAGES) - wanted.keys())
    if missing:
        raise CourseError(
            f"pyproject.toml does not list {', '.join(missing)}, which students need.",
            "Add them there.",
        )
    listed = "".join(f'    "{line}",\n' for line in sorted(wanted.values()))
    for name in ("Makefile", "README.md", "pyproject.toml"):
        template = (_TEMPLATES / f"{name}.template").read_text(encoding="utf-8")
        filled = template.replace("{version}", project["project"]["version"])
        yield name, filled.replace("{dependencies}", listed).encode()
    lock = students_lock(course.root / "requirements.lock", _STUDENT_PACKAGES)
    yield "requirements.lock", lock.encode()
    yield "LICENSE", _required(course.root / "LICENSE", "LICENSE")
    yield "docs/students.md", _required(course.root / "docs" / "students.md", "docs/students.md")


def _name(requirement: str) -> str:
    return requirement.split(">")[0].split("=")[0].split("[")[0].strip().lower()


def _required(path: Path, name: str) -> bytes:
    if not path.is_file():
        raise CourseError(f"{name} is missing, and the bundle needs it.", "Bring the file back.")
    return path.read_bytes()


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace a folder that no bundle was written to, or one that somebody works in."""
    if folder.exists() and not (folder / CELLS_FILE).is_file():
        raise CourseError(
            f"{folder} exists and is no bundle.", "Remove it, or choose another folder with --out."
        )
    if (folder / ".venv").exists():
        raise CourseError(
            f"{folder} was installed and may hold somebody's work.",
            "Choose another folder with --out.",
        )


def _write_folder(folder: Path, files: dict[str, bytes]) -> None:
    for relative, content in files.items():
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for relative, content in files.items():
            entry = zipfile.ZipInfo(f"{NAME}/{relative}", _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever system writes it
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content, compresslevel=9)
