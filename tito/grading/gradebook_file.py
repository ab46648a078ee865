"""Opening nbgrader's gradebook, and making it as nbgrader makes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from tito.course import CourseError
from tito.grading import gradebook_schema as schema
from tito.grading.class_folders import COURSE_ID, ClassFolders

_WAIT_S = 30.0  # the formgrader may hold the file for a moment
_WRITES = "tito_writes"
_PREPARED: set[tuple[str, int]] = set()


class Book:
    """An open gradebook: all reading and writing happens in its transactions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all of it is stored at its end, or nothing."""
        with (
            self._engine.connect().execution_options(**{_WRITES: True}) as connection,
            connection.begin(),
        ):
            yield connection


@contextmanager
def opened(folders: ClassFolders) -> Iterator[Book]:
    """The class's gradebook, made when it does not exist.

    Raises:
        CourseError: The database cannot be opened, read or written, or another version of nbgrader
            made it.
    """
    folders.make()
    url = folders.gradebook_url
    with _refusals(url):
        book = Book(_engine(url))
        if _file(url) not in _PREPARED:
            _prepare(book, url)
            _PREPARED.add(_file(url))
        yield book


def _file(url: str) -> tuple[str, int]:
    """An address and the file that is there now: one that was removed has to be made anew."""
    if not url.startswith("sqlite"):
        return url, 0
    path = Path(make_url(url).database or "")
    return url, path.stat().st_ino if path.is_file() else 0


@contextmanager
def _refusals(url: str) -> Iterator[None]:
    """Turn the database's errors into ones that say what to do."""
    try:
        yield
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise CourseError(
            f"The gradebook {_public(url)} does not work: {error}.",
            "Give an SQLAlchemy address, and install the driver that it needs.",
        ) from error
    except SQLAlchemyError as error:
        raise CourseError(
            f"The gradebook {_public(url)} does not work: {error}.",
            "Check that its folder can be written, the disk has room, and nobody else holds it.",
        ) from error


@lru_cache(maxsize=8)  # an engine keeps its compiled statements, which cost more than running them
def _engine(url: str) -> Engine:
    sqlite = url.startswith("sqlite")
    options = {"timeout": _WAIT_S} if sqlite else {}
    # no connection outlives its transaction, so none is shared with a fork
    engine = create_engine(url, connect_args=options, poolclass=NullPool)
    if sqlite:
        event.listen(engine, "connect", _own_transactions)
        event.listen(engine, "begin", _begin)
    return engine


def _own_transactions(connection: Any, record: object) -> None:
    # Python's sqlite3 begins transactions late, and none for CREATE TABLE
    connection.isolation_level = None


def _begin(connection: Connection) -> None:
    """Take the file's lock before reading what is then changed: a later upgrade can deadlock."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(book: Book, url: str) -> None:
    """Make what is missing: tables, their revision, and the course."""
    with book.reading() as connection:
        made = _is_complete(connection, url)
    if made:
        return
    with book.writing() as connection:
        if not inspect(connection).get_table_names():
            schema.stamp.create(connection)
            connection.execute(insert(schema.stamp).values(version_num=schema.VERSION))
        schema.metadata.create_all(connection)
        if connection.execute(_course()).first() is None:
            connection.execute(insert(schema.course).values(id=COURSE_ID))


def _is_complete(connection: Connection, url: str) -> bool:
    names = set(inspect(connection).get_table_names())
    if not names:
        return False
    stamps = (
        connection.execute(select(schema.stamp.c.version_num)).scalars().all()
        if schema.stamp.name in names
        else []
    )
    if stamps != [schema.VERSION]:
        raise CourseError(
            f"The gradebook {_public(url)} has the revision {', '.join(stamps) or 'none'}; "
            f"nbgrader 0.9.6 has {schema.VERSION}.",
            "Back it up, and run `nbgrader db upgrade`.",
        )
    complete = names >= set(schema.metadata.tables)
    return complete and connection.execute(_course()).first() is not None


def _course() -> Any:
    return select(schema.course.c.id).where(schema.course.c.id == COURSE_ID)


def _public(url: str) -> str:
    """The address without its password."""
    before, at, after = url.rpartition("@")
    if not at or ":" not in before.partition("://")[2]:
        return url
    scheme, _, account = before.partition("://")
    return f"{scheme}://{account.split(':')[0]}:***@{after}"
