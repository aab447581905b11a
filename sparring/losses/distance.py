"""Distances between all rows of two sets without an N x M x D tensor, in either pass."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Norm = Literal["l1", "l2", "linf"]
P: dict[str, float] = {"l1": 1.0, "l2": 2.0, "linf": torch.inf}
ELEMENTS = 2**20
"""Differences that exist at a time (4 MB of float32), unless one row has more."""


def distances(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"], norm: Norm) -> Float[Tensor, "N M"]:
    """||a_i - b_k||_p of all pairs, p = 1, 2 or infinity; rows in float32 or float64.

    From the differences themselves, not from inner products: exact for rows that nearly coincide, as an image and its
    adversarial example do. The backward pass takes the differences again, some rows at a time, instead of keeping them.

    Where there is no gradient, a subgradient: zero in a coordinate where l1's difference is zero, zero at distance zero,
    and for linf the mean over the coordinates that tie for the largest difference.
    """
    return _Distances.apply(a, b, norm)


def _direction(difference: Float[Tensor, "n M D"], distance: Float[Tensor, "n M 1"], norm: Norm) -> Tensor:
    """The gradient of the norm with respect to the difference."""
    if norm == "l1":
        return difference.sign()
    if norm == "l2":
        return difference / distance.where(distance > 0, 1.0)
    largest = difference.abs() == distance
    return difference.sign() * largest / largest.sum(dim=2, keepdim=True)


class _Distances(torch.autograd.Function):
    """torch.cdist, whose own backward pass makes N x M x D on a GPU and counts tied coordinates of linf in full."""

    @staticmethod
    def forward(a: Tensor, b: Tensor, norm: Norm) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return torch.cdist(a, b, P[norm], compute_mode="donot_use_mm_for_euclid_dist")

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        a, b, ctx.norm = inputs
        ctx.save_for_backward(a, b, output)

    @staticmethod
    def backward(ctx, grad):  # pyright: ignore[reportIncompatibleMethodOverride]
        a, b, distance = ctx.saved_tensors
        grad_a, grad_b = [], torch.zeros_like(b)
        rows = max(1, ELEMENTS // b.numel())
        for start in range(0, len(a), rows):
            block = slice(start, start + rows)
            direction = _direction(a[block, None] - b, distance[block, :, None], ctx.norm)
            pull = direction * grad[block, :, None]
            grad_a.append(pull.sum(dim=1))
            grad_b = grad_b - pull.sum(dim=0)
        return torch.cat(grad_a), grad_b, None
