"""Which room may import what: the table of docs/architecture.md as a check."""

import re
import sys
import tomllib
from pathlib import Path

from .imports import imports_of, modules

STANDARD = frozenset(sys.stdlib_module_names)
COMPILED = frozenset({"llvmlite", "numba"})
DASHBOARDS = frozenset({"IPython", "anywidget", "ipywidgets", "plotly", "traitlets"})
TITO = frozenset(
    {
        "IPython",
        "bleach",
        "ipykernel",
        "dateutil",
        "jinja2",
        "jupyter_core",
        "nbclient",
        "nbconvert",
        "nbformat",
        "nbgrader",
        "rich",
        "sqlalchemy",
        "threadpoolctl",
        "traitlets",
        "typer",
    }
)

DISTRIBUTION = {  # where the two names differ
    "IPython": "ipython",
    "dateutil": "python_dateutil",
    "llvmlite": "numba",  # which names the one llvmlite it works with
}


def allowed(module: str) -> frozenset[str]:
    """The top-level packages beside the standard library that a module may import."""
    if module.startswith("tinytorch.dashboards"):
        return DASHBOARDS | {"numpy", "tinytorch"}
    if module.startswith("tinytorch.kernels.compiled"):
        return COMPILED | {"numpy", "tinytorch"}
    if module.startswith("tinytorch"):
        return frozenset({"numpy", "threadpoolctl", "tinytorch"})
    return TITO | {"numpy", "tinytorch", "tito"}


def undeclared_imports(root: Path, packages: list[str]) -> list[str]:
    """Third-party packages that are imported and not named in pyproject.toml.

    They would be there today, because something else needs them, and be gone tomorrow.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in project["dependencies"]}
    imported = {
        each.target.partition(".")[0]
        for package in packages
        for path in modules(root, package).values()
        for each in imports_of(path, root)
    }
    third_party = imported - STANDARD - set(packages)
    return sorted(name for name in third_party if DISTRIBUTION.get(name, name) not in declared)


def wrong_imports(root: Path, package: str) -> list[str]:
    """Every import, also one inside a function, that leaves the room."""
    wrong = []
    for name, path in modules(root, package).items():
        for imported in imports_of(path, root):
            top = imported.target.partition(".")[0]
            if top not in STANDARD and top not in allowed(name):
                wrong.append(f"{path.relative_to(root)}:{imported.line} imports {imported.target}")
    return wrong
