"""What `tito release` and nbgrader_config.py must agree on, kept in one place."""

from __future__ import annotations

from tito.lessons.stub import STUB_MESSAGE

SCHEMA_VERSION = 3
CODE_STUB = f'raise NotImplementedError("{STUB_MESSAGE}")'
TEXT_STUB = "Write your answer here."

BEGIN_SOLUTION = "### BEGIN SOLUTION"
END_SOLUTION = "### END SOLUTION"
BEGIN_HIDDEN_TESTS = "### BEGIN HIDDEN TESTS"
END_HIDDEN_TESTS = "### END HIDDEN TESTS"

# nbgrader copies every other file of an assignment's folder to students. A lesson's text holds
# all answers, so no Python file may ever travel that way.
IGNORED_FILES = [
    ".ipynb_checkpoints",
    "*.pyc",
    "__pycache__",
    ".pytest_cache",
    "*.py",
    "*.toml",
    "*.part",
]


def clear_solutions_options() -> dict[str, object]:
    """The traits to set on nbgrader's ClearSolutions preprocessor."""
    return {"code_stub": {"python": CODE_STUB}, "text_stub": TEXT_STUB}
