import hashlib
from importlib.resources import files

import numpy as np
import pytest

from tinytorch.data import digits

FILE_SHA256 = "1593080fb59cf6add938ff2fbd53422b74350d1be2de71af9abe7f24646ec87c"
ORIGINAL_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
FOLDER = files("tinytorch.data")


def test_the_file_is_the_one_the_readme_tells_of() -> None:
    digest = hashlib.sha256((FOLDER / "digits.npz").read_bytes()).hexdigest()
    readme = (FOLDER / "README.md").read_text("utf-8")
    assert digest == FILE_SHA256
    assert FILE_SHA256 in readme
    assert ORIGINAL_SHA256 in readme


def test_the_two_parts_are_the_whole_original_each_image_once() -> None:
    with (FOLDER / "digits.npz").open("rb") as file:
        stored = dict(np.load(file, allow_pickle=False))
    test_index = stored["test_index"].astype(int)
    train_index = np.setdiff1d(np.arange(1797), test_index)
    images, labels = np.empty((1797, 8, 8), np.uint8), np.empty(1797, np.uint8)
    images[test_index], labels[test_index] = stored["test_images"], stored["test_labels"]
    images[train_index], labels[train_index] = stored["train_images"], stored["train_labels"]
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == ORIGINAL_SHA256


def test_shapes_types_and_range() -> None:
    split = digits()
    assert split.train_images.shape == (1437, 1, 8, 8)
    assert split.test_images.shape == (360, 1, 8, 8)
    for images in (split.train_images, split.test_images):
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1
    assert split.train_labels.dtype == split.test_labels.dtype == np.int64
    assert sorted(set(split.test_labels.tolist())) == list(range(10))


def test_each_class_has_the_same_share_in_both_parts() -> None:
    split = digits()
    train, test = np.bincount(split.train_labels), np.bincount(split.test_labels)
    assert np.abs(test - (train + test) * 360 / 1797).max() < 1


def test_a_caller_cannot_change_what_the_next_one_gets() -> None:
    digits().train_images[:] = 0
    assert digits().train_images.max() == 1


def test_pixels_are_a_picture_of_the_label() -> None:
    """Fails for labels that do not belong to the images: the nearest neighbour must know most."""
    split = digits()
    train = split.train_images.reshape(1437, 64)
    test = split.test_images.reshape(360, 64)
    distances = (train**2).sum(1) - 2 * test @ train.T
    right = np.mean(split.train_labels[distances.argmin(1)] == split.test_labels)
    assert right == pytest.approx(0.99, abs=0.015)
