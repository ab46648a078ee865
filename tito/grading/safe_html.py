"""What of a student's HTML may reach the page in which a teacher reads it."""

from __future__ import annotations

from bleach import clean  # type: ignore[import-untyped]

_TAGS = {
    *("a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "div", "dl", "dt"),
    *("em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p", "pre"),
    *("s", "small", "span", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th"),
    *("thead", "tr", "u", "ul"),
}
_ATTRIBUTES = {
    "*": ["class", "id", "title"],
    "a": ["href"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan", "align"],
    "th": ["colspan", "rowspan", "align", "scope"],
}


def clean_html(element: str | bytes) -> str:
    """Keep words, tables and pictures; escape scripts, styles, frames and forms.

    Takes the place of nbconvert's filter of this name, which escapes paragraphs and headings too.
    """
    text = element.decode() if isinstance(element, bytes) else str(element)
    protocols = ["http", "https", "mailto", "data"]
    return str(clean(text, tags=_TAGS, attributes=_attribute_allowed, protocols=protocols))


def _attribute_allowed(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return value.startswith(("data:image/png;", "data:image/jpeg;", "data:image/gif;"))
    if name == "href" and value.strip().lower().startswith("data:"):
        return False
    return name in _ATTRIBUTES["*"] or name in _ATTRIBUTES.get(tag, [])
