"""What a student gets: enough to work with, nothing of the staff's, the same bytes each time."""

import errno
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.tito.checkout import LESSON, ROOT, checkout
from tito.course import LESSONS, Course, CourseError, Layout, find_course
from tito.lessons import bundle as bundle_module
from tito.lessons.build import build
from tito.lessons.bundle import Bundle, bundle
from tito.lessons.export import export
from tito.lessons.given import given_tree
from tito.lessons.lock import students_lock
from tito.lessons.release import release


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = tmp_path_factory.mktemp("bundle") / "course"
    root.mkdir()
    course = checkout(root)
    build(course, LESSON)
    release(course, LESSON)
    export(course, LESSON, None, None)
    return course


@pytest.fixture(scope="module")
def made(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(course, tmp_path_factory.mktemp("out"))


def names(made: Bundle) -> list[str]:
    with zipfile.ZipFile(made.zip) as archive:
        return archive.namelist()


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the bundle's own tito, from its own folder."""
    code = "import sys; from tito.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


def test_the_zip_holds_the_folder(made: Bundle) -> None:
    inside = sorted(name.partition("/")[2] for name in names(made))
    folder = sorted(
        path.relative_to(made.folder).as_posix()
        for path in made.folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    assert inside == folder
    assert {
        "README.md",
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        "docs/students.md",
        "assignments/14_profiling/profiling.ipynb",
        "tinytorch/__init__.py",
        "tito/testing/__init__.py",
    } <= set(inside)


def test_holds_nothing_of_the_staffs(made: Bundle) -> None:
    written = {f"tinytorch/{lesson.name}.py" for lesson in LESSONS}
    for name in (name.partition("/")[2] for name in names(made)):
        assert name not in written
        assert not re.match(r"(modules|source|release|gradebook|tests)/", name)
        assert not re.match(
            r"tito/(grading|lessons/(build|release|leaks|audit|bundle|given))", name
        )


def test_is_the_same_bytes_each_time(course: Course, made: Bundle, tmp_path: Path) -> None:
    again = bundle(course, tmp_path / "elsewhere")
    assert again.zip.read_bytes() == made.zip.read_bytes()
    assert bundle(course, tmp_path / "elsewhere").zip.read_bytes() == made.zip.read_bytes()


def test_its_tito_needs_nothing_that_is_not_in_it(made: Bundle) -> None:
    modules = [
        path.relative_to(made.folder).with_suffix("").as_posix().replace("/", ".")
        for path in (made.folder / "tito").rglob("*.py")
        if path.stem not in ("__init__", "__main__")
    ]
    assert len(modules) > 15
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    code += "print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules],
        cwd=made.folder,
        env={**os.environ, "PYTHONPATH": str(made.folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not {"nbgrader", "nbconvert", "jupytext", "nbformat"} & set(done.stdout.split())


def test_its_commands_are_a_students(made: Bundle) -> None:
    told = run(made.folder, "--help")
    assert told.returncode == 0
    for command in ("check", "export", "status", "doctor"):
        assert f" {command} " in told.stdout
    for command in ("build", "release", "bundle", "audit", "grade", "contract"):
        assert f" {command} " not in told.stdout


def test_a_student_checks_exports_and_looks(made: Bundle) -> None:
    checked = run(made.folder / "assignments" / "14_profiling", "check", "14")
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert "not yet written" in checked.stdout
    assert "0 of 2 tasks pass" in checked.stdout
    status = run(made.folder, "status")
    assert "0 of 3 cells" in status.stdout
    exported = run(made.folder, "export", "profiling")
    assert exported.returncode == 0, exported.stderr
    assert "Not written yet" in exported.stdout
    module = made.folder / "tinytorch" / "profiling.py"
    assert "from assignments/14_profiling/profiling.ipynb;" in module.read_text("utf-8")
    module.unlink()


def test_its_cells_are_recorded(made: Bundle) -> None:
    course = find_course(made.folder)
    assert course.layout is Layout.BUNDLE
    record = json.loads((made.folder / "assignments" / "cells.json").read_text("utf-8"))
    assert record == {
        "14_profiling": [
            "middle",
            "test_middle",
            "test_middle__empty",
            "pairs__count",
            "test_pairs",
            "question_why",
        ]
    }


def test_a_damaged_record_is_told(made: Bundle) -> None:
    record = made.folder / "assignments" / "cells.json"
    content = record.read_bytes()
    try:
        record.write_text("[")
        told = run(made.folder, "check", "14")
        assert told.returncode == 2
        assert "cells.json cannot be read" in told.stderr
    finally:
        record.write_bytes(content)


def test_its_lock_is_complete_and_smaller(made: Bundle) -> None:
    whole = (ROOT / "requirements.lock").read_text("utf-8")
    lock = (made.folder / "requirements.lock").read_text("utf-8")
    for package in ("numpy==", "jupyterlab==", "tornado==", "ruff==", "hatchling=="):
        assert re.search(rf"^{package}", lock, re.MULTILINE), package
    for package in ("nbgrader==", "alembic==", "pytest==", "mypy=="):
        assert re.search(rf"^{package}", whole, re.MULTILINE), package
        assert not re.search(rf"^{package}", lock, re.MULTILINE), package
    assert all("--hash=sha256" in entry for entry in re.split(r"\n(?=\w)", lock) if "==" in entry)


def test_installs_with_nothing_but_its_lock(made: Bundle, tmp_path: Path) -> None:
    """pip asks hatchling for an editable wheel; that must need no package the lock lacks."""
    code = (
        "import sys\nsys.modules['editables'] = None\n"
        f"from hatchling.build import build_editable\nprint(build_editable({str(tmp_path)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made.folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.strip()) as wheel:
        inside = {name: wheel.read(name).decode() for name in wheel.namelist()}
    assert [text.strip() for name, text in inside.items() if name.endswith(".pth")] == [
        str(made.folder)
    ]
    [points] = [text for name, text in inside.items() if name.endswith("entry_points.txt")]
    assert "tito = tito.cli:main" in points


def test_a_lock_follows_what_packages_need_and_nothing_else(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "a==1 \\\n    --hash=sha256:00\n    # via project (pyproject.toml)\n"
        "b_x==2 ; sys_platform == 'linux' \\\n    --hash=sha256:01\n"
        "    # via\n    #   A\n    #   z\n"
        "c==3 \\\n    --hash=sha256:02\n    # via b-x\n"
        "z==4 \\\n    --hash=sha256:03\n    # via project (pyproject.toml)\n"
    )
    kept = students_lock(lock, ["a"])
    assert re.findall(r"^(\w+)==", kept, re.MULTILINE) == ["a", "b_x", "c"]
    with pytest.raises(CourseError, match="lacks nothing-like-this"):
        students_lock(lock, ["nothing-like-this"])
    with pytest.raises(CourseError, match="is missing"):
        students_lock(tmp_path / "absent.lock", ["a"])


def test_an_earlier_bundle_is_replaced_and_other_folders_are_not(
    course: Course, tmp_path: Path
) -> None:
    first = bundle(course, tmp_path)
    (first.folder / "left_over.txt").touch()
    assert not (bundle(course, tmp_path).folder / "left_over.txt").exists()
    (first.folder / ".venv").mkdir()
    with pytest.raises(CourseError, match="somebody's work"):
        bundle(course, tmp_path)
    other = tmp_path / "other"
    (other / bundle_module.NAME).mkdir(parents=True)
    (other / bundle_module.NAME / "thesis.txt").write_text("years of work")
    with pytest.raises(CourseError, match="is no bundle"):
        bundle(course, other)
    assert (other / bundle_module.NAME / "thesis.txt").exists()


def test_a_full_disk_leaves_the_old_bundle(
    course: Course, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bundle(course, tmp_path)
    before = first.zip.read_bytes()

    def full(path: Path, files: dict[str, bytes]) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(bundle_module, "_write_zip", full)
    with pytest.raises(CourseError, match="No space left"):
        bundle(course, tmp_path)
    assert first.zip.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        bundle_module.NAME,
        f"{bundle_module.NAME}.zip",
    ]


def test_without_a_release_there_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "course").mkdir()
    with pytest.raises(CourseError, match="No lesson was released"):
        bundle(checkout(tmp_path / "course"), tmp_path)


class TestGivenTree:
    def test_holds_the_framework_and_the_checks_alone(self, tmp_path: Path) -> None:
        given_tree(tmp_path / "tree", before=14)
        files = {
            path.relative_to(tmp_path / "tree").as_posix()
            for path in (tmp_path / "tree").rglob("*")
            if path.is_file()
        }
        tito = {name for name in files if name.startswith("tito/")}
        assert "tito/testing/__init__.py" in tito
        assert all(name.startswith("tito/testing/") for name in tito - {"tito/__init__.py"})
        assert all(name.startswith(("tinytorch/", "tito/")) for name in files)
        assert not files & {f"tinytorch/{lesson.name}.py" for lesson in LESSONS}

    def test_works_alone(self, tmp_path: Path) -> None:
        given_tree(tmp_path / "tree", before=14)
        code = (
            "import sys, tinytorch, tito.testing as t; t.assert_close(t.fresh('a').random(3) * 0, "
            "__import__('numpy').zeros(3)); print(tinytorch.__file__, t.__file__)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path / "tree"), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert all(word.startswith(str(tmp_path)) for word in done.stdout.split())

    def test_keeps_earlier_lessons_when_they_were_exported(
        self, course: Course, tmp_path: Path
    ) -> None:
        code = (
            "from pathlib import Path; from tito.lessons.given import given_tree\n"
            f"given_tree(Path({str(tmp_path / 'early')!r}), before=14)\n"
            f"given_tree(Path({str(tmp_path / 'late')!r}), before=15)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(course.root)}
        subprocess.run([sys.executable, "-c", code], cwd=course.root, env=environment, check=True)
        assert not (tmp_path / "early" / "tinytorch" / "profiling.py").exists()
        assert (tmp_path / "late" / "tinytorch" / "profiling.py").exists()

    def test_an_unwritable_place_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(CourseError, match="Could not write the given tree"):
            given_tree(tmp_path / "file", before=14)
