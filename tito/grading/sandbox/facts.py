"""What this machine offers for isolation, in words: `tito doctor` shows it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tito.grading.inside import landlock, seccomp
from tito.grading.sandbox.cgroups import hierarchies
from tito.grading.sandbox.levels import Level, why_not

_KERNEL = Path("/proc/sys")
_CONTAINER = "in a container, start it with the right to make namespaces and mounts"
_FORBIDDING = (  # file below /proc/sys, the value that forbids, what to do
    ("user/max_user_namespaces", "0", "`sysctl user.max_user_namespaces=15000`"),
    ("kernel/unprivileged_userns_clone", "0", "`sysctl kernel.unprivileged_userns_clone=1`"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "`sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
)


@dataclass(frozen=True)
class Fact:
    """One thing found out.

    Attributes:
        subject: What it is about.
        good: Whether nothing is missing.
        found: What was found.
        meaning: What a lack means.
        fix: What to do about it.
    """

    subject: str
    good: bool
    found: str
    meaning: str = ""
    fix: str = ""


def facts() -> Iterator[Fact]:
    """Try each part; the level that grading would use comes first."""
    yield _level()
    parts: tuple[Callable[[], Fact], ...] = (
        _user_namespaces,
        _landlock,
        _seccomp,
        _groups,
        _user,
        _cpu_clock,
    )
    for part in parts:
        yield part()


def _level() -> Fact:
    refused = {level: why_not(level) for level in Level}
    if refused[Level.NAMESPACES] is None:
        return Fact("isolation", True, "grading uses namespaces, the strongest level")
    why = f"namespaces do not work here: {refused[Level.NAMESPACES]}"
    fix = " Or: ".join([*_allowing(), _CONTAINER]) + "."
    if refused[Level.LANDLOCK] is None:
        meaning = "Submissions are graded behind weaker walls: docs/sandbox.md says what they lack."
        return Fact("isolation", False, f"grading uses landlock; {why}", meaning, fix)
    found = f"no walls: {why}; landlock does not either: {refused[Level.LANDLOCK]}"
    meaning = "Submissions of others are not graded here; everything else works."
    return Fact("isolation", False, found, meaning, fix)


def _user_namespaces() -> Fact:
    if os.geteuid() == 0:
        return Fact("user namespaces", True, "not needed: this is root")
    fixes = _allowing()
    if not (_KERNEL / "user").exists():
        return Fact(
            "user namespaces",
            False,
            "this Linux has none",
            "An ordinary user cannot build the strongest walls.",
            "Use a kernel with CONFIG_USER_NS, or grade as root.",
        )
    if fixes:
        meaning = "An ordinary user cannot build the strongest walls."
        return Fact("user namespaces", False, "switched off", meaning, " and ".join(fixes) + ".")
    return Fact("user namespaces", True, "allowed for ordinary users")


def _allowing() -> list[str]:
    """Commands that switch on what is switched off."""
    found = []
    for file, forbids, command in _FORBIDDING:
        path = _KERNEL / file
        if path.exists() and path.read_text(encoding="ascii").strip() == forbids:
            found.append(command)
    return found


def _landlock() -> Fact:
    version = landlock.abi()
    if version == 0:
        return Fact(
            "Landlock",
            False,
            "not there",
            "It is what is left where namespaces do not work.",
            "Use Linux 5.13 or newer and put `landlock` into its `lsm=` list.",
        )
    if not landlock.holds_signals():
        found = f"version {version}, which does not hold signals back"
        meaning = "Without namespaces, only root can grade the work of others."
        return Fact("Landlock", False, found, meaning, "Use Linux 6.12 or newer, or namespaces.")
    return Fact("Landlock", True, f"version {version}")


def _seccomp() -> Fact:
    machine = platform.machine()
    there = (_KERNEL / "kernel" / "seccomp").exists()
    if seccomp.supported() and there:
        return Fact("seccomp", True, f"system calls are filtered ({machine})")
    found = f"no filter for {machine}" if there else "this Linux cannot filter system calls"
    meaning = "Submissions of others are not graded here; everything else works."
    return Fact("seccomp", False, found, meaning, "Grade on x86-64 or aarch64 with seccomp.")


def _groups() -> Fact:
    usable = hierarchies()
    controllers = {name for each in usable for name in each.controllers}
    said = ", ".join(f"version {each.version}: {'+'.join(each.controllers)}" for each in usable)
    if controllers >= {"memory", "pids"}:
        return Fact("control groups", True, said)
    return Fact(
        "control groups",
        False,
        said or "none that this user may write to",
        "Memory is bounded for each process, and not for all of a submission's together.",
        "Grade as root, or as a service with `Delegate=yes`: "
        "`systemd-run --user --scope -p Delegate=yes tito grade`.",
    )


def _user() -> Fact:
    if os.geteuid() == 0:
        return Fact("users", True, "each submission becomes a user of its own")
    return Fact("users", True, "submissions run as this user, behind walls; root is not needed")


def _cpu_clock() -> Fact:
    """Speed is judged by CPU time that is read from outside."""
    try:
        time.clock_gettime_ns((~os.getppid() << 3) | 2)
        step_ns = time.clock_getres(time.CLOCK_PROCESS_CPUTIME_ID) * 1e9
    except OSError as error:
        meaning = "Speed cannot be judged here; all other marks can."
        fix = "Grade on Linux, outside of a tracer."
        return Fact("CPU clock", False, f"not readable: {error.strerror}", meaning, fix)
    return Fact("CPU clock", True, f"of other processes is readable, in steps of {step_ns:.0f} ns")
