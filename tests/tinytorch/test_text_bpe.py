from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinytorch.data import python_docs
from tinytorch.text import BPETokenizer
from tinytorch.text.bpe_tokenizer import CHUNK
from tinytorch.text.bpe_training import learn_merges

Symbols = list[int]
Pair = tuple[int, int]


def replaced(symbols: Symbols, pair: Pair, merged: int) -> Symbols:
    result: Symbols = []
    while symbols:
        if tuple(symbols[:2]) == pair:
            result, symbols = [*result, merged], symbols[2:]
        else:
            result, symbols = [*result, symbols[0]], symbols[1:]
    return result


def naive_merges(words: list[Symbols], count: int) -> list[Pair]:
    """Count every pair anew for every merge."""
    merges: list[Pair] = []
    for merged in range(256, 256 + count):
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts or max(counts.values()) < 2:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        words = [replaced(word, pair, merged) for word in words]
        merges.append(pair)
    return merges


def naive_encode(text: str, merges: list[Pair]) -> Symbols:
    """Apply every merge in the order in which it was learned."""
    words = [list(chunk.encode("utf-8", "surrogatepass")) for chunk in CHUNK.findall(text)]
    for number, pair in enumerate(merges):
        words = [replaced(word, pair, 256 + number) for word in words]
    return [symbol for word in words for symbol in word]


TEXTS = st.text(alphabet="ab\n ü", max_size=60) | st.text(alphabet=st.characters(), max_size=40)


@given(chunks=st.lists(st.binary(max_size=12) | st.text("ab", max_size=12).map(str.encode)))
@example([b"aaaa", b"aaa"])
@example([b"abab", b"baba", b"aab"])
def test_merges_are_the_naive_ones(chunks: list[bytes]) -> None:
    expected = naive_merges([list(chunk) for chunk in chunks], 12)
    assert learn_merges(Counter(chunks), 12) == expected


@given(TEXTS)
def test_training_on_text_is_the_naive_one(text: str) -> None:
    words = [list(chunk.encode("utf-8", "surrogatepass")) for chunk in CHUNK.findall(text)]
    assert BPETokenizer.train(text, 8).merges == naive_merges(words, 8)


@given(train=TEXTS, text=TEXTS)
def test_encoding_is_the_naive_one_and_comes_back(train: str, text: str) -> None:
    tokenizer = BPETokenizer.train(train, 10)
    ids = tokenizer.encode(text)
    assert ids.tolist() == naive_encode(text, tokenizer.merges)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode(text).tolist() == ids.tolist()


@given(st.text(alphabet=st.characters()))
def test_the_chunks_are_the_whole_text(text: str) -> None:
    assert "".join(CHUNK.findall(text)) == text


@given(st.lists(st.integers(0, 258)))
def test_any_ids_decode_to_some_text(ids: list[int]) -> None:
    tokenizer = BPETokenizer.train("aaa aaa bbb bbb", 3)
    assert isinstance(tokenizer.decode(ids), str)


def test_equally_frequent_pairs_are_joined_smallest_first() -> None:
    merges = learn_merges({b"dc": 2, b"ba": 2, b"ab": 3}, 3)
    assert merges == [tuple(b"ab"), tuple(b"ba"), tuple(b"dc")]


def test_a_real_text_becomes_less_than_half_as_long() -> None:
    docs = python_docs()
    tokenizer = BPETokenizer.train(docs.train, 512)
    ids = tokenizer.encode(docs.validation)
    assert tokenizer.vocab_size == 768
    assert len(ids) < len(docs.validation) / 2
    assert tokenizer.decode(ids) == docs.validation


def test_one_long_chunk_is_no_trouble() -> None:
    text = "ab" * 20_000
    tokenizer = BPETokenizer.train(text, 20)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) < 10


def test_pairs_that_occur_once_are_not_joined() -> None:
    assert BPETokenizer.train("abc", 5).merges == []


def test_a_saved_tokenizer_is_the_same_and_its_file_too(tmp_path: Path) -> None:
    tokenizer = BPETokenizer.train("so much so such", 6)
    tokenizer.save(tmp_path / "a.json")
    BPETokenizer.load(tmp_path / "a.json").save(tmp_path / "b.json")
    assert BPETokenizer.load(tmp_path / "a.json").merges == tokenizer.merges
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"kind": "CharTokenizer"}',
        '{"kind": "BPETokenizer"}',
        '{"kind": "BPETokenizer", "merges": [[1, 2, 3]]}',
        '{"kind": "BPETokenizer", "merges": [["a", "b"]]}',
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=str(path)):
        BPETokenizer.load(path)


@pytest.mark.parametrize("merges", [[(256, 1)], [(-1, 1)], [(1, 2), (1, 2)]])
def test_impossible_merges_are_refused(merges: list[Pair]) -> None:
    with pytest.raises(ValueError, match="merge"):
        BPETokenizer(merges)


def test_ids_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 255"):
        BPETokenizer().decode([256])


def test_a_negative_number_of_merges_is_refused() -> None:
    with pytest.raises(ValueError, match="merges is -1"):
        BPETokenizer.train("text", -1)
