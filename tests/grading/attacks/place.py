"""What an attacker may know of the place: paths, a token of its own, doors that stand open."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where a batch is graded.

    Attributes:
        course: The folder of the course whose class is graded.
        checkout: The folder of the project.
        home: The grader's home folder, with a file that nobody else may see.
        run: A word that marks everything this batch leaves anywhere.
        port: A port of 127.0.0.1 on which the harness listens.
        socket: A unix socket on which it listens.
        door: The name of an abstract socket on which it listens.
        apart: Whether submissions must find themselves in a process namespace of their own.
    """

    course: Path
    checkout: Path
    home: Path
    run: str
    port: int
    socket: Path
    door: str
    apart: bool

    def token(self, number: int) -> str:
        """The mark of one case, short enough for a process's name (15 characters)."""
        return f"{self.run}c{number:03d}"

    def filled(self, source: str, number: int) -> str:
        """A cell's text with the names of the place put in."""
        for name, value in self._words(number).items():
            source = source.replace(f"@{name}@", value)
        return source

    def _words(self, number: int) -> dict[str, str]:
        return {
            "TOKEN": self.token(number),
            "COURSE": str(self.course),
            "CHECKOUT": str(self.checkout),
            "HOME": str(self.home),
            "PORT": str(self.port),
            "SOCKET": str(self.socket),
            "ABSTRACT": self.door,
            "PIDS": os.readlink("/proc/self/ns/pid"),
            "GRADER": str(os.getpid()),
        }
