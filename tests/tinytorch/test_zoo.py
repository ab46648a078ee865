import hashlib
from importlib.resources import files

import numpy as np
import pytest

from tinytorch import zoo
from tinytorch.data import DataLoader, digits, python_docs, token_windows
from tinytorch.models import GPT, MLP, SmallCNN
from tinytorch.text import bigram_loss
from tinytorch.training import Evaluation, evaluate

KINDS = {"digits_mlp": MLP, "digits_cnn": SmallCNN, "docs_gpt": GPT}
LEAST_ACCURACY = {"digits_mlp": 0.95, "digits_cnn": 0.97}
MOST_LOSS_OF_DOCS_GPT = 1.6
ROUNDING_OF_OTHER_MACHINES = 2e-3


def measured_on_digits(name: str) -> Evaluation:
    split = digits()
    images = split.test_images
    if name == "digits_mlp":
        images = images.reshape(len(images), -1)
    return evaluate(zoo.load(name), DataLoader([images, split.test_labels], 90))


@pytest.mark.parametrize("name", LEAST_ACCURACY)
def test_digits_are_recognized_as_the_card_says(name: str) -> None:
    result, card = measured_on_digits(name), zoo.card(name)
    assert result.accuracy >= LEAST_ACCURACY[name]
    assert result.accuracy == pytest.approx(card["test_accuracy"], abs=1.01 / 360)
    assert result.loss == pytest.approx(card["test_loss"], abs=ROUNDING_OF_OTHER_MACHINES)


def test_docs_gpt_beats_counting_pairs_as_the_card_says() -> None:
    docs, model, card = python_docs(), zoo.load("docs_gpt"), zoo.card("docs_gpt")
    assert isinstance(model, GPT)
    length = model.config.block_size
    inputs, targets = token_windows(docs.encode(docs.validation), length, stride=length)
    result = evaluate(model, DataLoader([inputs, targets], 16))
    bigram = bigram_loss(docs.encode(docs.train), inputs, targets, model.config.vocab_size)
    assert result.loss < 0.75 * bigram
    if docs.fingerprint == card["corpus_fingerprint"]:
        assert result.loss < MOST_LOSS_OF_DOCS_GPT
        assert result.loss == pytest.approx(card["validation_loss"], abs=ROUNDING_OF_OTHER_MACHINES)
        assert bigram == pytest.approx(card["bigram_validation_loss"], abs=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_a_card_belongs_to_its_file(name: str) -> None:
    content = (files("tinytorch.zoo") / f"{name}.npz").read_bytes()
    card = zoo.card(name)
    assert card["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["name"] == name
    assert card["parameters"] == sum(p.numel() for p in zoo.load(name).parameters())
    for field in ("seed", "seconds", "python", "numpy", "threads", "recipe", "reproducible"):
        assert field in card


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_a_loaded_model_is_a_new_one_in_evaluation_mode(name: str, kind: type) -> None:
    first, second = zoo.load(name), zoo.load(name)
    assert isinstance(first, kind)
    assert not any(module.training for module in first.modules())
    for parameter in first.parameters():
        assert parameter.dtype == np.float32
        parameter.data[:] = 0
    assert all(parameter.data.any() for parameter in second.parameters())


def test_names_are_those_of_the_files() -> None:
    shipped = {path.name for path in files("tinytorch.zoo").iterdir() if path.name.endswith("npz")}
    assert shipped == {f"{name}.npz" for name in zoo.names()}
    assert zoo.names() == sorted(KINDS)


@pytest.mark.parametrize("ask", [zoo.load, zoo.card, zoo.build])
def test_an_unknown_name_is_answered_with_the_known_ones(ask: object) -> None:
    with pytest.raises(KeyError, match="digits_cnn, digits_mlp, docs_gpt"):
        ask("resnet")  # type: ignore[operator]


def test_the_package_stays_small() -> None:
    sizes = [len(path.read_bytes()) for path in files("tinytorch.zoo").iterdir() if path.is_file()]
    assert sum(sizes) < 3.7e6
