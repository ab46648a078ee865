"""What being late costs: by nbgrader's own plugin, when nbgrader_config.py chooses one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tito.course import CourseError
from tito.grading.nbgrader_options import CONFIG_NAME, read_config


def late_penalty(root: Path, student: str, score: float, seconds_late: float) -> float | None:
    """The points that nbgrader would take off.

    Args:
        root: The folder with nbgrader_config.py.
        student: The student.
        score: The points before.
        seconds_late: How late the submission is.

    Raises:
        CourseError: The plugin failed.
    """
    if seconds_late <= 0:
        return None
    config = root / CONFIG_NAME
    step = _step(root, config.stat().st_mtime_ns if config.is_file() else 0)
    if step is None or not step.enabled:
        return None
    try:
        penalty = step.plugin_inst.late_submission_penalty(student, score, seconds_late)
        if penalty is None:
            return None
        return float(step._check_late_penalty(SimpleNamespace(score=score), penalty))
    except Exception as error:  # the instructor's own code
        raise CourseError(
            f"The plugin for late submissions failed for {student}: {type(error).__name__}: "
            f"{error}.",
            f"Correct the plugin that {CONFIG_NAME} names as AssignLatePenalties.plugin_class.",
        ) from error


@lru_cache(maxsize=4)
def _step(root: Path, changed: int) -> Any:
    """nbgrader's own step with its plugin; None when nothing chooses a penalty.

    nbgrader takes four seconds to import, and its default is no penalty.
    """
    config = read_config(root)
    if "AssignLatePenalties" not in config and "LateSubmissionPlugin" not in config:
        return None
    from nbgrader.preprocessors import AssignLatePenalties

    with _importable(root):
        step = AssignLatePenalties(config=config)
        step.init_plugin()
    return step


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Find modules beside nbgrader_config.py, as nbgrader does."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
