"""nbgrader's configuration for this course; its commands find it when run from this folder.

`TINYTORCH_GRADEBOOK_URL` names another gradebook than gradebook/gradebook.db, as an SQLAlchemy
address. `TINYTORCH_CLASS` names another class than this folder's, for example `demo`.
"""

from pathlib import Path

from tito.course import find_course
from tito.grading.class_folders import find_class
from tito.grading.nbgrader_options import configure

folders = find_class(find_course(Path(__file__).parent))
folders.make()
configure(get_config(), folders)  # type: ignore[name-defined]  # noqa: F821 (nbgrader gives it)
