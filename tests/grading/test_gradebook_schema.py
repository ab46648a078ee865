"""Our tables are nbgrader's tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Base, Gradebook, get_alembic_version
from sqlalchemy import MetaData, create_engine, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from tests.grading.small_course import class_of
from tito.course import Course, CourseError
from tito.grading import gradebook_file
from tito.grading import gradebook_schema as schema
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.grading.gradebook import opened
from tito.grading.nbgrader_options import find_alembic

DIALECTS = [sqlite.dialect(), postgresql.dialect()]


def created(metadata: MetaData, dialect: object) -> dict[str, list[str]]:
    """Each table's CREATE statement, its lines in an order of their own."""
    return {
        name: sorted(
            line.strip().rstrip(",")
            for line in str(CreateTable(table).compile(dialect=dialect)).splitlines()
        )
        for name, table in metadata.tables.items()
    }


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)
def test_the_tables_are_nbgraders(dialect: object) -> None:
    assert created(schema.metadata, dialect) == created(Base.metadata, dialect)


def test_the_comparison_sees_a_column_that_differs() -> None:
    other = MetaData()
    for table in schema.metadata.tables.values():
        table.to_metadata(other)
    other.tables["grade"].c.auto_score.nullable = False
    assert created(other, DIALECTS[0]) != created(Base.metadata, DIALECTS[0])


def test_the_stamp_is_nbgraders_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    find_alembic()
    assert get_alembic_version() == schema.VERSION


def found_in(url: str) -> dict[str, object]:
    """All that a database's catalogue says."""
    engine = create_engine(url)
    try:
        look = inspect(engine)
        return {
            name: (
                sorted((c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(name)),
                look.get_pk_constraint(name)["constrained_columns"],
                sorted(
                    (f["constrained_columns"], f["referred_table"])
                    for f in look.get_foreign_keys(name)
                ),
                sorted(sorted(u["column_names"]) for u in look.get_unique_constraints(name)),
            )
            for name in look.get_table_names()
        }
    finally:
        engine.dispose()


def test_a_new_gradebook_is_the_one_that_nbgrader_makes(tmp_path: Path, built: Course) -> None:
    find_alembic()
    ours = ClassFolders(built, tmp_path, f"sqlite:///{tmp_path}/gradebook/ours.db")
    theirs = f"sqlite:///{tmp_path}/theirs.db"
    with opened(ours), Gradebook(theirs, COURSE_ID):
        assert found_in(ours.gradebook_url) == found_in(theirs)
    with Gradebook(ours.gradebook_url, COURSE_ID) as book:
        assert book.assignments == []


def test_nbgrader_finds_nothing_to_upgrade(course: Course) -> None:
    find_alembic()
    folders = class_of(course)
    with opened(folders):
        before = found_in(folders.gradebook_url)
    program = str(Path(sys.executable).parent / "nbgrader")
    command = [program, "db", "upgrade", f"--CourseDirectory.db_url={folders.gradebook_url}"]
    done = subprocess.run(command, cwd=course.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Running upgrade" not in done.stderr
    assert found_in(folders.gradebook_url) == before


def test_a_gradebook_of_another_version_is_refused(tmp_path: Path, built: Course) -> None:
    folders = ClassFolders(built, tmp_path, f"sqlite:///{tmp_path}/gradebook/old.db")
    with opened(folders) as book, book.writing() as connection:
        connection.execute(schema.stamp.update().values(version_num="167914646830"))
    gradebook_file._PREPARED.clear()  # as in a process that opens it for the first time
    with pytest.raises(CourseError, match="revision 167914646830") as caught, opened(folders):
        pass
    assert "nbgrader db upgrade" in caught.value.fix


def test_no_password_is_shown(tmp_path: Path, built: Course) -> None:
    folders = ClassFolders(built, tmp_path, "nothing+known://ada:secret@localhost/marks")
    with pytest.raises(CourseError, match="ada:") as caught, opened(folders):
        pass
    assert "secret" not in caught.value.message
