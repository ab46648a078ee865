"""A connection to the database of jobs that outlives a restart of its server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, create_engine, event, literal_column
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from tito.course import CourseError
from tito.grading.jobs.schema import METADATA

PATIENCE_S = 60.0
_PAUSE_S = 0.1
_LOCK_S = 30.0  # another process may hold a SQLite file for a moment
_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)",
}
_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome:
    """What a statement gave: its rows, and how many it changed."""

    rows: Sequence[Any]
    count: int


class Database:
    """The database of jobs; every statement is a transaction of its own.

    Args:
        url: Its SQLAlchemy address, SQLite or PostgreSQL.
        patience_s: How long a server that went away is waited for.

    Raises:
        CourseError: The address is of another kind, or cannot be opened.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._engine = _engine(url, min(patience_s, _LOCK_S))
        self.dialect = self._engine.dialect.name
        self.now: ColumnElement[float] = literal_column(_NOW[self.dialect])
        shown = make_url(url).render_as_string(hide_password=True)
        try:
            self._patiently(lambda: METADATA.create_all(self._engine), lambda e: _is_locked(e))
        except SQLAlchemyError as error:
            raise CourseError(
                f"The database of jobs {shown} does not work: {error}.",
                "Check its address, that its folder can be written, and that the disk has room.",
            ) from error

    def execute(self, statement: Executable, rows: list[dict[str, Any]] | None = None) -> Outcome:
        """Run one statement, again when the server went away meanwhile.

        Raises:
            CourseError: The server stayed away, or refused the statement.
        """
        try:
            return self._patiently(lambda: self._once(statement, rows), _may_pass)
        except SQLAlchemyError as error:
            raise CourseError(
                f"The database of jobs does not work any more: {error}.",
                "Nothing that was stored is lost. Mend the database and run the command again.",
            ) from error

    def insert(self, table: Any) -> Any:
        """An INSERT that can say ON CONFLICT, in the database's own dialect."""
        if self.dialect == "sqlite":
            from sqlalchemy.dialects.sqlite import insert as sqlite_insert

            return sqlite_insert(table)
        from sqlalchemy.dialects.postgresql import insert as postgresql_insert

        return postgresql_insert(table)

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _once(self, statement: Executable, rows: list[dict[str, Any]] | None) -> Outcome:
        with self._engine.connect() as connection:
            result = connection.execute(statement, rows)
            found = result.fetchall() if result.returns_rows else []
            return Outcome(found, result.rowcount)

    def _patiently(self, attempt: Callable[[], _T], passes: Callable[[DBAPIError], bool]) -> _T:
        limit = time.monotonic() + self._patience_s
        while True:
            try:
                return attempt()
            except DBAPIError as error:
                if not passes(error) or time.monotonic() > limit:
                    raise
            time.sleep(_PAUSE_S)


def _engine(url: str, lock_s: float) -> Engine:
    """An engine with one connection, which commits each statement."""
    try:
        dialect = make_url(url).get_backend_name()
        if dialect not in _NOW:
            raise CourseError(
                f"Jobs cannot be kept in a database of the kind {dialect!r}.",
                "Give an address as sqlite:////folder/jobs.db or postgresql://host/database.",
            )
        waits = {"timeout": lock_s} if dialect == "sqlite" else {}
        engine = create_engine(
            url, isolation_level="AUTOCOMMIT", pool_size=1, connect_args=waits, max_overflow=1
        )
    except (ArgumentError, NoSuchModuleError) as error:
        raise CourseError(
            f"The address of the database of jobs is not understood: {error}.",
            "Write it as sqlite:////folder/jobs.db or postgresql://host/database.",
        ) from error
    except ModuleNotFoundError as error:
        raise CourseError(
            f"The database of jobs needs the package {error.name!r}, which is not installed.",
            "Run `pip install 'psycopg[binary]'`.",
        ) from error
    if dialect == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    """Readers and a writer at once; a commit waits for no disk (the rest is in the gradebook)."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _is_locked(error: DBAPIError) -> bool:
    return "locked" in str(error.orig) or "already exists" in str(error.orig)


def _may_pass(error: DBAPIError) -> bool:
    """Whether a statement may succeed later: a server that restarts, a lock that is held."""
    if error.connection_invalidated or _is_locked(error):
        return True
    state = getattr(error.orig, "sqlstate", "SQLite has none")
    if state is None:  # psycopg could not connect at all
        return True
    # connection lost; transactions that stood in each other's way; server stopping or starting
    return str(state).startswith(("08", "40", "57P"))
