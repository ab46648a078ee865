"""`tito train-zoo`: train the shipped models again, and record what was measured."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from threadpoolctl import threadpool_info, threadpool_limits

from tinytorch import nn, zoo
from tinytorch.data import DataLoader, digits, python_docs, token_windows
from tinytorch.models import GPT, SmallCNN
from tinytorch.optim import AdamW, cosine_schedule, warmup_schedule
from tinytorch.text import bigram_loss
from tinytorch.training import Progress, evaluate, fit, save_checkpoint
from tinytorch.whole_file import write_whole

SEED = 0
REPRODUCIBLE = (
    "Same seed, same machine, same versions and one thread give the same bytes; another processor "
    "or BLAS rounds differently, and then the figures differ a little."
)
Callback = Callable[[Progress], None]


class Phase(NamedTuple):
    """A part of the training: so many steps with batches of one shape.

    `window` is the tokens of an example; 0 for images. A language model begins with short windows,
    which teach it faster, and ends with long ones, which teach it all positions.

    Source: Press et al., "Shortformer: Better Language Modeling using Shorter Inputs", ACL 2021,
        arXiv:2012.15832.
    """

    steps: int
    batch_size: int
    window: int = 0


@dataclass(frozen=True)
class Recipe:
    """How a model of the zoo is trained.

    Attributes:
        learn: trains and measures the model; returns its data's part of the card and the measures.
        phases: one after the other, with one optimizer.
        learning_rate: at its highest; it warms up over `warmup_steps` and falls as a cosine.
    """

    learn: Callable[[nn.Module, Recipe, np.random.Generator, Callback], dict[str, Any]]
    phases: tuple[Phase, ...]
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    final_share: float = 0.0

    @property
    def steps(self) -> int:
        """Of all phases together."""
        return sum(phase.steps for phase in self.phases)

    def factor(self, step: int) -> float:
        """Of the learning rate."""
        fall = cosine_schedule(step, self.steps, self.final_share)
        return warmup_schedule(step, self.warmup_steps) * fall

    def factor_after(self, done: int, step: int) -> float:
        """The factor in a phase that begins after `done` steps."""
        return self.factor(done + step)

    def fit(self, model: nn.Module, loaders: list[DataLoader], callback: Callback) -> float:
        """Train the model, with one loader for each phase; returns the seconds it took."""
        optimizer = AdamW(
            model.parameters(), self.learning_rate, self.betas, weight_decay=self.weight_decay
        )
        done, seconds, window = 0, 0.0, 0
        for phase, loader in zip(self.phases, loaders, strict=True):
            if isinstance(model, GPT) and window:
                copy_positions(model, window)
            window = phase.window
            optimizer.lr = self.learning_rate
            history = fit(
                model,
                loader,
                optimizer,
                steps=phase.steps,
                schedule=partial(self.factor_after, done),
                max_gradient_norm=1.0,
                callback=partial(_tell_of_all, callback, done, self.steps, seconds),
                show_progress=False,
            )
            done, seconds = done + phase.steps, seconds + history.seconds
        return seconds

    def card(self) -> dict[str, Any]:
        """What the card says of it."""
        return {
            "optimizer": "AdamW",
            "phases": [phase._asdict() for phase in self.phases],
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "final_share_of_learning_rate": self.final_share,
            "betas": list(self.betas),
            "weight_decay": self.weight_decay,
            "max_gradient_norm": 1.0,
        }


def copy_positions(model: GPT, known: int) -> None:
    """Give the positions that no window has reached yet the values of the `known` first ones.

    They then begin with the neighbours' relations already learned, and soon tell themselves apart.

    Source: Beltagy et al., "Longformer: The Long-Document Transformer", arXiv:2004.05150.
    """
    table = model.position_embedding.weight.data  # (block_size, C)
    table[known:] = np.resize(table[:known], (len(table) - known, table.shape[1]))


def _tell_of_all(
    callback: Callback, done: int, total: int, seconds: float, progress: Progress
) -> None:
    """Tell of a phase's step as a step of the whole training."""
    callback(Progress(done + progress.step, total, progress.loss, seconds + progress.seconds))


def learn_digits(
    model: nn.Module, recipe: Recipe, rng: np.random.Generator, callback: Callback
) -> dict[str, Any]:
    """Train a classifier of digits, whatever shape of images it takes."""
    train_images, train_labels, test_images, test_labels = digits()
    if not isinstance(model, SmallCNN):
        train_images = train_images.reshape(len(train_images), -1)  # (N, 64)
        test_images = test_images.reshape(len(test_images), -1)  # (N, 64)
    arrays = (train_images, train_labels)
    loaders = [
        DataLoader(arrays, phase.batch_size, shuffle=True, rng=rng, drop_last=True)
        for phase in recipe.phases
    ]
    seconds = recipe.fit(model, loaders, callback)
    result = evaluate(model, DataLoader([test_images, test_labels], 64))
    return {
        "data": "digits",
        "seconds": round(seconds, 1),
        "test_accuracy": round(result.accuracy, 6),
        "test_loss": round(result.loss, 6),
    }


def learn_docs(
    model: nn.Module, recipe: Recipe, rng: np.random.Generator, callback: Callback
) -> dict[str, Any]:
    """Train a language model on Python's help texts, on windows drawn from anywhere in them."""
    assert isinstance(model, GPT)
    docs, length = python_docs(), model.config.block_size
    train_ids = docs.encode(docs.train)
    loaders = [
        DataLoader(
            token_windows(train_ids, phase.window),
            phase.batch_size,
            shuffle=True,
            rng=rng,
            drop_last=True,
        )
        for phase in recipe.phases
    ]
    seconds = recipe.fit(model, loaders, callback)
    inputs, targets = token_windows(docs.encode(docs.validation), length, stride=length)
    result = evaluate(model, DataLoader([inputs, targets], 16))
    bigram = bigram_loss(train_ids, inputs, targets, model.config.vocab_size)
    return {
        "data": "python_docs",
        "corpus_fingerprint": docs.fingerprint,
        "seconds": round(seconds, 1),
        "validation_loss": round(result.loss, 6),
        "validation_accuracy": round(result.accuracy, 6),
        "bigram_validation_loss": round(bigram, 6),
        "unit": "nats a character",
    }


RECIPES = {
    "digits_mlp": Recipe(
        learn_digits,
        phases=(Phase(steps=1000, batch_size=32),),
        learning_rate=1e-2,
        warmup_steps=50,
        weight_decay=0.5,
    ),
    "digits_cnn": Recipe(
        learn_digits,
        phases=(Phase(steps=1000, batch_size=32),),
        learning_rate=3e-3,
        warmup_steps=50,
        weight_decay=0.01,
    ),
    "docs_gpt": Recipe(
        learn_docs,
        phases=(
            Phase(steps=3500, batch_size=8, window=64),
            Phase(steps=1000, batch_size=4, window=128),
            Phase(steps=2000, batch_size=2, window=256),
        ),
        learning_rate=3e-3,
        warmup_steps=100,
        weight_decay=0.1,
        betas=(0.9, 0.99),
        final_share=0.05,
    ),
}


def train(name: str, folder: Path, callback: Callback) -> dict[str, Any]:
    """Train one model, write its checkpoint and its card into `folder`, and return the card."""
    recipe, rng = RECIPES[name], np.random.default_rng(SEED)
    with threadpool_limits(limits=1):
        model = zoo.build(name, rng)
        measured = recipe.learn(model, recipe, rng, callback)
    checkpoint = folder / f"{name}.npz"
    save_checkpoint(checkpoint, model, notes={"name": name, "seed": SEED})
    card = {
        "name": name,
        "model": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seed": SEED,
        **measured,
        "recipe": recipe.card(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": sorted({str(pool.get("architecture")) for pool in threadpool_info()}),
        "threads": 1,
        "sha256": hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        "reproducible": REPRODUCIBLE,
    }
    write_whole(folder / f"{name}.json", (json.dumps(card, indent=2) + "\n").encode("utf-8"))
    return card


def train_zoo(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which models; all of them if none is named.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to write; the package's own folder if not given.")
    ] = None,
) -> list[dict[str, Any]]:
    """Train the shipped models again and record their accuracy.

    The digits take seconds, docs_gpt about a quarter of an hour. One thread, a fixed seed: on the
    same machine the same bytes.
    """
    chosen = names or list(RECIPES)
    unknown = sorted(set(chosen) - set(RECIPES))
    if unknown:
        raise typer.BadParameter(
            f"the zoo has no {', '.join(unknown)}; it has {', '.join(RECIPES)}", param_hint="NAMES"
        )
    target = Path(str(zoo.__file__)).parent if folder is None else folder
    if not target.is_dir():
        raise typer.BadParameter(f"{target} is no folder; make it first", param_hint="--folder")
    console = Console()
    cards = [_train_with_bar(name, target, console) for name in chosen]
    console.print(_table(cards))
    return cards


def _train_with_bar(name: str, folder: Path, console: Console) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps, loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        task = bars.add_task(name, total=RECIPES[name].steps, loss=float("nan"))

        def show(progress: Progress) -> None:
            bars.update(task, completed=progress.step, loss=progress.loss)

        return train(name, folder, show)


def _table(cards: list[dict[str, Any]]) -> Table:
    table = Table("model", "parameters", "seconds", "measured", "sha256")
    for card in cards:
        if "test_accuracy" in card:
            measured = f"test accuracy {card['test_accuracy']:.2%}"
        else:
            measured = (
                f"validation loss {card['validation_loss']:.3f} nats a character "
                f"(bigram {card['bigram_validation_loss']:.3f})"
            )
        row = (card["name"], f"{card['parameters']:,}", f"{card['seconds']:.0f}", measured)
        table.add_row(*row, card["sha256"][:12])
    return table
