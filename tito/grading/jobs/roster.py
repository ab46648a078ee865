"""Who belongs to a class, when somebody has said so."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from tito.grading.class_folders import ClassFolders
from tito.grading.gradebook_file import opened
from tito.grading.gradebook_schema import student


def not_in_roster(folders: ClassFolders, names: Iterable[str]) -> list[str]:
    """The names that are not in the gradebook's roster; none when there is no roster.

    Grading enters whoever handed in by the name alone. So a list of names is no roster: one is
    there when at least one student has a first name, last name or e-mail address, as
    `nbgrader db student import` enters them.
    """
    columns = (student.c.id, student.c.first_name, student.c.last_name, student.c.email)
    with opened(folders) as book, book.reading() as connection:
        rows = connection.execute(select(*columns)).all()
    if not any(row.first_name or row.last_name or row.email for row in rows):
        return []
    known = {row.id for row in rows}
    return [name for name in names if name not in known]
