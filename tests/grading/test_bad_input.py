"""Files that are no notebooks, or hardly: each gets a clear verdict, and none stops the batch."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.grading.attacks import adapter
from tests.grading.small_course import (
    LESSON,
    TESTS,
    cell_of,
    class_of,
    hand_in,
    student_notebook,
)
from tito.course import Course, Layout
from tito.lessons import notebook as nb

ALL = float(sum(TESTS.values()))
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Bad:
    """A bad file: how it is made at the notebook's place, what the notes say, what it earns."""

    make: Callable[[Path], object]
    says: str = ""
    points: float = 0.0


def content(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def right(**top: object) -> nb.Notebook:
    """A right submission as JSON would hold it, with other values at the top."""
    return {**json.loads(nb.to_bytes(student_notebook())), **top}


def text(notebook: object) -> bytes:
    return json.dumps(notebook).encode()


def with_cell(**changes: Any) -> bytes:
    """A right submission whose first solution cell is changed."""
    notebook = student_notebook()
    cell_of(notebook, "middle").update(changes)
    return text(notebook)


def with_metadata(value: object) -> bytes:
    notebook = student_notebook()
    for cell in notebook["cells"]:
        cell["metadata"]["odd"] = value
        cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": value}}]
    notebook["metadata"]["odd"] = value
    return text(notebook)


def with_cells(cells: list[object]) -> bytes:
    return text(right(cells=cells))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(500 << 20)


def many_cells(path: Path) -> None:
    cell = '{"cell_type": "code", "metadata": {}, "outputs": [], "source": ""}'
    cells = ", ".join([cell] * 100_000)
    path.write_text(f'{{"cells": [{cells}], "metadata": {{}}, "nbformat": 4}}', encoding="utf-8")


def unreadable(path: Path) -> None:
    path.write_bytes(nb.to_bytes(student_notebook()))
    path.chmod(0)


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path may have 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(path.name)
    finally:
        os.chdir(here)


def instead_of_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("no folder", encoding="utf-8")


def stamped(stamp: Callable[[Path], object]) -> Callable[[Path], object]:
    """A right submission with something odd for its time stamp."""

    def make(path: Path) -> None:
        path.write_bytes(nb.to_bytes(student_notebook()))
        stamp(path.parent / "timestamp.txt")

    return make


GOOD = nb.to_bytes(student_notebook())
DEEP = b'{"cells": ' + b"[" * 100_000 + b"]" * 100_000 + b', "nbformat": 4}'
NOISE = random.Random(1).randbytes(5_000)
TWICE = GOOD.replace(b'"nbformat": 4', b'"cells": [], "nbformat": 4')
NUMBER = GOOD.replace(b'"nbformat": 4', b'"odd": ' + b"9" * 6_000 + b', "nbformat": 4')

BAD: dict[str, Bad] = {
    "empty": Bad(content(b""), "not JSON"),
    "spaces": Bad(content(b" \n\n"), "not JSON"),
    "prose": Bad(content(b"Dear teacher, my dog ate it."), "not JSON"),
    "binary": Bad(content(NOISE), "not UTF-8"),
    "nul_bytes": Bad(content(bytes(10_000)), "not JSON"),
    "zip": Bad(content(b"PK\x03\x04" + NOISE), "not UTF-8"),
    "half": Bad(content(GOOD[: len(GOOD) // 2]), "not JSON"),
    "json_list": Bad(content(b"[]"), "no list of cells"),
    "json_number": Bad(content(b"5"), "no list of cells"),
    "json_null": Bad(content(b"null"), "no list of cells"),
    "other_json": Bad(content(b'{"name": "x"}'), "no list of cells"),
    "deep": Bad(content(DEEP), "nested too deeply"),
    "deep_objects": Bad(content(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), "nested too deeply"),
    "huge_number": Bad(content(NUMBER), "4300 digits"),
    "cells_object": Bad(content(text(right(cells={}))), "no list of cells"),
    "cells_numbers": Bad(content(with_cells([1, None, "x"])), "malformed"),
    "cell_type_number": Bad(content(with_cell(cell_type=5)), "malformed"),
    "source_object": Bad(content(with_cell(source={"a": 1})), "malformed"),
    "source_numbers": Bad(content(with_cell(source=[1, 2])), "malformed"),
    "source_null": Bad(content(with_cell(source=None)), "malformed"),
    "metadata_list": Bad(content(with_cell(metadata=[])), "malformed"),
    "metadata_null": Bad(content(with_cell(metadata=None)), "malformed"),
    "broken_utf8": Bad(content(GOOD.replace(b"The mean", b"\xff\xfe").replace(b"import", b"\xc3")),
                       "not UTF-8"),
    "utf16": Bad(content(GOOD.decode().encode("utf-16")), "not UTF-8"),
    "utf16_plain": Bad(content(GOOD.decode().encode("utf-16-le")), "not JSON"),
    "latin1": Bad(content("é".encode("latin-1") + GOOD), "not UTF-8"),
    "byte_order_mark": Bad(content(b"\xef\xbb\xbf" + GOOD), "BOM"),
    "format_3": Bad(content(text({"nbformat": 3, "worksheets": [{"cells": []}]})), "cells"),
    "format_3_cells": Bad(content(text(right(nbformat=3))), "format 3"),
    "format_5": Bad(content(text(right(nbformat=5))), "format 5"),
    "format_text": Bad(content(text(right(nbformat="4"))), "format '4'"),
    "format_absent": Bad(content(text({"cells": []})), "format None"),
    "half_gigabyte": Bad(sparse, "MB; at most"),
    "many_cells": Bad(many_cells, "100000 cells"),
    "long_cell": Bad(content(with_cell(source="x = 1\n" * 2_500_000)), "MB"),
    "very_long_cell": Bad(content(with_cell(source="#" * (50 << 20))), "MB"),
    "folder": Bad(lambda path: path.mkdir(), "is a folder"),
    "pipe": Bad(os.mkfifo, "no ordinary file"),
    "socket": Bad(unix_socket, "cannot be read"),
    "device": Bad(lambda path: path.symlink_to("/dev/zero"), "is a link"),
    "dangling": Bad(lambda path: path.symlink_to("nowhere"), "is a link"),
    "loop": Bad(lambda path: path.symlink_to(path.name), "is a link"),
    "absent": Bad(lambda path: None, "was not handed in"),
    "other_name": Bad(lambda path: path.with_name("Profiling (1).ipynb").write_bytes(GOOD),
                      "was not handed in"),
    "file_for_folder": Bad(instead_of_folder, "is no folder"),
    "no_cells": Bad(content(with_cells([])), "was missing"),
    # what can be read is graded
    "nan": Bad(content(with_metadata(float("nan"))), "", ALL),
    "infinity": Bad(content(with_metadata([float("inf")] * 3)), "", ALL),
    "odd_outputs": Bad(content(with_metadata({"": [None, {"x": []}]})), "", ALL),
    "surrogate_metadata": Bad(content(with_metadata("\ud800")), "", ALL),
    "keys_twice": Bad(content(TWICE), "was missing"),
    "odd_ids": Bad(content(with_cell(id=["x"], execution_count="many")), "", ALL),
    "surrogate_solution": Bad(content(with_cell(source="x = '\ud800'")), "", 55.0),
    "nul_solution": Bad(content(with_cell(source="x = 1\0")), "", 55.0),
    "control_solution": Bad(content(with_cell(source="\x1b[31m\x0c\x85\u2028 = 1")), "", 55.0),
    "stamp_words": Bad(stamped(lambda p: p.write_text("yesterday", "utf-8")), "", ALL),
    "stamp_empty": Bad(stamped(lambda p: p.write_bytes(b"")), "", ALL),
    "stamp_noise": Bad(stamped(lambda p: p.write_bytes(NOISE[:900])), "", ALL),
    "stamp_huge": Bad(stamped(lambda p: p.write_bytes(b"2026-01-01 " * 1_000_000)), "", ALL),
    "stamp_far": Bad(stamped(lambda p: p.write_text("99999-13-45 99:99 UTC", "utf-8")), "", ALL),
    "stamp_zone": Bad(stamped(lambda p: p.write_text("2026-01-01 10:00 ../../etc", "utf-8")), "",
                      ALL),
    "stamp_number": Bad(stamped(lambda p: p.write_text("9" * 90, "utf-8")), "", ALL),
    "stamp_link": Bad(stamped(lambda p: p.symlink_to("/etc/hostname")), "", ALL),
    "stamp_folder": Bad(stamped(lambda p: p.mkdir()), "", ALL),
    "stamp_pipe": Bad(stamped(os.mkfifo), "", ALL),
}  # fmt: skip
if os.geteuid() != 0:  # root reads everything
    BAD["unreadable"] = Bad(unreadable, "cannot be read")

ODD_NAMES = (
    "two\nlines",
    'quo"te',
    "it's",
    "名前",
    "a b",
    "-rf",
    "x" * 200,
    "$(id)",
    "[a-z]*",
    "é",
)


@dataclass
class Graded:
    outcomes: dict[str, adapter.Outcome]
    course: Path


@pytest.fixture(scope="module")
def graded(built: Course, tmp_path_factory: pytest.TempPathFactory) -> Graded:
    root = tmp_path_factory.mktemp("bad") / "course"
    shutil.copytree(built.root, root)
    folders = class_of(Course(root, Layout.CHECKOUT))
    for student in ("aa_right", "m_right", "zz_right"):
        hand_in(folders, student, GOOD)
    for student, bad in BAD.items():
        path = folders.submitted(student, LESSON)
        path.parent.mkdir(parents=True)
        bad.make(path)
    for name in ODD_NAMES:
        hand_in(folders, name, GOOD)
    return Graded(adapter.grade(folders), root)


@pytest.mark.parametrize("student", BAD)
def test_its_own_clear_verdict(student: str, graded: Graded) -> None:
    outcome, bad = graded.outcomes[student], BAD[student]
    said = "\n".join(outcome.notes)
    assert outcome.points == bad.points, said
    assert bad.says in said
    assert outcome.page
    assert "Traceback" not in said
    assert len(said) < 2_000


@pytest.mark.parametrize("student", ["aa_right", "m_right", "zz_right"])
def test_the_others_get_their_marks(student: str, graded: Graded) -> None:
    outcome = graded.outcomes[student]
    assert (outcome.points, outcome.notes) == (ALL, [])


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_of_students_are_named_as_a_problem(name: str, graded: Graded) -> None:
    outcome = graded.outcomes[name]
    long = len(name) >= 200  # a long name is none that nbgrader cannot handle
    assert outcome.points == (ALL if long else None)
    assert long or "cannot handle" in "\n".join(outcome.notes)


def test_what_is_asked_for_and_not_there_is_named_as_a_problem(course: Course) -> None:
    folders = class_of(course)
    hand_in(folders, "ada", GOOD)
    outcomes = adapter.grade(folders, ["ada", "nobody", "../ada", ""])
    assert outcomes["ada"].points == ALL
    for student in ("nobody", "../ada", ""):
        assert outcomes[student].points is None
        assert outcomes[student].notes
