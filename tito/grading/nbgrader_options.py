"""nbgrader's configuration, which nbgrader_config.py takes from here.

The options make nbgrader's own commands (`nbgrader autograde 14_profiling`, the formgrader's
button) rebuild and confine submissions just as `tito grade` does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tito.course import CourseError
from tito.grading.class_folders import COURSE_ID, ClassFolders
from tito.lessons import nbgrader_settings as settings

CONFIG_NAME = "nbgrader_config.py"

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
    config.Autograde.exporter_class = "tito.grading.nbgrader_autograde.SubmissionExporter"
    config.Autograde.pre_convert_hook = "tito.grading.preprocessors.register_first"
    config.Autograde.post_convert_hook = "tito.grading.nbgrader_autograde.keep_timestamp"
    config.GenerateFeedback.preprocessors = FEEDBACK
    config.GenerateFeedback.exporter_class = "tito.grading.feedback_exporter.FeedbackExporter"
    # the formgrader shows graded notebooks through these
    config.HTMLExporter.preprocessors = ["tito.grading.preprocessors.CleanOutputs"]
    config.HTMLExporter.sanitize_html = True
    config.HTMLExporter.filters = {
        "clean_html": "tito.grading.safe_html.clean_html",
        "markdown2html": "tito.grading.safe_html.safe_markdown",
    }
    find_alembic()


def find_alembic() -> None:
    """Put this Python's programs on PATH: nbgrader calls alembic when it makes a gradebook."""
    programs = str(Path(sys.executable).parent)
    known = os.environ.get("PATH", "")
    if programs not in known.split(os.pathsep):
        os.environ["PATH"] = programs + os.pathsep + known


def read_config(root: Path) -> Any:
    """What nbgrader would read from its configuration files, without importing it.

    Args:
        root: The course's folder; its file counts more than those in Jupyter's own folders.

    Raises:
        CourseError: A file does not run.
    """
    from jupyter_core.paths import jupyter_config_path
    from traitlets.config import Config
    from traitlets.config.loader import PyFileConfigLoader

    config = Config()
    for place in [*reversed(jupyter_config_path()), str(root)]:
        path = Path(place) / CONFIG_NAME
        if not path.is_file():
            continue
        try:
            config.merge(PyFileConfigLoader(CONFIG_NAME, path=place).load_config())
        except Exception as error:  # the instructor's own code
            raise CourseError(
                f"{path} does not run: {type(error).__name__}: {error}.",
                "Correct it; nbgrader's own commands read it too.",
            ) from error
    return config
