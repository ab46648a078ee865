"""Byte-level byte-pair encoding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytorch.text.bpe_training import BYTE_VALUES, Pair, learn_merges
from tinytorch.text.char_tokenizer import checked_ids
from tinytorch.text.json_file import read_json, write_json

CHUNK = re.compile(r" ?\w+| ?[^\s\w]+|\s+(?!\S)|\s+")
"""A word or a run of signs, with the space before it, or white space. No merge crosses chunks."""

LONGEST_REMEMBERED_CHUNK = 64
MOST_REMEMBERED_CHUNKS = 50_000


class BPETokenizer:
    """Ids 0 to 255 are the bytes of UTF-8; id 256 + i is the pair of ids of merge i.

    Every text can be encoded, and decoding gives it back exactly.

    Args:
        merges: pairs of ids, each of smaller ids than its own; `train` finds them.

    Raises:
        ValueError: a merge of an id that does not exist yet, or a pair twice.

    Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units",
        arXiv:1508.07909; on bytes: Radford et al., "Language Models are Unsupervised Multitask
        Learners", 2019.

    Example:
        >>> tokenizer = BPETokenizer.train("low lower lowest", merges=2)
        >>> tokenizer.decode(tokenizer.encode("slow"))
        'slow'
    """

    def __init__(self, merges: Sequence[Pair] = ()) -> None:
        self.merges = [(int(left), int(right)) for left, right in merges]
        self._ranks: dict[Pair, int] = {}
        self._bytes = [bytes([value]) for value in range(BYTE_VALUES)]
        for number, (left, right) in enumerate(self.merges):
            if min(left, right) < 0 or max(left, right) >= BYTE_VALUES + number:
                raise ValueError(
                    f"merge {number} joins {left} and {right}; only the ids 0 to "
                    f"{BYTE_VALUES + number - 1} exist before it"
                )
            if (left, right) in self._ranks:
                raise ValueError(
                    f"merges {self._ranks[left, right]} and {number} are the same pair"
                )
            self._ranks[left, right] = number
            self._bytes.append(self._bytes[left] + self._bytes[right])
        self._remembered: dict[str, list[int]] = {}

    @classmethod
    def train(cls, text: str, merges: int) -> BPETokenizer:
        """Learn from a text: join the most frequent pair, `merges` times.

        Of pairs that are equally frequent the one with the smaller ids is joined. Pairs that occur
        once are not, so there may be fewer merges.
        """
        if merges < 0:
            raise ValueError(f"merges is {merges}; it must be 0 or more")
        chunks = Counter(CHUNK.findall(text))
        return cls(learn_merges({to_bytes(chunk): n for chunk, n in chunks.items()}, merges))

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return len(self._bytes)

    def encode(self, text: str) -> NDArray[np.int64]:
        """Ids (N,) of `text`."""
        ids: list[int] = []
        for chunk in CHUNK.findall(text):
            ids += self._encode_chunk(chunk)
        return np.array(ids, dtype=np.int64)

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids (N,); bytes that are no UTF-8 (a character cut in two) become U+FFFD.

        Raises:
            ValueError: an id outside 0 ... vocab_size - 1.
        """
        content = b"".join([self._bytes[i] for i in checked_ids(ids, self.vocab_size)])
        try:
            return content.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return content.decode("utf-8", "replace")

    def save(self, path: str | Path) -> None:
        """Write this tokenizer as JSON."""
        write_json(path, {"kind": "BPETokenizer", "merges": self.merges})

    @classmethod
    def load(cls, path: str | Path) -> BPETokenizer:
        """Read what `save` wrote."""
        merges = read_json(path, "BPETokenizer").get("merges")
        if not isinstance(merges, list) or not all(map(_is_pair, merges)):
            raise ValueError(
                f"{path} has no list of merges; write it again with BPETokenizer.save()"
            )
        return cls(merges)

    def _encode_chunk(self, chunk: str) -> list[int]:
        known = self._remembered.get(chunk)
        if known is not None:
            return known
        ids, unranked = list(to_bytes(chunk)), len(self.merges)
        while len(ids) > 1:
            rank = min(self._ranks.get(pair, unranked) for pair in pairwise(ids))
            if rank == unranked:
                break
            ids = joined(ids, self.merges[rank], BYTE_VALUES + rank)
        if (
            len(chunk) <= LONGEST_REMEMBERED_CHUNK
            and len(self._remembered) < MOST_REMEMBERED_CHUNKS
        ):
            self._remembered[chunk] = ids
        return ids


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and [type(member) for member in value] == [int, int]


def joined(ids: list[int], pair: Pair, merged: int) -> list[int]:
    """`ids` with each `pair`, from left to right, replaced by `merged`."""
    result: list[int] = []
    place = 0
    while place < len(ids):
        if ids[place] == pair[0] and ids[place + 1 : place + 2] == [pair[1]]:
            result.append(merged)
            place += 2
        else:
            result.append(ids[place])
            place += 1
    return result


def to_bytes(text: str) -> bytes:
    """UTF-8, in which a lone surrogate is kept as if it were a character."""
    return text.encode("utf-8", "surrogatepass")
