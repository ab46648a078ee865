"""The gradebook on PostgreSQL: the tables nbgrader makes there, and the same marks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from nbgrader.api import Gradebook

from tests.grading.graded_by_hand import graded
from tests.grading.jobs.postgres_server import PostgresServer
from tests.grading.small_course import LESSON, changed, class_of
from tests.grading.test_gradebook_schema import found_in
from tito.course import Course
from tito.grading import gradebook
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.grading.nbgrader_options import find_alembic
from tito.grading.record import read_record

ANSWER = changed("question_why", "One wild sample.")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    if shutil.which("initdb") is None:
        pytest.skip("no PostgreSQL server is installed")
    pytest.importorskip("psycopg")
    with PostgresServer() as started:
        yield started


@pytest.fixture
def folders(course: Course, server: PostgresServer) -> ClassFolders:
    return ClassFolders(course, class_of(course).root, server.new_database())


def test_a_new_gradebook_is_the_one_that_nbgrader_makes(
    folders: ClassFolders, server: PostgresServer
) -> None:
    find_alembic()
    theirs = server.new_database()
    with gradebook.opened(folders), Gradebook(theirs, COURSE_ID):
        assert found_in(folders.gradebook_url) == found_in(theirs)


def test_marks_are_stored_read_and_given(folders: ClassFolders) -> None:
    gradebook.register(folders, LESSON)
    gradebook.store(folders, LESSON, "ada", graded(ANSWER), "2026-03-01 12:00:00 UTC")
    broken = changed("pairs", "pairs = None")
    gradebook.store(folders, LESSON, "bob", graded(ANSWER), None)
    gradebook.store(folders, LESSON, "bob", graded(broken, "two"), None)
    with gradebook.opened(folders) as book:
        gradebook.give_mark(book, LESSON, "ada", "question_why", 7, "Good.")
        totals = [
            marks.total
            for student in ("ada", "bob")
            if (marks := gradebook.read_marks(book, LESSON, student))
        ]
    assert totals == [97, 35]
    with Gradebook(folders.gradebook_url, COURSE_ID) as theirs:
        assert theirs.find_submission(LESSON.folder, "ada").score == 97
    record = read_record(folders.autograded("bob", LESSON))
    assert record is not None
    assert record.content == "two"
    gradebook.make_feedback(folders, LESSON, ["ada"])
    assert "Good." in folders.feedback("ada", LESSON).read_text(encoding="utf-8")
