"""The page a student gets back: nbgrader's own template, with nothing in it that acts or loads.

Importing this module imports nbconvert, which takes two seconds.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import DictLoader
from nbconvert.exporters import HTMLExporter
from traitlets import default

from tito.course import CourseError
from tito.grading.safe_html import clean_html, safe_markdown

FILTERS = {"clean_html": clean_html, "markdown2html": safe_markdown}

# nbgrader's template loads MathJax from a public server by this macro. Formulas stay as they were
# typed; in its place, the page tells browsers to run nothing and to ask nobody for anything.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "base-uri 'none'; form-action 'none'"
)
_NO_MATHJAX = (
    "{%- macro mathjax(url='') -%}"
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}" />'
    "{%- endmacro %}"
)


class FeedbackExporter(HTMLExporter):
    """Makes feedback pages; for `tito grade` and, by nbgrader_config.py, for nbgrader."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.sanitize_html = True
        self.filters = {**self.filters, **FILTERS}
        self.extra_loaders = [DictLoader({"mathjax.html.j2": _NO_MATHJAX})]

    @default("template_name")
    def _template_name_default(self) -> str:
        return "feedback"

    @default("default_preprocessors")
    def _only_those_registered(self) -> list[str]:
        return []

    @default("extra_template_basedirs")
    def _basedirs(self) -> list[str]:
        return [str(_formgrader() / "templates")]

    @default("extra_template_paths")
    def _paths(self) -> list[str]:
        styles = _formgrader() / "static" / "node_modules" / "bootstrap" / "dist" / "css"
        return [str(styles)]


def _formgrader() -> Path:
    """nbgrader's folder of templates, found without importing nbgrader."""
    found = find_spec("nbgrader")
    if found is None or found.origin is None:
        raise CourseError("nbgrader is not installed.", "Run `make install`.")
    return Path(found.origin).parent / "server_extensions" / "formgrader"
