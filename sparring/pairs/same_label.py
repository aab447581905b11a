"""Positives are all other rows with the anchor's label; every row but the anchor competes."""

from __future__ import annotations

import torch

from sparring.types import Pairs, Rows


def same_label(rows: Rows) -> Pairs:
    """P(i) = {p != i : label_p = label_i}, A(i) = {k != i}: the pairs of SupCon ("global selection" in ASCL).

    `rows.labels` is `[N]`; both masks are `[N, N]`, on its device. An anchor that is alone with its label has no
    positive. Labels are only compared: images without a label need numbers of their own, not one number for all.

    Raises ValueError if `rows.labels` is None or not one label a row.

    Paper: Khosla et al. 2020, section 3.2. Differs from: nothing.
    """
    labels = rows.labels
    if labels is None:
        raise ValueError("labels is None, but same_label needs one label a row: pass labels, or use same_image")
    if len(labels) != len(rows.image):
        raise ValueError(f"labels has {len(labels)} entries for {len(rows.image)} rows: one label a row is needed")
    contrast = torch.ones(len(labels), len(labels), dtype=torch.bool, device=labels.device).fill_diagonal_(False)
    return Pairs(positive=(labels[:, None] == labels).logical_and_(contrast), contrast=contrast)
