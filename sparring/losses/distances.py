"""Distances between all rows of two sets without an N x M x D tensor, in either pass."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Norm = Literal["l1", "l2", "linf"]
ORDER: dict[str, float] = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}
ELEMENTS = 2**22
"""Differences that exist at a time (16 MB of float32), unless one row has more."""


def distances(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"], norm: Norm) -> Float[Tensor, "N M"]:
    """||a_i - b_k||_p of all pairs, p = 1, 2 or infinity, in the dtype of the rows.

    From the differences themselves, not from inner products: exact for rows that nearly coincide, as an image and its
    adversarial example do. Blocks of rows are computed again in the backward pass instead of keeping their differences.

    Where there is no gradient, a subgradient: zero at distance zero, and for linf the mean over the coordinates that tie
    for the largest difference.
    """
    rows = max(1, ELEMENTS // b.numel())
    blocks = [
        checkpoint(_distances, a[start : start + rows], b, ORDER[norm], use_reentrant=False, preserve_rng_state=False)
        for start in range(0, len(a), rows)
    ]
    return torch.cat(blocks)


def _distances(a: Tensor, b: Tensor, order: float) -> Tensor:
    return torch.linalg.vector_norm(a[:, None] - b, order, dim=2)
