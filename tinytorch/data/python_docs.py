"""Text to learn a language model from: the help texts that come with every Python interpreter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pydoc_data.topics import topics

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytorch.text import CharTokenizer

VOCABULARY = "\n" + "".join(chr(code) for code in range(32, 127))
"""The 96 characters of the corpus: the new line and printable ASCII."""

PLAIN_FORMS = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "--",
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "\t": "    ",
    }
)
UNKNOWN = "?"
VALIDATION_PARTS = 10
"""One topic of so many, chosen by a hash of its name, is kept for validation."""


@dataclass(frozen=True)
class PythonDocs:
    """Python's help topics in plain ASCII, whole topics either for training or for validation.

    Attributes:
        train, validation: the texts.
        fingerprint: changes with the text, which differs a little between versions of Python.
        tokenizer: one id a character; the same 96 characters in every version.
    """

    train: str
    validation: str
    fingerprint: str
    tokenizer: CharTokenizer

    def encode(self, text: str) -> NDArray[np.int64]:
        """Ids (N,) of the characters of `text`; what is not in the vocabulary becomes `?`."""
        return self.tokenizer.encode(text)

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids (N,)."""
        return self.tokenizer.decode(ids)


@lru_cache(maxsize=1)
def python_docs() -> PythonDocs:
    """Read the help topics of this interpreter (`help("if")` prints one of them).

    A paragraph that stands in several topics is kept in the first only, so that no validation text
    was seen in training.

    Source: the Python Language Reference, Python Software Foundation, as packed in
        `pydoc_data.topics` of the interpreter (PSF licence); it is read there and not copied here.
    """
    parts: dict[bool, list[str]] = {False: [], True: []}
    for name, text in without_repeats({name: plain(topics[name]) for name in sorted(topics)}):
        parts[is_validation(name)].append(text)
    train, validation = "\n\n".join(parts[False]), "\n\n".join(parts[True])
    digest = hashlib.sha256(f"{train}\0{validation}".encode("ascii")).hexdigest()
    return PythonDocs(train, validation, digest[:16], CharTokenizer(VOCABULARY, unknown=UNKNOWN))


def plain(text: str) -> str:
    """`text` in the characters of the vocabulary: typographic signs in ASCII, others as `?`."""
    ascii_text = text.translate(PLAIN_FORMS)
    return "".join(character if character in VOCABULARY else UNKNOWN for character in ascii_text)


def without_repeats(texts: dict[str, str]) -> list[tuple[str, str]]:
    """The texts by name, each paragraph only where it comes first; texts left empty are dropped."""
    seen: set[str] = set()
    kept_texts = []
    for name, text in texts.items():
        kept = []
        for paragraph in text.split("\n\n"):
            words = paragraph.strip()
            if words and words not in seen:
                seen.add(words)
                kept.append(paragraph.strip("\n").rstrip())
        if kept:
            kept_texts.append((name, "\n\n".join(kept)))
    return kept_texts


def is_validation(topic: str) -> bool:
    """Whether a topic is for validation: by its name alone, so other topics change nothing."""
    return int(hashlib.sha256(topic.encode()).hexdigest(), 16) % VALIDATION_PARTS == 0
