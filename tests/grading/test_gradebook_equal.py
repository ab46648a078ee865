"""Every row of the gradebook is the one that nbgrader's own converters write."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import determine_grade
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

from tests.grading.graded_by_hand import graded
from tests.grading.small_course import (
    LESSON,
    cell_of,
    changed,
    class_of,
    instructor_notebook,
    student_notebook,
)
from tito.course import Course, Layout
from tito.grading import gradebook, nbgrader_options
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.grading.nbgrader_points import automatic_points
from tito.grading.record import record_in
from tito.lessons import notebook as nb

NBGRADERS_OWN = (
    [f"nbgrader.preprocessors.{name}" for name in ("OverwriteKernelspec", "OverwriteCells")],
    [f"nbgrader.preprocessors.{name}" for name in ("LimitOutput", "SaveAutoGrades")]
    + ["nbgrader.preprocessors.AssignLatePenalties"],
)
QUERIES = {
    "lesson": "select a.name, a.duedate, a.course_id, n.name, n.kernelspec from assignment a "
    "join notebook n on n.assignment_id = a.id",
    "graded": "select b.name, b.type, g.max_score, g.cell_type from base_cell b "
    "left join grade_cells g on g.id = b.id",
    "solutions": "select b.name from base_cell b join solution_cells s on s.id = b.id",
    "sources": "select name, cell_type, locked, source, checksum from source_cell",
    "students": "select id, first_name, last_name, email, lms_user_id from student",
    "submissions": "select s.student_id, s.timestamp, s.extension, n.flagged, "
    "n.late_submission_penalty from submitted_assignment s "
    "join submitted_notebook n on n.assignment_id = s.id",
    "grades": "select s.student_id, b.name, b.type, g.auto_score, g.manual_score, "
    "g.extra_credit, g.needs_manual_grade from grade g join base_cell b on b.id = g.cell_id "
    "join submitted_notebook n on n.id = g.notebook_id "
    "join submitted_assignment s on s.id = n.assignment_id",
    "comments": "select s.student_id, b.name, b.type, c.auto_comment, c.manual_comment "
    "from comment c join base_cell b on b.id = c.cell_id "
    "join submitted_notebook n on n.id = c.notebook_id "
    "join submitted_assignment s on s.id = n.assignment_id",
}


def rows(url: str) -> dict[str, list[Any]]:
    """All that a gradebook says, without the identities of its rows."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return {
                name: sorted((tuple(row) for row in connection.execute(text(query))), key=repr)
                for name, query in QUERIES.items()
            }
    finally:
        engine.dispose()


def small_class() -> dict[str, tuple[nb.Notebook, str | None]]:
    """Students, with what each handed in and when."""
    answered = changed("question_why", "One wild sample moves it.", solved=False)
    broken = changed("middle", "def middle(")
    return {
        "right": (student_notebook(), "2026-03-01 12:00:00 UTC"),
        "blank": (student_notebook(solved=False), "2026-03-02 12:00:00 UTC"),
        "answered": (answered, "2026-03-01 23:59:00 +0100"),
        "broken": (broken, None),
        "wrong": (changed("pairs", "def pairs(size: int) -> int:\n    return size"), "2026-04-01"),
    }


def config_of(folders: ClassFolders) -> Config:
    config = Config()
    nbgrader_options.configure(config, folders)
    config.CourseDirectory.assignment_id = LESSON.folder
    config.Autograde.pop("exporter_class")
    config.Autograde.pre_convert_hook = config.Autograde.post_convert_hook = None
    config.Autograde.sanitize_preprocessors, config.Autograde.autograde_preprocessors = (
        NBGRADERS_OWN
    )
    config.Autograde.force = config.GenerateAssignment.force = True
    return config


def run(converter: Any, config: Config) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)
        converter(coursedir=CourseDirectory(config=config), config=config).start()


def stored_by_nbgrader(folders: ClassFolders, scratch: Path) -> dict[str, Any]:
    config = config_of(folders)
    config.CourseDirectory.release_directory = str(scratch / "release")
    run(GenerateAssignment, config)
    set_due(folders)
    ran = scratch / "ran"
    for student, (submission, timestamp) in small_class().items():
        folder = ran / student / LESSON.folder
        folder.mkdir(parents=True)
        (folder / f"{LESSON.name}.ipynb").write_bytes(nb.to_bytes(graded(submission)))
        if timestamp is not None:
            (folder / "timestamp.txt").write_text(timestamp, encoding="utf-8")
    config.CourseDirectory.submitted_directory = str(ran)
    run(Autograde, config)
    return rows(folders.gradebook_url)


def stored_by_us(folders: ClassFolders) -> dict[str, Any]:
    gradebook.register(folders, LESSON)
    set_due(folders)
    for student, (submission, timestamp) in small_class().items():
        gradebook.store(folders, LESSON, student, graded(submission), timestamp)
    return rows(folders.gradebook_url)


def set_due(folders: ClassFolders) -> None:
    with Gradebook(folders.gradebook_url, COURSE_ID) as book:
        book.update_or_create_assignment(LESSON.folder, duedate="2026-03-02 00:00:00 UTC")


def test_a_class_has_the_rows_that_nbgrader_writes(built: Course, tmp_path: Path) -> None:
    nbgrader_options.find_alembic()
    theirs = fresh(built, tmp_path / "theirs")
    ours = fresh(built, tmp_path / "ours")
    expected = stored_by_nbgrader(theirs, tmp_path / "scratch")
    found = stored_by_us(ours)
    for name in QUERIES:
        assert found[name] == expected[name], name
    assert {points for _, _, _, points, *_ in found["grades"]} >= {0.0, 20.0, None}


def fresh(built: Course, root: Path) -> ClassFolders:
    """A class without a gradebook, of the course that is already built."""
    root.mkdir()
    course = Course(root, Layout.CHECKOUT)
    source = course.source(LESSON)
    source.parent.mkdir(parents=True)
    source.write_bytes(built.source(LESSON).read_bytes())
    folders = class_of(course)
    folders.make()
    return folders


def test_outputs_say_to_nbgrader_what_the_record_says() -> None:
    for submission, _ in small_class().values():
        notebook = graded(submission)
        record = record_in(notebook)
        assert record is not None
        assert len(record.scores) == 4
        for cell in notebook["cells"]:
            if nb.is_test(cell):
                node = nbformat.from_dict(cell)  # type: ignore[no-untyped-call]
                assert determine_grade(node)[0] == record.scores[str(nb.grade_id(cell))]


OUTPUT = st.one_of(
    st.builds(lambda t: {"output_type": "stream", "name": "stdout", "text": t}, st.text()),
    st.builds(lambda t: {"output_type": "stream", "name": "stderr", "text": t}, st.text()),
    st.builds(
        lambda t: {"output_type": "error", "ename": t, "evalue": t, "traceback": [t]}, st.text()
    ),
    st.builds(
        lambda t: {
            "output_type": "execute_result",
            "execution_count": 1,
            "metadata": {},
            "data": {"text/plain": t},
        },
        st.one_of(
            st.floats(-5, 20).map(str), st.sampled_from(["nan", "all", "1e0", " 7 ", "-0.0"])
        ),
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(outputs=st.lists(OUTPUT, max_size=3))
def test_points_are_read_from_outputs_as_nbgrader_reads_them(outputs: list[Any]) -> None:
    cell = dict(cell_of(instructor_notebook(), "test_middle"), outputs=outputs)
    node = nbformat.from_dict(cell)  # type: ignore[no-untyped-call]
    assert automatic_points(cell) == determine_grade(node)[0]


@pytest.mark.parametrize("name", ["middle", "question_why"])
@pytest.mark.parametrize("touched", [True, False])
def test_answers_are_read_as_nbgrader_reads_them(name: str, touched: bool) -> None:
    cell = cell_of(student_notebook(solved=False), name)
    cell["metadata"]["nbgrader"]["checksum"] = nb.checksum(cell)
    cell["source"] += "\nmore" * touched
    if cell["metadata"]["nbgrader"].get("grade"):
        node = nbformat.from_dict(cell)  # type: ignore[no-untyped-call]
        assert automatic_points(cell) == determine_grade(node)[0] == (None if touched else 0)
