"""What of a cell's outputs may reach a page: known kinds, in their harmless form.

A graded notebook keeps outputs as the student's code made them. Before one is shown, everything
that is not text, a table or a picture gives way to its plain text.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from tito.grading.safe_html import clean_html

Output = dict[str, Any]

_PICTURES = ("image/png", "image/jpeg")
_TEXTS = ("text/plain", "text/markdown", "text/latex")
_COLOR = r"\x1b\[[0-9;]{0,40}m"
# An escape sequence that is no colour, or a control character: cursor moves, titles, links
_CONTROL = re.compile(
    rf"(?P<color>{_COLOR})|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|\Z)|\x1b\[[^@-~]*[@-~]?"
    r"|\x1b.?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]",
    re.S,
)
_ACTIVE_SVG = re.compile(
    r"<\s*(script|foreignobject|iframe|embed|object|use|image|style|a|set|animate\w*)\b|\bon\w+\s*="
    r"|javascript:|<!entity|url\(\s*['\"]?(?!#)",
    re.I,
)
_BY_SCRIPT = re.compile(r"<\s*(script|iframe)\b", re.I)


def make_safe(notebook: Any) -> None:
    """Bring all outputs of a notebook into a form that may be shown.

    Args:
        notebook: As dictionaries; it is changed.
    """
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        cell.pop("attachments", None)
        cell["source"] = _encodable(_joined(cell.get("source")) or "")
        if cell["cell_type"] != "code":
            continue
        cell["execution_count"] = _count(cell.get("execution_count"))
        cell["outputs"] = [safe for each in cell["outputs"] if (safe := safe_output(each))]


def safe_output(output: Output) -> Output | None:
    """An output as it may be shown; None for a kind that shows nothing."""
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": kind, "name": name, "text": safe_text(output.get("text"))}
    if kind == "error":
        lines = output.get("traceback")
        return {
            "output_type": kind,
            "ename": safe_text(output.get("ename")),
            "evalue": safe_text(output.get("evalue")),
            "traceback": [safe_text(line) for line in lines] if isinstance(lines, list) else [],
        }
    if kind not in ("display_data", "execute_result"):
        return None
    given, metadata = output.get("data"), output.get("metadata")
    data = _safe_data(given if isinstance(given, dict) else {})
    safe: Output = {
        "output_type": kind,
        "data": data,
        "metadata": _sizes(metadata if isinstance(metadata, dict) else {}, data),
    }
    if kind == "execute_result":
        safe["execution_count"] = _count(output.get("execution_count"))
    return safe


def safe_text(value: object) -> str:
    """Text with colours, tabs and line ends as its only controls."""
    text = _encodable(_joined(value) or "")
    lines = text.replace("\r\n", "\n")
    return _CONTROL.sub(lambda found: found["color"] or "", lines)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _safe_data(given: dict[str, Any]) -> dict[str, str]:
    """The forms of one output that may be shown; a sentence when none may."""
    data: dict[str, str] = {}
    for kind in _PICTURES:
        picture = _base64(given.get(kind))
        if picture:
            data[kind] = picture
    for kind in _TEXTS:
        if (text := _joined(given.get(kind))) is not None:
            data[kind] = safe_text(text)
    drawing = _joined(given.get("image/svg+xml"))
    if drawing is not None and not _ACTIVE_SVG.search(drawing):
        data["image/svg+xml"] = _encodable(drawing)
    page = _joined(given.get("text/html"))
    # what a script draws is nothing without it: another form says more
    if page is not None and not (data and _BY_SCRIPT.search(page)):
        data["text/html"] = clean_html(_encodable(page))
    if not data and given:
        kinds = ", ".join(sorted(safe_text(kind) for kind in given))[:200]
        data["text/plain"] = f"[an output of kind {kinds}, which is not shown here]"
    return data


def _encodable(text: str) -> str:
    """A text without halves of characters, which JSON can hold and no file can."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _joined(value: object) -> str | None:
    """A text that nbformat may have stored as a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else None


def _base64(value: object) -> str | None:
    text = _joined(value)
    if text is None:
        return None
    try:
        return base64.b64encode(base64.b64decode("".join(text.split()), validate=True)).decode()
    except (binascii.Error, ValueError):
        return None


def _sizes(metadata: dict[str, Any], data: dict[str, str]) -> dict[str, Any]:
    """Of an output's metadata, the width and height of pictures; others name files and frames."""
    kept: dict[str, Any] = {}
    for kind in _PICTURES:
        given = metadata.get(kind)
        if kind in data and isinstance(given, dict):
            sizes = {
                name: given[name]
                for name in ("width", "height")
                if type(given.get(name)) in (int, float)
            }
            if sizes:
                kept[kind] = sizes
    return kept
