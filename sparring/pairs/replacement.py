"""What stands in the place of removed negatives: others of the same anchor, drawn or weighed (see false_negatives.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from sparring.types import Pairs, Rows

Unit = Literal["instance", "view"]
Replacement = Literal["none", "resample", "rescale"]


def replaced(pairs: Pairs, base: Pairs, replacement: Replacement, unit: Unit, rows: Rows) -> Pairs:
    """`pairs` with weights that make up for the negatives that `base` has and they have not."""
    if replacement == "none":
        return pairs
    remaining, removed = pairs.negative, base.negative & ~pairs.negative
    if replacement == "rescale":
        n, left = base.negative.sum(dim=1, keepdim=True), remaining.sum(dim=1, keepdim=True)
        return replace(pairs, weight=torch.where(remaining, n / left.clamp(min=1), 1.0))
    if unit == "view":
        return replace(pairs, weight=1.0 + _drawn(remaining, removed, rows.generator))
    image, images = images_of(rows)
    row = torch.arange(len(image), device=image.device)
    first = torch.full((images,), len(image), device=image.device).scatter_reduce_(0, image, row, "amin")
    drawn = _drawn(remaining[:, first], removed[:, first], rows.generator)
    return replace(pairs, weight=1.0 + drawn[:, image])


def _drawn(remaining: Tensor, removed: Tensor, generator: torch.Generator | None) -> Tensor:
    """How often each of the remaining is drawn when every removed one is replaced by one of them, [N, M] in whole numbers."""
    if generator is None:
        generator = torch.Generator(remaining.device).manual_seed(0)
    place = remaining.cumsum(dim=1)
    left = place[:, -1:]
    which = torch.rand(removed.shape, device=removed.device, generator=generator) * left
    which = which.long().clamp(max=left - 1)
    # The first key up to which more than `which` of the remaining stand.
    chosen = torch.searchsorted(place, which, right=True).clamp(max=removed.shape[1] - 1)
    draws = (removed & (left > 0)).float()
    return torch.zeros_like(draws).scatter_add_(1, chosen, draws)


def images_of(rows: Rows) -> tuple[Int[Tensor, " N"], int]:
    """Each row's image, counted from 0 without gaps, and how many there are."""
    if rows.images is not None:
        return rows.image, rows.images
    different, image = rows.image.unique(return_inverse=True)
    return image, len(different)
