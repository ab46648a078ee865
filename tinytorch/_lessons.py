"""The parts of the package that are written in the lessons.

`tinytorch.profiling` to `tinytorch.competition` exist once the student (or the course) has exported
the lesson. Until then importing one says which notebook to finish and which command to run.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

LESSONS = {
    "profiling": 14,
    "memoization": 15,
    "quantization": 16,
    "compression": 17,
    "acceleration": 18,
    "benchmarking": 19,
    "competition": 20,
}


class LessonNotExportedError(ImportError):
    """A lesson's module was imported before the lesson was exported."""


class LessonFinder:
    """The last finder Python asks: reached only when the module's file does not exist."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Raise for a lesson's module; know nothing of any other."""
        package, _, name = fullname.rpartition(".")
        if package != "tinytorch" or name not in LESSONS:
            return None
        number = LESSONS[name]
        raise LessonNotExportedError(
            f"{fullname} does not exist yet: it is what you build in Module {number}. "
            f"Finish the notebook {number}_{name}/{name}.ipynb, then run: tito export {number}",
            name=fullname,
        )


def install() -> None:
    """Put the finder at the end of Python's list, once."""
    if not any(isinstance(finder, LessonFinder) for finder in sys.meta_path):
        sys.meta_path.append(LessonFinder())
