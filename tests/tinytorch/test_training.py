import io
import pickle
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytorch import Tensor, no_grad
from tinytorch.data import DataLoader, digits
from tinytorch.models import MLP, SmallCNN
from tinytorch.nn import Dropout, Linear, Sequential
from tinytorch.optim import SGD, AdamW, cosine_schedule
from tinytorch.training import (
    Progress,
    ProgressBar,
    evaluate,
    fit,
    load_checkpoint,
    save_checkpoint,
)


def problem(seed: int = 0) -> tuple[MLP, DataLoader]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((64, 4), dtype=np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    return MLP([4, 8, 2], rng), DataLoader([x, y], 16, shuffle=True, rng=rng)


def arrays(model: Any) -> dict[str, np.ndarray]:
    return {name: tensor.data.copy() for name, tensor in model.state_dict().items()}


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_a_model_learns_and_the_history_says_so() -> None:
    model, loader = problem()
    history = fit(model, loader, AdamW(model.parameters(), lr=0.02), epochs=30)
    assert len(history.losses) == 30 * 4
    assert np.mean(history.losses[-4:]) < 0.3 * np.mean(history.losses[:4])
    assert evaluate(model, loader).accuracy > 0.9
    assert history.seconds > 0
    assert model.training


def test_steps_are_counted_across_epochs() -> None:
    model, loader = problem()
    assert len(fit(model, loader, SGD(model.parameters(), 0.1), steps=10).losses) == 10


def test_the_same_seed_trains_the_same_model() -> None:
    results = []
    for _ in range(2):
        model, loader = problem(3)
        fit(model, loader, AdamW(model.parameters(), lr=0.02), epochs=3)
        results.append(arrays(model))
    assert_same(*results)


def test_one_step_is_the_gradient_of_the_loss() -> None:
    model, loader = problem()
    weight = model.layers[0].weight
    before = weight.data.copy()
    (batch,) = fit_one_batch = list(loader)[:1]
    fit(model, fit_one_batch, SGD(model.parameters(), 0.5), steps=1)
    assert weight.grad is not None
    np.testing.assert_allclose(weight.data, before - 0.5 * weight.grad.data, rtol=1e-6)
    assert len(batch) == 2


def test_schedule_and_clipping_are_used() -> None:
    model, loader = problem()
    optimizer, rates = SGD(model.parameters(), 0.5), []

    def note(_: Progress) -> None:
        rates.append(optimizer.lr)
        length = sum(
            float((p.grad.data**2).sum()) for p in model.parameters() if p.grad is not None
        )
        assert length <= 1e-4 * 1.001

    fit(
        model,
        loader,
        optimizer,
        steps=8,
        schedule=lambda step: cosine_schedule(step, 8),
        max_gradient_norm=0.01,
        callback=note,
    )
    assert rates == pytest.approx([0.5 * cosine_schedule(step, 8) for step in range(8)])


def test_the_callback_is_told_of_each_step() -> None:
    model, loader = problem()
    seen: list[Progress] = []
    history = fit(model, loader, SGD(model.parameters(), 0.1), epochs=2, callback=seen.append)
    assert [progress.step for progress in seen] == list(range(1, 9))
    assert {progress.total_steps for progress in seen} == {8}
    assert [progress.loss for progress in seen] == history.losses
    assert all(a.seconds <= b.seconds for a, b in pairwise(seen))


def test_an_error_of_the_callback_ends_the_training() -> None:
    model, loader = problem()

    def stop(progress: Progress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, loader, SGD(model.parameters(), 0.1), epochs=2, callback=stop)


@pytest.mark.parametrize("how_long", [{}, {"epochs": 1, "steps": 1}, {"epochs": 0}, {"steps": -1}])
def test_epochs_or_steps(how_long: dict[str, int]) -> None:
    model, loader = problem()
    with pytest.raises(ValueError, match="give one of them"):
        fit(model, loader, SGD(model.parameters(), 0.1), **how_long)


def test_an_iterator_that_is_used_up_is_noticed() -> None:
    model, loader = problem()
    with pytest.raises(ValueError, match="no batch in epoch 2"):
        fit(model, iter(loader), SGD(model.parameters(), 0.1), epochs=2)
    with pytest.raises(ValueError, match="no batch in epoch 1"):
        fit(model, [], SGD(model.parameters(), 0.1), steps=2)


def test_a_loader_without_a_length_has_no_total() -> None:
    model, loader = problem()
    seen: list[Progress] = []
    fit(model, iter(loader), SGD(model.parameters(), 0.1), epochs=1, callback=seen.append)
    assert [progress.total_steps for progress in seen] == [None] * 4


@pytest.mark.filterwarnings("ignore:.*(overflow|invalid value):RuntimeWarning")
def test_divergence_is_said() -> None:
    model, loader = problem()
    with pytest.raises(FloatingPointError, match="training has diverged"):
        fit(model, loader, SGD(model.parameters(), 1e30), epochs=5)


class Sums(Linear):
    """A model of two inputs."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(a + b)


def test_a_model_of_several_inputs() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((8, 3), dtype=np.float32) for _ in range(2))
    loader = DataLoader([a, b, rng.integers(0, 2, 8)], 4)
    model = Sums(3, 2, rng=rng)
    fit(model, loader, SGD(model.parameters(), 0.1), epochs=1)
    assert evaluate(model, loader).targets == 8


def test_evaluation_weighs_each_target_the_same() -> None:
    """Fails for the mean of the batches' means: the last batch is smaller."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((10, 4), dtype=np.float32), rng.integers(0, 3, 10)
    model = MLP([4, 3], rng)
    whole, parts = (evaluate(model, DataLoader([x, y], size)) for size in (10, 4))
    assert parts == pytest.approx(whole, rel=1e-6)
    scores = model(Tensor(x)).data
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert whole.loss == pytest.approx(-np.log(probabilities[np.arange(10), y]).mean(), rel=1e-5)
    assert whole.accuracy == np.mean(scores.argmax(1) == y)


def test_evaluation_counts_every_position_of_a_sequence() -> None:
    x = np.zeros((3, 5, 4), np.float32)
    result = evaluate(MLP([4, 2]), DataLoader([x, np.zeros((3, 5), np.int64)], 2))
    assert result.targets == 15


def test_evaluation_is_without_dropout_and_gives_the_modes_back() -> None:
    model = Sequential(Dropout(0.9), Linear(4, 2), Dropout(0.9))
    model[2].eval()
    loader = DataLoader([np.ones((8, 4), np.float32), np.zeros(8, np.int64)], 8)
    assert evaluate(model, loader) == evaluate(model, loader)
    assert [module.training for module in model] == [True, True, False]


def test_evaluation_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no target"):
        evaluate(MLP([4, 2]), [])


# ---- checkpoints --------------------------------------------------------------------------------


def trained_cnn(seed: int = 0) -> tuple[SmallCNN, AdamW]:
    rng = np.random.default_rng(seed)
    model = SmallCNN(width=4, rng=rng)
    optimizer = AdamW(model.parameters(), lr=0.01)
    split = digits()
    loader = DataLoader([split.train_images[:64], split.train_labels[:64]], 32)
    fit(model, loader, optimizer, epochs=1)
    return model, optimizer


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    model, optimizer = trained_cnn()
    save_checkpoint(tmp_path / "a.npz", model, optimizer, notes={"step": 2, "name": "x"})
    other, other_optimizer = trained_cnn(1)
    notes = load_checkpoint(tmp_path / "a.npz", other, other_optimizer)
    assert notes == {"step": 2, "name": "x"}
    assert_same(arrays(model), arrays(other))
    assert any("running_mean" in name for name in arrays(other))
    images = Tensor(digits().test_images)
    with no_grad():
        np.testing.assert_array_equal(model.eval()(images).data, other.eval()(images).data)
    for first, second in zip(optimizer.state_arrays(), other_optimizer.state_arrays(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_equal_states_give_equal_bytes_and_no_trace_is_left(tmp_path: Path) -> None:
    model, optimizer = trained_cnn()
    save_checkpoint(tmp_path / "a.npz", model, optimizer)
    other, other_optimizer = trained_cnn(1)
    load_checkpoint(tmp_path / "a.npz", other, other_optimizer)
    save_checkpoint(tmp_path / "b.npz", other, other_optimizer)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_numpy_can_read_it_without_pickle(tmp_path: Path) -> None:
    model, _ = trained_cnn()
    save_checkpoint(tmp_path / "a.npz", model)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        for name, array in arrays(model).items():
            np.testing.assert_array_equal(archive[f"model/{name}"], array)


def test_an_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = trained_cnn()
    path = tmp_path / "a.npz"
    save_checkpoint(path, model)
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinytorch.whole_file.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, trained_cnn(1)[0])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        save_checkpoint(tmp_path / "nowhere" / "a.npz", MLP([2, 2]))
    with pytest.raises(FileNotFoundError, match=r"b\.npz"):
        load_checkpoint(tmp_path / "b.npz", MLP([2, 2]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP([2, 4, 2]), "does not fit this MLP: .*layers.0.weight"),
        (lambda: MLP([2, 3, 3, 2]), "missing .*layers.4.weight"),
        (lambda: MLP([2, 3]), "unexpected .*layers.2.weight"),
    ],
)
def test_a_checkpoint_of_another_model_changes_nothing(
    tmp_path: Path, make: Any, message: str
) -> None:
    save_checkpoint(tmp_path / "a.npz", MLP([2, 3, 2]))
    model = make()
    before = arrays(model)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(tmp_path / "a.npz", model)
    assert_same(before, arrays(model))


def test_a_checkpoint_that_lacks_the_optimizer_changes_nothing(tmp_path: Path) -> None:
    model, optimizer = trained_cnn()
    save_checkpoint(tmp_path / "plain.npz", model)
    save_checkpoint(tmp_path / "adamw.npz", model, optimizer)
    other, _ = trained_cnn(1)
    before = arrays(other)
    with pytest.raises(ValueError, match="saved without an optimizer"):
        load_checkpoint(tmp_path / "plain.npz", other, AdamW(other.parameters()))
    with pytest.raises(ValueError, match="state of AdamW"):
        load_checkpoint(tmp_path / "adamw.npz", other, SGD(other.parameters(), 0.1))
    assert_same(before, arrays(other))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path, model = tmp_path / "a.npz", MLP([2, 2])
    save_checkpoint(path, model)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], pickle.dumps([1, 2])):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="no readable npz"):
            load_checkpoint(path, model)
    np.savez(path, weight=np.zeros(2))
    with pytest.raises(ValueError, match="no checkpoint"):
        load_checkpoint(path, model)


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    path, content = tmp_path / "a.npz", io.BytesIO()
    np.save(content, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.npy", content.getvalue())
    with pytest.raises(ValueError, match="no readable npz"):
        load_checkpoint(path, MLP([2, 2]))


# ---- progress bar -------------------------------------------------------------------------------


@pytest.fixture
def ticks() -> Iterator[float]:
    return iter([number * 0.06 for number in range(100)])


def test_the_bar_draws_over_itself_and_not_too_often(ticks: Iterator[float]) -> None:
    stream = io.StringIO()
    now = [0.0]
    bar = ProgressBar(stream, width=10, pause_seconds=0.1, clock=lambda: now[0])
    for step in range(1, 11):
        now[0] = next(ticks)
        bar(Progress(step, 10, 1 / step, step * 30.0))
    bar.close()
    lines = stream.getvalue().split("\r")
    assert [line.split("]")[1].split()[0] for line in lines[1:]] == [
        "1/10", "3/10", "5/10", "7/10", "9/10", "10/10"
    ]  # fmt: skip
    assert lines[2].startswith("[###.......] 3/10  loss 0.3333  1:30, 3:30 left")
    assert lines[-1].rstrip(" ").endswith("\n")
    assert lines[-1].startswith("[##########] 10/10")


def test_a_shorter_line_hides_the_longer_one() -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream, pause_seconds=0)
    bar(Progress(1, None, 123456.0, 1.0))
    bar(Progress(2, None, 1.0, 1.0))
    _, first, second = stream.getvalue().split("\r")
    assert len(second) == len(first)


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    model, loader = problem()
    fit(model, loader, SGD(model.parameters(), 0.1), epochs=1)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_is_drawn_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    model, loader = problem()
    fit(model, loader, SGD(model.parameters(), 0.1), epochs=1)
    assert "4/4" in screen.getvalue()
    assert screen.getvalue().endswith("\n")
    before = screen.getvalue()
    fit(model, loader, SGD(model.parameters(), 0.1), epochs=1, show_progress=False)
    assert screen.getvalue() == before
