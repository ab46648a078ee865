"""A model's state in one file.

The file is a NumPy npz archive: numbers only, never pickle, so that reading a foreign one can run
no code. Equal states give equal bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch import nn
from tinytorch.kernels.arrays import Array
from tinytorch.optim import Optimizer
from tinytorch.whole_file import write_whole

MODEL, OPTIMIZER, NOTES = "model/", "optimizer/", "notes"
OLDEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)


def save_checkpoint(
    path: str | Path,
    model: nn.Module,
    optimizer: Optimizer | None = None,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Write parameters and buffers, and the optimizer's state if given.

    The file appears complete or not at all: it is written under another name and then renamed.

    Args:
        path: ends in .npz, by custom.
        notes: what else to keep, as JSON can hold it: the step, the settings.
    """
    arrays = {MODEL + name: tensor.data for name, tensor in model.state_dict().items()}
    if optimizer is not None:
        for name, value in optimizer.state_dict().items():
            arrays[OPTIMIZER + name] = np.asarray(value)
    arrays[NOTES] = np.asarray(json.dumps(dict(notes or {}), sort_keys=True))
    write_whole(path, npz_bytes(arrays))


def load_checkpoint(
    path: str | Path, model: nn.Module, optimizer: Optimizer | None = None
) -> dict[str, Any]:
    """Copy a checkpoint's values into a model of the same shape, and into the optimizer if given.

    Returns:
        The notes.

    Raises:
        ValueError: no checkpoint, one of another model, or one without the optimizer's state.
            Nothing has changed then.
    """
    arrays = read_npz(path)
    if NOTES not in arrays:
        raise ValueError(
            f"{path} is an npz file but no checkpoint; write one with save_checkpoint()"
        )
    notes: dict[str, Any] = json.loads(str(arrays[NOTES]))
    before = {name: tensor.data.copy() for name, tensor in model.state_dict().items()}
    try:
        model.load_state_dict(_part(arrays, MODEL))
        if optimizer is not None:
            _load_optimizer(optimizer, _part(arrays, OPTIMIZER))
    except (KeyError, ValueError, TypeError) as error:
        model.load_state_dict(before)
        what = type(model).__name__
        raise ValueError(f"{path} does not fit this {what}: {error.args[0]}") from error
    return notes


def npz_bytes(arrays: Mapping[str, Array]) -> bytes:
    """An npz archive without compression; the same arrays give the same bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as members:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", OLDEST_ZIP_DATE)
            member.create_system = 3  # the same byte on every operating system
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            members.writestr(member, content.getvalue())
    return archive.getvalue()


def read_npz(path: str | Path) -> dict[str, Array]:
    """All arrays of an npz file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, no npz file, or holds pickled objects.
    """
    try:
        with Path(path).open("rb") as file, np.lib.npyio.NpzFile(file) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ValueError(
            f"{path} is no readable npz file ({error}); it may be cut off: save or copy it again"
        ) from error


def _part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _load_optimizer(optimizer: Optimizer, state: dict[str, Array]) -> None:
    if not state:
        raise ValueError("it was saved without an optimizer; load it without one")
    optimizer.load_state_dict(
        {name: array.item() if array.ndim == 0 else array for name, array in state.items()}
    )
