"""What a submission sees of the disk: the system's programs, the interpreter, the given tree."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

INSIDE = Path(__file__).resolve().parents[1] / "inside"
_COURSE = Path(__file__).resolve().parents[3]
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_SETTINGS = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives")
_WITHHELD = ("tinytorch", "tito")  # installed copies hold what students are asked to write


@dataclass(frozen=True)
class View:
    """What can be read, and from where modules are imported.

    Attributes:
        folders: Folders and files that can be read, outer ones first.
        links: Symbolic links and what they point to.
        hidden: Folders below `folders` that look empty.
        path: What to put before the standard library on `sys.path`, and after it.
    """

    folders: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    hidden: tuple[str, ...]
    path: tuple[tuple[str, ...], tuple[str, ...]]


def view_of(given: Path) -> View:
    """The view for a given tree.

    Args:
        given: The folder that holds the packages a submission may import.
    """
    packages = _package_folders()
    system = [path for path in (*_SYSTEM, *_SETTINGS) if os.path.exists(path)]
    real = [path for path in system if not os.path.islink(path)]
    own = [*_interpreter(), *packages, str(given), str(INSIDE)]
    return View(
        folders=tuple(_outermost([*real, *own])),
        links=tuple((path, os.readlink(path)) for path in system if os.path.islink(path)),
        hidden=tuple(copies(packages)),
        path=((str(given), str(INSIDE)), tuple(packages)),
    )


def copies(packages: list[str]) -> list[str]:
    """Installed copies of the course's packages."""
    places = [os.path.join(folder, name) for folder in packages for name in _WITHHELD]
    return [place for place in places if os.path.isdir(place)]


def course_in_view() -> str | None:
    """The folder through which every submission would see the course; None when there is none."""
    if not (_COURSE / "modules").is_dir():
        return None
    places = [*_SYSTEM, *_interpreter(), *_package_folders()]
    return next((place for place in places if _COURSE.is_relative_to(place)), None)


def _package_folders() -> list[str]:
    """Where installed packages are imported from."""
    names = ("site-packages", "dist-packages")
    found = [entry for entry in sys.path if os.path.basename(entry) in names]
    return [entry for entry in dict.fromkeys(found) if os.path.isdir(entry)]


def _interpreter() -> list[str]:
    """The folders of this Python, under every name that leads to them."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    return sorted(found | {os.path.realpath(folder) for folder in found})


def _outermost(paths: list[str]) -> list[str]:
    """Paths without those that lie below another one."""
    ordered = sorted(dict.fromkeys(paths))
    below = {p for p in ordered for other in ordered if p.startswith(other.rstrip("/") + "/")}
    return [path for path in ordered if path not in below]
