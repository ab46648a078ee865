"""Picking, joining and choosing elements."""

from typing import Any

import numpy as np

from tinytorch.kernels.arrays import Array


def is_basic(index: Any) -> bool:
    """True when `index` has only ints, slices, None and ..., so that it picks no element twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice))
        for part in parts
    )


class Indexing:
    """Table look-up, indexing, concatenation and choice."""

    def embedding(self, weight: Array, ids: Array) -> Array:
        """Rows of weight (V, C) by ids of any shape: ids.shape + (C,)."""
        return weight.take(ids, axis=0)

    def embedding_grad(self, g: Array, ids: Array, *, num_embeddings: int) -> Array:
        """Gradient for the table (V, C): rows of g (ids.shape + (C,)) added up by id.

        Equal ids are brought together first: adding whole runs is much faster than `np.add.at`.
        """
        result: Array = np.zeros((num_embeddings, g.shape[-1]), g.dtype)
        flat = ids.reshape(-1)
        if flat.size == 0:
            return result
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        starts = np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))
        rows = g.reshape(-1, g.shape[-1])[order]
        result[ordered[starts]] = np.add.reduceat(rows, starts, axis=0)
        return result

    def getitem(self, x: Array, *, index: Any) -> Array:
        """x[index]; a view where NumPy gives one."""
        return np.asarray(x[index])

    def getitem_grad(self, g: Array, *, index: Any, input_shape: tuple[int, ...]) -> Array:
        """Gradient for x: g at the picked places, added up where a place was picked twice."""
        result: Array = np.zeros(input_shape, g.dtype)
        if is_basic(index):
            result[index] = g
        else:
            np.add.at(result, index, g)
        return result

    def concat(self, *arrays: Array, axis: int) -> Array:
        """The arrays one after the other along an axis they have."""
        return np.concatenate(arrays, axis=axis)

    def where(self, condition: Array, a: Array, b: Array) -> Array:
        """a where the condition holds, else b (broadcasting)."""
        return np.where(condition, a, b)
