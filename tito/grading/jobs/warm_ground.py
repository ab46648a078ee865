"""A warm process on a given tree. It is imported, and the process started, before all else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tito.grading.jobs.trees import tree_folder
from tito.grading.sandbox.levels import Level
from tito.grading.sandbox.zygote import PRELOADED, Zygote


class WarmGround:
    """A warm process on a given tree.

    Args:
        folder: Where given trees are laid out.
        given: The tree's hash.
        isolation: The level of the sandboxes.
        preload: Packages that submissions will import.
    """

    def __init__(
        self, folder: Path, given: str, isolation: str, preload: Sequence[str] = PRELOADED
    ) -> None:
        self.given = given
        self.isolation = isolation
        self.zygote = Zygote(tree_folder(folder, given), Level(isolation), preload=preload)
