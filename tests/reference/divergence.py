"""Intra- and inter-class divergence as loops over all pairs (ASCL, section 2)."""

from __future__ import annotations

import math


def cosine_distance(u, v) -> float:
    dot = sum(a * b for a, b in zip(u, v, strict=True))
    return 1 - dot / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v))


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def per_anchor(z, z_adv, y, copies, own):
    """`(intra, inter)` lists with one mean distance for every anchor that has such members."""
    intra, inter = [], []
    for i in range(len(z)):
        positives, negatives = [], []
        for j in range(len(z)):
            for copy in copies:
                distance = cosine_distance(z[i], z[j] if copy == "clean" else z_adv[j])
                if j == i:
                    if own and copy == "adv":
                        positives.append(distance)
                elif y[j] == y[i]:
                    positives.append(distance)
                else:
                    negatives.append(distance)
        if positives:
            intra.append(mean(positives))
        if negatives:
            inter.append(mean(negatives))
    return intra, inter


def divergence(z, z_adv, y, batch_size, copies=("clean", "adv"), own=False) -> tuple[float, float]:
    """d+ and d-: means over all anchors, each among the rows of its mini-batch."""
    intra, inter = [], []
    for start in range(0, len(z), batch_size):
        rows = slice(start, start + batch_size)
        near, far = per_anchor(z[rows], z_adv[rows], y[rows], copies, own)
        intra += near
        inter += far
    return mean(intra), mean(inter)
