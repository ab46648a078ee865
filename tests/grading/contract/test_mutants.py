"""mutants.toml and variants.toml: what is read, and every refusal with its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.grading.small_course import FILES, instructor_notebook
from tito.course import CourseError
from tito.grading.mutants import Change, read_mutants, read_variants

MUTANTS = (FILES / "mutants.toml").read_text(encoding="utf-8")
VARIANTS = (FILES / "variants.toml").read_text(encoding="utf-8")


def read(tmp_path: Path, content: str) -> list[Change]:
    path = tmp_path / "mutants.toml"
    path.write_text(content, encoding="utf-8")
    return read_mutants(path, instructor_notebook())


def test_the_small_lessons_files_are_read(tmp_path: Path) -> None:
    changes = read(tmp_path, MUTANTS)
    assert [change.name for change in changes][:2] == ["mean", "not_sorted"]
    assert changes[3].loses == ("test_pairs", "test_pairs__ordered")
    assert changes[3].apply("a * (size - 1) // 2") == "a * (size + 1) // 2"
    assert len(read_variants(FILES / "variants.toml", instructor_notebook())) == 2


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('cell = "pairs"', 'cell = "pears"', "there is no solution cell 'pears'"),
        ('cell = "pairs"', 'cell = "test_pairs"', "there is no solution cell 'test_pairs'"),
        ('find = "(size - 1)"', 'find = "(size - 9)"', "matches 0 times in the cell 'pairs'"),
        ('find = "(size - 1)"', 'find = "size"', "matches 3 times in the cell 'pairs'"),
        ('find = "(size - 1)"', 'find = ""', "matches 0 times"),
        ('replace = "(size + 1)"', 'replace = "(size - 1)"', "are the same"),
        ('"test_pairs", "test_p', '"test_pear", "test_p', "'test_pear', which is no test"),
        ('loses = ["test_middle__even"]', "loses = []", "names no test"),
        ('loses = ["test_middle__even"]', 'loses = "test_pairs"', "no list of tests"),
        ('name = "not_sorted"', 'name = "mean"', "2 have this name"),
        ('mistake = "Takes the mean."', "", "mistake missing"),
        ('mistake = "Takes the mean."', 'mistake = "x"\nwhy = "x"', "unknown key why"),
        ('cell = "pairs"', 'cell = "middle"\n', "'pairs' has 2 mutants"),
    ],
)
def test_a_broken_rule_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert MUTANTS.count(old) == 1
    content = MUTANTS.replace(old, new)
    if "has 2 mutants" in words:
        content = content.replace('find = "(size - 1)"', 'find = "sorted(samples)"')
    with pytest.raises(CourseError, match=words.replace("(", r"\(")):
        read(tmp_path, content)


def test_every_breach_is_listed_at_once(tmp_path: Path) -> None:
    content = MUTANTS.replace("(size - 1)", "(size - 9)").replace('"test_middle"', '"test_muddle"')
    with pytest.raises(CourseError) as caught:
        read(tmp_path, content)
    assert "matches 0 times" in caught.value.message
    assert "'test_muddle'" in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"mutants\.toml is missing"):
        read_mutants(tmp_path / "mutants.toml", instructor_notebook())
    with pytest.raises(CourseError, match="is not TOML"):
        read(tmp_path, "[[mutant")
    assert read_variants(tmp_path / "variants.toml", instructor_notebook()) == []


def test_a_variant_must_not_lose(tmp_path: Path) -> None:
    path = tmp_path / "variants.toml"
    path.write_text(VARIANTS + 'loses = ["test_pairs"]\n', encoding="utf-8")
    with pytest.raises(CourseError, match="a variant loses nothing"):
        read_variants(path, instructor_notebook())
