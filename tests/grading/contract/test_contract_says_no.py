"""The contract's checker refuses each kind of broken lesson."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.grading.small_course import FILES, LESSON, TEXT, small_course
from tito.grading.contract import ATTACK, LessonUnderContract, Outcome

# a cell that never ends costs the small lesson's mutant this much
pytestmark = pytest.mark.usefixtures("short_deadline")


@pytest.fixture
def short_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tito.grading.contract._CELL_S", 1.0)


def outcomes(tmp_path: Path, text: str = TEXT, **files: str) -> dict[str, Outcome]:
    """The outcomes of the small lesson, with its text or other files replaced."""
    course = small_course(tmp_path / "course", text)
    for name, content in files.items():
        (course.text(LESSON).parent / f"{name}.toml").write_text(content, encoding="utf-8")
    return {o.case.name: o for o in LessonUnderContract(course, LESSON).run()}


def edited(name: str, old: str, new: str) -> str:
    """A file of the small lesson with one replacement."""
    content = (FILES / name).read_text(encoding="utf-8")
    assert content.count(old) == 1
    return content.replace(old, new)


def test_the_small_lesson_keeps_its_contract(tmp_path: Path) -> None:
    found = outcomes(tmp_path)
    assert [o.verdict for o in found.values() if not o.kept] == []
    assert found["blank"].points == 0
    assert found["reference"].points == found["reference"].most == 90
    assert found["upper_middle"].points == 75
    assert found["never_ends"].lost == {"test_pairs__ordered"}
    attacks = [o for o in found.values() if o.case.kind == ATTACK]
    assert len(attacks) == 7
    assert {o.points for o in attacks} == {0}
    assert len(found) == 10 + len(attacks)


def test_a_blank_that_earns_points(tmp_path: Path) -> None:
    text = edited(
        "profiling.percent",
        'assert_close(middle([4.0, 1.0]), 2.5, what="the middle of two")',
        "try:\n    assert middle([4.0, 1.0]) == 2.5\nexcept NotImplementedError:\n    pass",
    )
    blank = outcomes(tmp_path, text)["blank"]
    assert not blank.kept
    assert blank.points == 15
    assert "does not lose test_middle__even" in blank.verdict


def test_a_mutant_that_survives(tmp_path: Path) -> None:
    mutants = edited("mutants.toml", "(size + 1)", "(size - 1) * 1")
    found = outcomes(tmp_path, mutants=mutants)["with_itself"]
    assert not found.kept
    assert found.points == found.most
    assert "does not lose test_pairs, test_pairs__ordered" in found.verdict


def test_a_mutant_that_loses_an_unrelated_test(tmp_path: Path) -> None:
    mutants = edited("mutants.toml", '["test_pairs", "test_pairs__ordered"]', '["test_pairs"]')
    found = outcomes(tmp_path, mutants=mutants)["with_itself"]
    assert not found.kept
    assert "loses test_pairs__ordered (AssertionError: " in found.verdict


def test_a_variant_that_fails(tmp_path: Path) -> None:
    variants = edited("variants.toml", "np.median(samples)", "np.mean(samples)")
    found = outcomes(tmp_path, variants=variants)["by_numpy"]
    assert not found.kept
    assert "loses test_middle (AssertionError: " in found.verdict


def test_a_reference_that_loses_a_test(tmp_path: Path) -> None:
    text = edited("profiling.percent", "    return 2 * pairs(size)", "    return 3 * pairs(size)")
    mutants = edited("mutants.toml", 'find = "    return 2 *', 'find = "    return 3 *').replace(
        'find = "2 * pairs', 'find = "3 * pairs'
    )
    found = outcomes(tmp_path, text, mutants=mutants)["reference"]
    assert not found.kept
    assert found.points == 60


def test_a_reference_whose_measuring_cell_fails(tmp_path: Path) -> None:
    text = edited("profiling.percent", "measured = [pairs(size)", "measured = [unknown(size)")
    found = outcomes(tmp_path, text)
    assert found["reference"].points == found["reference"].most
    assert "cell number 9 fails (NameError: " in found["reference"].verdict
    assert found["by_numpy"].kept  # measuring cells run in the reference alone


def test_a_cell_that_ends_the_process(tmp_path: Path) -> None:
    variants = edited("variants.toml", "np.median(samples)", "__import__('os')._exit(0)")
    found = outcomes(tmp_path, variants=variants)["by_numpy"]
    assert found.lost == {"test_middle", "test_middle__even"}
    assert "ended the student's process" in found.verdict


def test_the_module_under_test_cannot_be_imported(tmp_path: Path) -> None:
    text = edited(
        "profiling.percent",
        "import numpy as np\n",
        "import numpy as np\n\nfrom tinytorch.profiling import Timer\n",
    )
    found = outcomes(tmp_path, text)["reference"]
    assert not found.kept
    assert "tinytorch.profiling" in found.verdict
