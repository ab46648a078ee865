"""The environment variables of a submission: none of the grader's own."""

from __future__ import annotations

_LIBRARIES = ("OPENBLAS", "OMP", "MKL", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA")


def environment(home: str) -> dict[str, str]:
    """All variables that a submission's process has.

    Args:
        home: Its private folder.
    """
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": home,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "NBGRADER_EXECUTION": "autograde",
        "PLOTLY_RENDERER": "plotly_mimetype",  # as in a Jupyter kernel
    }
    for library in _LIBRARIES:
        variables[f"{library}_NUM_THREADS"] = "1"
    return variables
