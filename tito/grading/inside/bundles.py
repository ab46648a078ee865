"""What a cell displays, as plain data: the content of Jupyter's display messages."""

from __future__ import annotations

import base64
import json
from typing import Any

_LIVE_WIDGET = "application/vnd.jupyter.widget-view+json"  # nobody is there to draw it
_LARGEST = 16 << 20  # characters; the grader keeps less


def bundle(data: Any, metadata: Any) -> dict[str, Any]:
    """The `data` and `metadata` of a message, made of plain values only.

    Args:
        data: MIME types and their values; bytes become base64 text.
        metadata: What IPython says about them.
    """
    shown = {str(kind): plain(value) for kind, value in dict(data).items() if kind != _LIVE_WIDGET}
    size = sum(len(value) if type(value) is str else 0 for value in shown.values())
    if size > _LARGEST:
        shown = {"text/plain": f"[an output of {size:,} characters was left out]"}
    return {"data": shown, "metadata": plain(dict(metadata or {}))}


def plain(value: Any) -> Any:
    """A value as JSON would give it back; what JSON has no form for becomes text."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, str):
        return "".join([value[:0], value])  # never a subclass
    return json.loads(json.dumps(value, default=_as_text))


def _as_text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    return str(value)
