"""What of a student's HTML and Markdown may reach the page in which somebody reads it."""

from __future__ import annotations

import re
from functools import lru_cache

from bleach import clean  # type: ignore[import-untyped]

_TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "div", "dl", "dt"),
    *("em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p", "pre"),
    *("s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th"),
    *("thead", "tr", "u", "ul"),
}
_ATTRIBUTES = {
    "*": ["title"],
    "a": ["href"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan", "align"],
    "th": ["colspan", "rowspan", "align", "scope"],
    **{f"h{level}": ["id"] for level in range(1, 7)},
}
_PICTURES = ("data:image/png;", "data:image/jpeg;", "data:image/gif;")
# Of tables and highlighted code. Another class could lay a box over the page, marks and all.
_CLASSES = re.compile(r"dataframe|anchor-link|highlight( hl-[a-z0-9]+)?")
_TOKEN_CLASSES = re.compile(r"[a-z][a-z0-9]{0,2}")
# Their content is no text; bleach, which is the wall, would escape and so show it.
_SILENT = re.compile(
    r"<(script|style|iframe|svg|math|template|noscript)\b.*?(</\1\s*>|\Z)", re.S | re.I
)


def clean_html(element: str | bytes) -> str:
    """Keep words, tables and pictures; drop or escape scripts, styles, frames and forms.

    Takes the place of nbconvert's filter of this name, which escapes paragraphs and headings too.
    """
    return _cleaned(element.decode() if isinstance(element, bytes) else str(element))


def safe_markdown(source: str) -> str:
    """Markdown as clean HTML; takes the place of nbconvert's `markdown2html`."""
    return _rendered(str(source))


@lru_cache(maxsize=1024)  # the lesson's own cells are the same on every page
def _rendered(source: str) -> str:
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    return _cleaned(str(MarkdownWithMath(renderer=IPythonRenderer(escape=False)).render(source)))


@lru_cache(maxsize=1024)
def _cleaned(text: str) -> str:
    protocols = ["http", "https", "mailto", "data"]
    words = _SILENT.sub("", text)
    return str(clean(words, tags=_TAGS, attributes=_attribute_allowed, protocols=protocols))


def _attribute_allowed(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return tag == "img" and value.startswith(_PICTURES)
    if name == "href" and value.strip().lower().startswith("data:"):
        return False
    if name == "class":
        pattern = _TOKEN_CLASSES if tag == "span" else _CLASSES
        return pattern.fullmatch(value) is not None
    return name in _ATTRIBUTES["*"] or name in _ATTRIBUTES.get(tag, [])
