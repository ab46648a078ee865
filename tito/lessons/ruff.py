"""Formatting generated modules with ruff, independent of any settings file around them."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

from tito.course import CourseError

_FORMAT = ["format", "--isolated", "--line-length=100", "--target-version=py311"]
_TIDY = [
    "check",
    "--isolated",
    "--fix-only",
    "--quiet",
    "--line-length=100",
    "--target-version=py311",
    "--select=I,F401",  # sort imports, drop those the exported cells do not use
    "--config=lint.isort.known-first-party=['tinytorch','tito']",
]


def formatted(code: str, name: str) -> str:
    """Return module text with sorted, used imports and ruff's layout.

    Args:
        code: A module's text, syntactically correct.
        name: The file's name, for messages.

    Raises:
        CourseError: ruff is not installed, or could not read the text.
    """
    for options in (_TIDY, _FORMAT):
        code = _run([*options, f"--stdin-filename={name}", "-"], code)
    return code


def _run(options: list[str], code: str) -> str:
    if find_spec("ruff") is None:
        raise CourseError(
            "ruff, which formats the exported module, is not installed.",
            "Install the course's packages again: `make install`.",
        )
    command = [sys.executable, "-m", "ruff", *options]
    done = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CourseError(f"ruff could not format the module: {done.stderr.strip()}", "Correct it.")
    return done.stdout
