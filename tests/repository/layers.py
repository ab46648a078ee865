"""Which room may import what: the table of docs/architecture.md as a check."""

import sys
from pathlib import Path

from .imports import imports_of, modules

STANDARD = frozenset(sys.stdlib_module_names)
DASHBOARDS = frozenset({"IPython", "anywidget", "ipywidgets", "plotly", "traitlets"})
TITO = frozenset(
    {
        "IPython",
        "jupyter_client",
        "jupyter_core",
        "nbclient",
        "nbconvert",
        "nbformat",
        "nbgrader",
        "jupytext",
        "rich",
        "sqlalchemy",
        "traitlets",
        "typer",
    }
)


def allowed(module: str) -> frozenset[str]:
    """The top-level packages beside the standard library that a module may import."""
    if module.startswith("tinytorch.dashboards"):
        return DASHBOARDS | {"numpy", "tinytorch"}
    if module.startswith("tinytorch"):
        return frozenset({"numpy", "threadpoolctl", "tinytorch"})
    return TITO | {"numpy", "tinytorch", "tito"}


def wrong_imports(root: Path, package: str) -> list[str]:
    """Every import, also one inside a function, that leaves the room."""
    wrong = []
    for name, path in modules(root, package).items():
        for imported in imports_of(path, root):
            top = imported.target.partition(".")[0]
            if top not in STANDARD and top not in allowed(name):
                wrong.append(f"{path.relative_to(root)}:{imported.line} imports {imported.target}")
    return wrong
