"""What in a feedback page would act when a teacher opens it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_ACTING = {"script", "iframe", "object", "embed", "form", "meta", "base", "link", "style", "svg"}
_ADDRESSES = {"href", "src", "xlink:href", "action", "formaction", "data", "srcdoc", "background"}


class _Page(HTMLParser):
    def __init__(self, token: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._token = token
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        words = {name: value or "" for name, value in attrs}
        if tag in _ACTING and any(self._token in value for value in words.values()):
            self.found.append(f"<{tag}> with the attacker's attributes")
        for name, value in words.items():
            if self._token not in value:
                continue
            flat = re.sub(r"[\s\x00-\x20]", "", value).lower()
            if name.startswith("on"):
                self.found.append(f"{name}= on <{tag}>")
            if name in _ADDRESSES and flat.startswith(("javascript:", "data:text", "vbscript:")):
                self.found.append(f"{name}={value[:40]!r} on <{tag}>")
            if name in ("src", "background") and flat.startswith(("http:", "https:", "//")):
                self.found.append(f"a picture from elsewhere on <{tag}>")
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if self._inside and self._token in data:
            self.found.append(f"the attacker's text inside <{self._inside[-1]}>")


def acting(page: str, token: str) -> list[str]:
    """What of an attacker's marked text would act in a page.

    Args:
        page: HTML.
        token: The mark that all the attacker's scripts and addresses carry.
    """
    parser = _Page(token)
    parser.feed(page)
    parser.close()
    return parser.found
