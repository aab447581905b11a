"""Distances between all rows of two sets without an N x M x D tensor, in either pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Norm = Literal["l1", "l2", "linf"]
NORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda difference: difference.abs().sum(dim=2),
    "l2": lambda difference: torch.linalg.vector_norm(difference, dim=2),
    "linf": lambda difference: difference.abs().amax(dim=2),
}
ELEMENTS = 2**22
"""Differences that exist at a time (16 MB of float32), unless one row has more."""


def distances(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"], norm: Norm) -> Float[Tensor, "N M"]:
    """||a_i - b_k||_p of all pairs, p = 1, 2 or infinity, in the dtype of the rows.

    From the differences themselves, not from inner products: exact for rows that nearly coincide, as an image and its
    adversarial example do. Blocks of rows are computed again in the backward pass instead of keeping their differences.

    Where there is no gradient, a subgradient: zero at distance zero, and for linf the mean over the coordinates that tie
    for the largest difference.
    """
    rows = max(1, ELEMENTS // max(1, b.numel()))
    blocks = [
        checkpoint(_distances, block, b, norm, use_reentrant=False, preserve_rng_state=False) for block in a.split(rows)
    ]
    return torch.cat(blocks)


def _distances(a: Tensor, b: Tensor, norm: Norm) -> Tensor:
    return NORMS[norm](a[:, None] - b)
