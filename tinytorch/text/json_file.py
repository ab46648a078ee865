"""Tokenizers as JSON files."""

import json
from pathlib import Path
from typing import Any

from tinytorch.whole_file import write_whole


def write_json(path: str | Path, fields: dict[str, Any]) -> None:
    """Write the fields; equal fields give equal bytes."""
    write_whole(path, (json.dumps(fields, indent=1) + "\n").encode("ascii"))


def read_json(path: str | Path, kind: str) -> dict[str, Any]:
    """Read fields whose `kind` is the given one.

    Raises:
        ValueError: not JSON, or of another kind.
    """
    try:
        fields = json.loads(Path(path).read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}); a {kind} is needed") from error
    if not isinstance(fields, dict) or fields.get("kind") != kind:
        raise ValueError(f"{path} holds no {kind}; write one with {kind}.save()")
    return fields
