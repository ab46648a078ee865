"""Starts JupyterLab for the course: on this machine only, in the course's folder, without news.

`python -m tito.lab [FOLDER] [JupyterLab options]`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SETTINGS_FOLDER = Path(__file__).parent / "lab_settings"
_COURSE_FOLDER = Path(__file__).resolve().parents[1]


def lab_arguments(root: Path, settings_folder: Path = SETTINGS_FOLDER) -> list[str]:
    """Return the arguments of a JupyterLab that serves `root` on the loopback interface alone.

    Args:
        root: The folder that the file browser shows.
        settings_folder: Holds `overrides.json`, settings seen before any of the user's.

    Raises:
        NotADirectoryError: `root` is no folder.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder; give the folder that holds the notebooks")
    arguments = [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={root.resolve()}",
        f"--LabServerApp.app_settings_dir={settings_folder}",
        f"--LabApp.app_settings_dir={settings_folder}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # in a container there is often no other user
    return arguments


def main(given: list[str] | None = None) -> None:
    """Start JupyterLab; a first argument that is no option is the folder to serve."""
    options = list(sys.argv[1:] if given is None else given)
    root = _COURSE_FOLDER
    if options and not options[0].startswith("-"):
        root = Path(options.pop(0))
    arguments = lab_arguments(root)
    os.chdir(root)  # nbgrader_config.py is looked for in the working folder
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *arguments, *options])


if __name__ == "__main__":
    main()
