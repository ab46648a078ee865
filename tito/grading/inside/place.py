"""What one sandbox has to itself outside its walls: a user, a folder, a control group."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from . import walls
from .leaves import Leaf


class Place:
    """Made before a sandbox starts, cleared after its end.

    Args:
        settings: The zygote's; `users` names the first user it may give away and their number,
            `homes` the folder for private folders where the walls make none.
        name: Of the folder and the group.
        taken: Users that other sandboxes are.

    Attributes:
        user: Whom to become; None: nobody else.
        home: The private folder, as the sandbox sees it.
        leaf: The control group.
    """

    def __init__(self, settings: dict[str, Any], name: str, taken: set[int | None]) -> None:
        self.user: int | None = None
        if settings["users"]:
            first, number = settings["users"]
            self.user = next((u for u in range(first, first + number) if u not in taken), None)
            if self.user is None:
                raise OSError(f"all {number} users of this zygote are in use")
        self._folder: str | None = None
        self.home = walls.HOME
        if settings["homes"]:
            self.home = self._folder = f"{settings['homes']}/{name}"
            os.mkdir(self.home, 0o700)
            if self.user is not None:
                os.chown(self.home, self.user, self.user)
        try:
            self.leaf = Leaf(settings["groups"], name)
        except OSError:
            self._remove_folder()
            raise

    def clear(self) -> None:
        """Kill what is still in the group, and remove group and folder."""
        self.leaf.end()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            remove_tree(self._folder)


def remove_tree(folder: str) -> None:
    """Remove a folder; `rm` goes down hostile depths where Python's own way would recurse."""
    subprocess.run(["rm", "-rf", "--", folder], check=False, capture_output=True)
