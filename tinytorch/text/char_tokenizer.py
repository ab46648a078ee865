"""One number a character."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytorch.text.json_file import read_json, write_json


class CharTokenizer:
    """One id a character: its place in the vocabulary.

    Args:
        vocabulary: the characters, each once.
        unknown: the character of the vocabulary that stands for all others; None: they are errors.

    Raises:
        ValueError: a character twice, an empty vocabulary, or `unknown` outside it.

    Example:
        >>> CharTokenizer("abc").encode("cab").tolist()
        [2, 0, 1]
    """

    def __init__(self, vocabulary: str, unknown: str | None = None) -> None:
        if not vocabulary or len(set(vocabulary)) != len(vocabulary):
            raise ValueError(
                f"the vocabulary {vocabulary!r} must have at least one character, each only once; "
                "CharTokenizer.from_text() makes one from a text"
            )
        if unknown is not None and (len(unknown) != 1 or unknown not in vocabulary):
            raise ValueError(
                f"unknown={unknown!r} must be one character of the vocabulary, or None"
            )
        self.vocabulary = vocabulary
        self.unknown = unknown
        codes = _code_points(vocabulary)  # (V,)
        self._ids = np.argsort(codes)  # (V,): the ids in the order of their code points
        self._codes = codes[self._ids]  # (V,), ascending

    @classmethod
    def from_text(cls, text: str, unknown: str | None = None) -> CharTokenizer:
        """A vocabulary of the characters of `text` (and `unknown`), in code point order."""
        return cls("".join(sorted(set(text) | set(unknown or ""))), unknown)

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self.vocabulary)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Ids (N,) of the N characters of `text`.

        Raises:
            ValueError: a character that is not in the vocabulary, when `unknown` is None.
        """
        codes = _code_points(text)  # (N,)
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        ids: NDArray[np.int64] = self._ids[places]
        is_known = self._codes[places] == codes
        if not is_known.all():
            if self.unknown is None:
                place = int(np.argmin(is_known))
                raise ValueError(
                    f"character {text[place]!r} at place {place} is not in the vocabulary of "
                    f"{self.vocab_size}; build the tokenizer from a text that has it, or give "
                    "unknown="
                )
            ids[~is_known] = self.vocabulary.index(self.unknown)
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids (N,).

        Raises:
            ValueError: an id outside 0 ... vocab_size - 1.
        """
        return "".join([self.vocabulary[i] for i in checked_ids(ids, self.vocab_size)])

    def save(self, path: str | Path) -> None:
        """Write this tokenizer as JSON."""
        fields = {"vocabulary": self.vocabulary, "unknown": self.unknown}
        write_json(path, {"kind": "CharTokenizer", **fields})

    @classmethod
    def load(cls, path: str | Path) -> CharTokenizer:
        """Read what `save` wrote."""
        fields = read_json(path, "CharTokenizer")
        vocabulary, unknown = fields.get("vocabulary"), fields.get("unknown")
        if not isinstance(vocabulary, str) or not (unknown is None or isinstance(unknown, str)):
            raise ValueError(f"{path} has no vocabulary; write it again with CharTokenizer.save()")
        return cls(vocabulary, unknown)


def checked_ids(ids: ArrayLike, vocab_size: int) -> list[int]:
    """Ids (N,) as a list, each made sure to be in 0 ... vocab_size - 1."""
    array = np.asarray(ids)
    if array.size == 0:
        return []
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"decode needs whole numbers (N,), got {array.dtype} of shape {array.shape}; "
            "decode the rows of a batch one by one"
        )
    if array.min() < 0 or array.max() >= vocab_size:
        raise ValueError(
            f"ids go from {array.min()} to {array.max()}; this tokenizer has 0 to {vocab_size - 1}"
        )
    checked: list[int] = array.tolist()
    return checked


def _code_points(text: str) -> NDArray[np.uint32]:
    """Unicode code points (N,); lone surrogates are characters like others."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
