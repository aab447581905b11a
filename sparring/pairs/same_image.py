"""Positives are the other views of the anchor's image; every row but the anchor competes."""

from __future__ import annotations

import torch

from sparring.types import Pairs, Rows


def same_image(rows: Rows) -> Pairs:
    """P(i) = {p != i : image_p = image_i}, A(i) = {k != i}: the pairs of SimCLR and UEL.

    `rows.image` is `[N]`; both masks are `[N, N]`, on its device.

    Paper: Chen et al. 2020, eq. 1 (any number of views). Differs from: nothing.
    """
    image = rows.image
    contrast = torch.ones(len(image), len(image), dtype=torch.bool, device=image.device).fill_diagonal_(False)
    return Pairs(positive=(image[:, None] == image).logical_and_(contrast), contrast=contrast)
