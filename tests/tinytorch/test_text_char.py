from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.text import CharTokenizer, bigram_loss


@given(st.text(alphabet=st.characters(), min_size=1))
def test_a_text_comes_back_from_its_ids(text: str) -> None:
    tokenizer = CharTokenizer.from_text(text)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert len(ids) == len(text)
    assert tokenizer.decode(ids) == text
    assert ids.tolist() == [tokenizer.vocabulary.index(character) for character in text]


@given(st.text())
def test_unknown_characters_become_the_chosen_one(text: str) -> None:
    tokenizer = CharTokenizer("xyz?", unknown="?")
    expected = "".join(character if character in "xyz?" else "?" for character in text)
    assert tokenizer.decode(tokenizer.encode(text)) == expected


def test_unknown_characters_are_an_error_without_a_choice() -> None:
    with pytest.raises(ValueError, match="'d' at place 1"):
        CharTokenizer("abc").encode("adc")


def test_ids_are_places_in_the_vocabulary_whatever_its_order() -> None:
    assert CharTokenizer("zaq").encode("qaz").tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("vocabulary", "unknown"), [("", None), ("aba", None), ("abc", "d"), ("abc", "ab")]
)
def test_bad_vocabularies_are_refused(vocabulary: str, unknown: str | None) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        CharTokenizer(vocabulary, unknown)


@pytest.mark.parametrize("ids", [[3], [-1], [[0, 1]], [0.5]])
def test_ids_that_are_none_are_refused(ids: list[object]) -> None:
    with pytest.raises(ValueError, match=r"ids|whole numbers"):
        CharTokenizer("abc").decode(ids)


def test_nothing_is_nothing() -> None:
    assert CharTokenizer("abc").encode("").shape == (0,)
    assert CharTokenizer("abc").decode([]) == ""


def test_from_text_is_in_code_point_order_with_the_unknown() -> None:
    assert CharTokenizer.from_text("bca", unknown="?").vocabulary == "?abc"


@given(st.text(alphabet=st.characters(), min_size=1))
def test_a_saved_tokenizer_is_the_same(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("tokenizer") / "characters.json"
    tokenizer = CharTokenizer.from_text(text, unknown="?")
    tokenizer.save(path)
    loaded = CharTokenizer.load(path)
    assert (loaded.vocabulary, loaded.unknown) == (tokenizer.vocabulary, "?")


@pytest.mark.parametrize(
    "content",
    ["not JSON", "[]", '{"kind": "BPETokenizer", "merges": []}', '{"kind": "CharTokenizer"}'],
)
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=str(path)):
        CharTokenizer.load(path)


@given(
    train=st.lists(st.integers(0, 4), min_size=2, max_size=30),
    judged=st.lists(st.integers(0, 4), min_size=2, max_size=10),
)
def test_bigram_loss_is_the_counted_one(train: list[int], judged: list[int]) -> None:
    expected = []
    for before, after in pairwise(judged):
        followers = [b for a, b in pairwise(train) if a == before]
        expected.append(-np.log((1 + followers.count(after)) / (5 + len(followers))))
    given_loss = bigram_loss(
        np.array(train), np.array(judged[:-1]), np.array(judged[1:]), vocab_size=5
    )
    assert given_loss == pytest.approx(np.mean(expected))
