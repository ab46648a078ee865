"""A PostgreSQL server of the tests' own, on a unix socket in a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType


class PostgresServer:
    """Starts a server, and can stop it in the middle of things."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a short socket path
        self._data = self._folder / "data"
        self._user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
        self._numbers = count(1)

    def __enter__(self) -> PostgresServer:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._do("initdb", "-D", str(self._data), "-U", "tito", "--auth=trust", "--no-sync")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.crash()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        log = str(self._folder / "log")
        self._do("pg_ctl", "-D", str(self._data), "-o", options, "-l", log, "-w", "start")

    def crash(self) -> None:
        """Stop at once, without a word to the clients."""
        self._do("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def new_database(self) -> str:
        """The address of a new, empty database."""
        name = f"jobs{next(self._numbers)}"
        self._do("createdb", "-h", str(self._folder), "-U", "tito", name)
        return f"postgresql+psycopg://tito@/{name}?host={self._folder}"

    def _do(self, *command: str) -> None:
        subprocess.run(
            command,
            check=True,
            user=self._user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
