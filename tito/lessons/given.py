"""What a submission is given: the framework without the modules it has yet to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tito.course import LESSONS, CourseError, find_course

_OWN_FILE = "tito/__init__.py"  # a docstring
_TESTING = "tito/testing"  # imports only numpy and tinytorch
_SKIPPED_FOLDERS = {"__pycache__", ".ipynb_checkpoints", "node_modules"}
_SKIPPED_ENDINGS = (".pyc", ".part")


def given_tree(destination: Path, before: int) -> None:
    """Write the packages that may be imported while a lesson is graded.

    Args:
        destination: A folder, made if missing, that will hold `tinytorch/` and `tito/`.
        before: The lesson under test. Its module and later ones are left out; earlier lessons'
            modules are there when they were exported. `14` leaves out every lesson's module.

    Raises:
        CourseError: The course's files cannot be found, read or copied.
    """
    root = find_course(Path(__file__).parent).root
    try:
        for relative, content in given_files(root, before):
            target = destination / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    except OSError as error:
        raise CourseError(
            f"Could not write the given tree to {destination}: {error.strerror or error}.",
            "Free some space there or choose another folder.",
        ) from error


def given_files(root: Path, before: int) -> Iterator[tuple[str, bytes]]:
    """Yield relative path and content of each file of the given tree, sorted by path."""
    yield from package_files(root, before)
    for path in [root / _OWN_FILE, *sorted((root / _TESTING).glob("*.py"))]:
        yield path.relative_to(root).as_posix(), path.read_bytes()


def package_files(root: Path, before: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of `tinytorch` without the modules of lesson `before` and later ones."""
    withheld = {f"{lesson.name}.py" for lesson in LESSONS if lesson.number >= before}
    for path in sorted((root / "tinytorch").rglob("*")):
        relative = path.relative_to(root)
        if not path.is_file() or path.suffix in _SKIPPED_ENDINGS:
            continue
        if any(part in _SKIPPED_FOLDERS or part.startswith(".") for part in relative.parts):
            continue
        if len(relative.parts) == 2 and relative.name in withheld:
            continue
        yield relative.as_posix(), path.read_bytes()
