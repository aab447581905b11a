"""How embeddings lie on the sphere: alignment, uniformity, effective rank."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

CHUNK_ROWS = 2048


def alignment(z_a: Float[Tensor, "N D"], z_b: Float[Tensor, "N D"]) -> float:
    """Mean squared distance of positive pairs, mean_i |z_a,i - z_b,i|^2 on the unit sphere; 0 is perfect, 2 chance.

    Wang & Isola 2020, eq. 4 with exponent 2.
    """
    if z_a.shape != z_b.shape or not len(z_a):
        raise ValueError(
            f"alignment needs two embeddings of every image, not {tuple(z_a.shape)} and {tuple(z_b.shape)}"
        )
    difference = functional.normalize(z_a.double(), dim=1) - functional.normalize(z_b.double(), dim=1)
    return difference.square().sum(dim=1).mean().item()


def uniformity(z: Float[Tensor, "N D"], t: float = 2.0) -> float:
    """log mean_{i < j} exp(-t |z_i - z_j|^2) on the unit sphere; lower is more uniform, 0 is collapse.

    Wang & Isola 2020, eq. 5. Memory is a block of rows, never N x N x D.
    """
    if len(z) < 2:
        raise ValueError(f"uniformity needs at least 2 embeddings, not {len(z)}")
    z = functional.normalize(z.double(), dim=1)
    total = 0.0
    for start in range(0, len(z), CHUNK_ROWS):
        rows = z[start : start + CHUNK_ROWS]
        # |u - v|^2 = 2 - 2 u.v on the sphere; pairs below the diagonal are left out
        kernel = (-t * (2 - 2 * (rows @ z.T))).exp()
        total += kernel.triu(diagonal=start + 1).sum().item()
    return torch.tensor(2 * total / (len(z) * (len(z) - 1)), dtype=torch.float64).log().item()


def effective_rank(z: Float[Tensor, "N D"]) -> float:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007): 1 is full collapse, D none.

    The mean is subtracted first, so that a common offset of all embeddings does not count as a direction.
    """
    if len(z) < 2:
        raise ValueError(f"effective rank needs at least 2 embeddings, not {len(z)}")
    z = z.double()
    singular = torch.linalg.svdvals(z - z.mean(dim=0))
    if singular.sum() == 0:
        return 1.0
    share = singular / singular.sum()
    return torch.special.entr(share).sum().exp().item()
