"""An error of the measured code, as the dashboard says it."""

from __future__ import annotations

import traceback
from html import escape


def error_in_words(error: Exception, setting: str) -> str:
    """Return what was measured, what was raised, and in which line."""
    place = ""
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        place = f" in {frames[-1].name}, line {frames[-1].lineno}"
    return f"Measuring {setting} raised {type(error).__name__}{place}: {error}"


def error_as_html(error: Exception, words: str, *, charts_are_older: bool) -> str:
    """Return `words` with the traceback folded below them."""
    trace = "".join(traceback.format_exception(error))
    older = (
        "<br>The charts show the last setting that could be measured." if charts_are_older else ""
    )
    return (
        f'<div class="tinytorch-error"><b>{escape(words)}</b>{older}'
        f"<details><summary>Traceback</summary><pre>{escape(trace)}</pre></details></div>"
    )
