"""What a fresh child of the zygote does to itself before a student's code runs in it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

from . import bounds, landlock, linux, seccomp, walls
from .place import Place
from .reading import ReadablePaths

_MOST_DESCRIPTORS = 1 << 24


@dataclass(frozen=True)
class Confinement:
    """The walls that every child of a zygote gets.

    Attributes:
        level: `namespaces`, `landlock` or `process`.
        limits: The fields of `tito.grading.sandbox.limits.Limits`.
        shown: For namespaces: the view's folders.
        readable: For Landlock: what may be read.
        system_calls: The filter's program; None for none.
    """

    level: str
    limits: dict[str, Any]
    shown: list[str]
    readable: ReadablePaths | None
    system_calls: bytes | None

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Confinement:
        """Prepare all that a child need not do by itself.

        Args:
            settings: The zygote's.
        """
        level, view = settings["level"], settings["view"]
        alone = level == "namespaces"
        own_user = alone or settings["users"] is not None
        return cls(
            level=level,
            limits=settings["limits"],
            shown=view["folders"],
            readable=ReadablePaths(view) if level == "landlock" else None,
            system_calls=None if level == "process" else seccomp.program(alone, own_user),
        )

    def apply(self, place: Place, keep: list[int]) -> int:
        """Put this process behind walls, for good.

        Args:
            place: The user to become, the private folder, the control group to join.
            keep: Descriptors that stay open beside 0, 1 and 2.

        Returns:
            The file that is descriptors 1 and 2 from now on.
        """
        os.setsid()
        place.leaf.join()
        if self.level == "namespaces":
            walls.private_namespaces(self.limits["scratch_bytes"], self.shown)
        os.chdir(place.home)
        captured = _captured()
        ruleset = self._ruleset(place.home)
        counted_apart = self.level == "namespaces" or place.user is not None
        bounds.take(self.limits, counted_apart)
        self._leave_root(place.user)
        if ruleset is not None:
            ruleset.enforce()
        _only_descriptors([*keep, captured])
        if self.system_calls is not None:
            linux.set_filter(self.system_calls)
        return captured

    def _ruleset(self, home: str) -> landlock.Ruleset | None:
        """Landlock's rules, made while the files they name can still be opened."""
        if self.readable is None:
            return None
        rules = landlock.Ruleset(landlock.abi())
        for descriptor in self.readable.readable:
            rules.allow_reading(descriptor)
        for descriptor in self.readable.listable:
            rules.allow_listing(descriptor)
        for descriptor in self.readable.devices:
            rules.allow_everything(descriptor)
        folder = os.open(home, os.O_PATH)
        rules.allow_everything(folder)
        os.close(folder)
        return rules

    def _leave_root(self, user: int | None) -> None:
        """Hold no right that an ordinary program of an ordinary user lacks."""
        if self.level != "process":
            linux.give_up_future_capabilities()
        if user is not None:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        if self.level != "process":
            linux.give_up_capabilities()
            linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.prctl(linux.PR_SET_DUMPABLE, 1)  # else its own /proc/self belongs to root
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)


def _captured() -> int:
    """A nameless file in the working folder, put in place of descriptors 1 and 2."""
    name = ".printed"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600)
    os.unlink(name)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    return descriptor


def _only_descriptors(keep: list[int]) -> None:
    """Close all but 0, 1, 2 and those named."""
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, _MOST_DESCRIPTORS)
