"""A table of learned vectors."""

import numpy as np

from tinytorch import functional as F
from tinytorch.functional import Ids
from tinytorch.nn.module import Module
from tinytorch.tensor import Parameter, Tensor


class Embedding(Module):
    """One vector of `embedding_dim` for each id in 0 ... num_embeddings - 1, drawn from N(0, 1)."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        rng = np.random.default_rng() if rng is None else rng
        table = rng.standard_normal((num_embeddings, embedding_dim)).astype(np.float32)
        self.weight = Parameter(table)

    def forward(self, ids: Ids) -> Tensor:
        """Whole numbers of any shape (...) -> (..., embedding_dim)."""
        return F.embedding(ids, self.weight)

    def extra_repr(self) -> str:
        """Size of the table."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
