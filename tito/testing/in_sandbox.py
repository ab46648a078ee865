"""Work that must happen where the student's objects are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def inside(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `fn(*args, **kwargs)` where the student's code runs.

    In a student's kernel that is here. Under the judge it is the student's process: use it where
    work must be seen by an object of the student's (an operation counter, a profiler), or be done
    to a model that the student's code holds.

    Args:
        fn: A function of a given or read-only cell, a module, a student's function, or one of
            Python's, NumPy's or tinytorch's own.
        args: Its arguments.
        kwargs: Its arguments by name.

    Returns:
        What it returned. Under the judge that is the student's process's word.
    """
    import tito.testing

    judge = tito.testing.judge_hooks
    return fn(*args, **kwargs) if judge is None else judge.inside(fn, args, kwargs)
