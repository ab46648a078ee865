"""Taking files apart into the stretches of text a person, or a script, can read in them."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

_TAG = re.compile(r"<[^>]*>")
_SCRIPT = re.compile(r"(?is)<(script|style)\b[^>]*>(.*?)</\1>")
_PAGES = (".html", ".htm", ".svg", ".xml")
_ARCHIVES = (".zip", ".whl", ".npz")
_NOTEBOOKS = (".ipynb", ".json")
_SKIPPED_PARTS = {"__pycache__", ".ipynb_checkpoints", ".git", "node_modules"}


def files_under(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file below a folder, sorted."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_file() and not _SKIPPED_PARTS.intersection(path.parts):
            yield f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def pieces(name: str, content: bytes) -> Iterator[str]:
    """The readable stretches of a file: a notebook's strings, a page's text, an archive's files."""
    ending = Path(name).suffix.lower()
    if ending in _ARCHIVES:
        yield from _archived(content)
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return  # an image or other binary data
    if ending in _NOTEBOOKS:
        try:
            yield from _strings(json.loads(text))
            return
        except (json.JSONDecodeError, RecursionError):
            pass  # read it as plain text below
    if ending in _PAGES:
        yield from (_unescaped(script[1]) for script in _SCRIPT.findall(text))
        text = html.unescape(_TAG.sub("", _SCRIPT.sub("", text)))
    yield text
    if "\\n" in text:  # code inside a string, as in a page's search index
        yield _unescaped(text)


def _archived(content: bytes) -> Iterator[str]:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from pieces(member, archive.read(member))
    except zipfile.BadZipFile:
        return


def _strings(value: Any) -> Iterator[str]:
    """Every string in parsed JSON; lists of strings, as sources are stored, as one."""
    if isinstance(value, str):
        yield value
        if "<" in value:  # an HTML output
            yield html.unescape(_TAG.sub("", value))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield from _strings("".join(value))
        else:
            for item in value:
                yield from _strings(item)


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace('\\"', '"').replace("\\t", "\t")
