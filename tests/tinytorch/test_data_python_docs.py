from pydoc_data.topics import topics

from hypothesis import given
from hypothesis import strategies as st

from tinytorch.data import python_docs
from tinytorch.data.python_docs import VOCABULARY, is_validation, plain, without_repeats


def test_vocabulary_is_the_new_line_and_printable_ascii() -> None:
    assert len(VOCABULARY) == 96
    assert VOCABULARY[0] == "\n"
    assert all(character.isascii() and character.isprintable() for character in VOCABULARY[1:])
    assert python_docs().tokenizer.vocabulary == VOCABULARY


def test_the_texts_hold_only_the_vocabulary_and_come_back_from_their_ids() -> None:
    docs = python_docs()
    for text in (docs.train, docs.validation):
        assert set(text) <= set(VOCABULARY)
        assert docs.decode(docs.encode(text)) == text


def test_the_parts_are_large_enough_to_learn_and_to_judge() -> None:
    docs = python_docs()
    assert len(docs.train) > 250_000
    assert 0.05 < len(docs.validation) / len(docs.train) < 0.3


def test_no_paragraph_of_the_validation_text_was_seen_in_training() -> None:
    docs = python_docs()
    train = {paragraph.strip() for paragraph in docs.train.split("\n\n")}
    validation = {paragraph.strip() for paragraph in docs.validation.split("\n\n")}
    assert not train & validation


def test_topics_are_whole_in_one_part() -> None:
    docs = python_docs()
    seen: set[str] = set()
    for name in sorted(topics):
        own = {p.strip() for p in plain(topics[name]).split("\n\n")} - seen - {""}
        seen |= own
        part = docs.validation if is_validation(name) else docs.train
        assert all(paragraph in part for paragraph in own), name


def test_the_split_is_by_name_alone() -> None:
    chosen = [name for name in ("assert", "dict", "if", "raise", "while") if is_validation(name)]
    assert chosen == ["dict", "raise"]


def test_the_fingerprint_is_of_the_text() -> None:
    docs = python_docs()
    assert len(docs.fingerprint) == 16
    python_docs.cache_clear()
    assert python_docs().fingerprint == docs.fingerprint


@given(st.text())
def test_plain_text_is_in_the_vocabulary(text: str) -> None:
    assert set(plain(text)) <= set(VOCABULARY)


def test_typographic_signs_become_their_ascii_forms() -> None:
    given_text = "\N{LEFT DOUBLE QUOTATION MARK}a\N{EM DASH}b\N{HORIZONTAL ELLIPSIS}\t\N{SNOWMAN}"
    assert plain(given_text) == '"a--b...    ?'


def test_repeated_paragraphs_stay_where_they_come_first() -> None:
    texts = {"a": "one\n\n  two", "b": "two\n\nthree", "c": "one"}
    assert without_repeats(texts) == [("a", "one\n\n  two"), ("b", "three")]
