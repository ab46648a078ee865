"""nbgrader's configuration, shared by nbgrader_config.py and by `tito grade`.

The options make nbgrader's own commands (`nbgrader autograde 14_profiling`, the formgrader's
button) rebuild and confine submissions just as `tito grade` does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.lessons import nbgrader_settings as settings

# As nbgrader's own list, except that the cells are not the student's to begin with.
SANITIZE_BY_HAND = [
    "tito.grading.preprocessors.RebuildSubmission",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
AUTOGRADE_BY_HAND = [
    "tito.grading.preprocessors.ConfinedExecute",
    "nbgrader.preprocessors.LimitOutput",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
    "tito.grading.preprocessors.SealRecord",
]
FEEDBACK = [
    "nbgrader.preprocessors.GetGrades",
    "tito.grading.preprocessors.HideTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
# `tito grade` rebuilds and runs submissions in processes of their own; nbgrader gets the result.
SANITIZE_RUN = SANITIZE_BY_HAND[1:]
AUTOGRADE_RUN = AUTOGRADE_BY_HAND[1:]


def configure(config: Any, folders: ClassFolders) -> None:
    """Set nbgrader's options for a class.

    Args:
        config: traitlets' Config.
        folders: The class.
    """
    config.CourseDirectory.course_id = COURSE_ID
    config.CourseDirectory.root = str(folders.root)
    config.CourseDirectory.source_directory = str(folders.course.root / "source")
    config.CourseDirectory.release_directory = str(folders.course.root / "release")
    config.CourseDirectory.db_url = folders.gradebook_url
    config.CourseDirectory.ignore = settings.IGNORED_FILES
    config.ClearSolutions.update(settings.clear_solutions_options())
    config.Autograde.sanitize_preprocessors = SANITIZE_BY_HAND
    config.Autograde.autograde_preprocessors = AUTOGRADE_BY_HAND
    config.Autograde.pre_convert_hook = "tito.grading.preprocessors.register_first"
    config.GenerateFeedback.preprocessors = FEEDBACK
    config.HTMLExporter.sanitize_html = True
    config.HTMLExporter.filters = {"clean_html": "tito.grading.safe_html.clean_html"}
    find_alembic()


def find_alembic() -> None:
    """Put this Python's programs on PATH: nbgrader calls alembic when it makes a gradebook."""
    programs = str(Path(sys.executable).parent)
    known = os.environ.get("PATH", "")
    if programs not in known.split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + known
