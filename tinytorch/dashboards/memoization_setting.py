"""How a text is generated."""

from __future__ import annotations

from typing import NamedTuple


class MemoizationSetting(NamedTuple):
    """What the controls of the memoization dashboard say."""

    cached: bool
    window: int | None
    kv_heads: int
    length: int

    def in_words(self) -> str:
        """Return the setting as a legend names it."""
        cache = "no cache" if not self.cached else "cache"
        window = f", window {self.window}" if self.window is not None else ""
        heads = f"{self.kv_heads} KV head{'s' if self.kv_heads != 1 else ''}"
        return f"{cache}{window}, {heads}, length {self.length}"
