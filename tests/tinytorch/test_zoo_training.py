import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer

from tinytorch import zoo
from tinytorch.models import GPT
from tinytorch.training import Progress, load_checkpoint
from tito import zoo_training
from tito.zoo_training import RECIPES, Phase, copy_positions, train, train_zoo


def quiet(_: Progress) -> None:
    """A callback that wants to know nothing."""


def shorten(monkeypatch: pytest.MonkeyPatch, name: str, phases: tuple[Phase, ...]) -> None:
    monkeypatch.setitem(RECIPES, name, replace(RECIPES[name], phases=phases, warmup_steps=1))


def test_training_again_gives_an_equal_model(tmp_path: Path) -> None:
    """The whole recipe; the same bytes twice, and the shipped accuracy on any machine."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        card = train("digits_mlp", folder, quiet)
    first, second = ((folder / "digits_mlp.npz").read_bytes() for folder in folders)
    assert first == second
    assert card["sha256"] == hashlib.sha256(first).hexdigest()
    assert card == json.loads((folders[1] / "digits_mlp.json").read_text())
    shipped = zoo.card("digits_mlp")
    assert card["test_accuracy"] == pytest.approx(shipped["test_accuracy"], abs=0.02)
    assert card["recipe"] == shipped["recipe"]
    if all(card[field] == shipped[field] for field in ("python", "numpy", "blas")):
        assert card["test_loss"] == pytest.approx(shipped["test_loss"], abs=0.05)


@pytest.mark.parametrize("name", RECIPES)
def test_the_shipped_models_were_made_by_this_recipe(name: str) -> None:
    assert json.loads(json.dumps(RECIPES[name].card())) == zoo.card(name)["recipe"]


def test_the_learning_rate_goes_on_through_the_phases() -> None:
    recipe = RECIPES["docs_gpt"]
    factors = [recipe.factor(step) for step in range(recipe.steps)]
    assert max(factors) == pytest.approx(1, abs=0.01)
    assert factors[-1] == pytest.approx(recipe.final_share, abs=0.01)
    assert recipe.factor_after(100, 7) == recipe.factor(107)
    model = zoo.build("docs_gpt")
    assert isinstance(model, GPT)
    assert recipe.phases[-1].window == model.config.block_size, "all positions must be trained"


def test_a_language_model_goes_through_all_phases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten(monkeypatch, "docs_gpt", (Phase(3, 2, window=8), Phase(2, 1, window=16)))
    monkeypatch.setattr(zoo_training, "evaluate", lambda model, loader: _Measured())
    steps: list[Progress] = []
    card = train("docs_gpt", tmp_path, steps.append)
    assert [progress.step for progress in steps] == [1, 2, 3, 4, 5]
    assert {progress.total_steps for progress in steps} == {5}
    assert all(a.seconds <= b.seconds for a, b in pairwise(steps))
    assert card["recipe"]["phases"][1] == {"steps": 2, "batch_size": 1, "window": 16}
    assert card["bigram_validation_loss"] > 2
    model = zoo.build("docs_gpt")
    assert load_checkpoint(tmp_path / "docs_gpt.npz", model)["name"] == "docs_gpt"


class _Measured:
    loss, accuracy = 4.5, 0.01


def test_the_command_trains_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shorten(monkeypatch, "digits_cnn", (Phase(2, 8),))
    (card,) = train_zoo(["digits_cnn"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits_cnn.json", "digits_cnn.npz"]
    assert f"{card['test_accuracy']:.2%}" in capsys.readouterr().out


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="no resnet; it has digits_mlp"):
        train_zoo(["resnet"], tmp_path)
    with pytest.raises(typer.BadParameter, match="is no folder"):
        train_zoo(["digits_mlp"], tmp_path / "missing")
    assert not list(tmp_path.iterdir())


def test_new_positions_begin_as_copies_of_the_known_ones() -> None:
    model = zoo.build("docs_gpt")
    assert isinstance(model, GPT)
    table = model.position_embedding.weight.data
    before = table.copy()
    copy_positions(model, 96)
    assert np.array_equal(table[:96], before[:96])
    assert np.array_equal(table[96:192], before[:96])
    assert np.array_equal(table[192:], before[:64])
