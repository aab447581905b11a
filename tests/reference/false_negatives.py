"""Removal of false negatives and weighted losses, pair by pair and draw by draw; never imports sparring."""

from __future__ import annotations

import math

import torch


def removed_images(strategy: str, images: int, epoch: int, **options) -> int:
    """The strategies of 003, section 5, one epoch after another."""
    if strategy == "frequency":
        k = math.floor(images / options["classes"])
    elif strategy == "precision":
        k = 0
        for t in range(1, epoch + 1):
            k += t % options["every"] == 0
    else:
        k = images / 2
        for t in range(1, epoch + 1):
            k -= images / options["parts"] if t % options["every"] == 0 else 0
        k = max(0, math.floor(k))
    return max(0, min(k, images - 2))


def cosine(u: list[float], v: list[float]) -> float:
    return sum(a * b for a, b in zip(u, v, strict=True)) / math.hypot(*u) / math.hypot(*v)


def removed_rows(z, image, anchor: int, count: int, unit: str) -> set[int]:
    """Which rows leave the negatives of an anchor: the `count` nearest images, or as many rows by themselves."""
    others = [r for r in range(len(z)) if image[r] != image[anchor]]
    if unit == "view":
        views = len(z) // len(set(image))
        others.sort(key=lambda r: -cosine(z[anchor], z[r]))
        return set(others[: views * count])
    nearness = {}
    for r in others:
        nearness[image[r]] = max(nearness.get(image[r], -2.0), cosine(z[anchor], z[r]))
    nearest = sorted(nearness, key=lambda j: -nearness[j])[:count]
    return {r for r in others if image[r] in nearest}


def precision_and_recall(removed: list[set[int]], image, labels) -> tuple[float, float]:
    """Over all anchors together."""
    rows = range(len(image))
    false = {(i, r) for i in rows for r in rows if image[r] != image[i] and labels[r] == labels[i]}
    gone = {(i, r) for i in rows for r in removed[i]}
    return (len(gone & false) / len(gone) if gone else 1.0), (len(gone & false) / len(false) if false else 1.0)


def similarities(anchors, keys, temperature: float):
    unit = [[row / (row * row).sum().sqrt() for row in rows] for rows in (anchors, keys)]
    return [[(a * k).sum() / temperature for k in unit[1]] for a in unit[0]]


def info_nce_weighted(anchors, keys, positive, contrast, weight, temperature: float):
    """SupCon eq. 2 with w_ik exp(s_ik) in the denominator; all three are nested lists."""
    s = similarities(anchors, keys, temperature)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(anchors)):
        competing = [k for k in range(len(keys)) if contrast[i][k]]
        positives = [k for k in range(len(keys)) if positive[i][k]]
        for p in positives:
            denominator = sum(weight[i][k] * s[i][k].exp() for k in competing)
            total = total - (s[i][p].exp() / denominator).log() / len(positives)
    return total / len(anchors)


def uel_repeated(z, positive, contrast, times, temperature: float):
    """UEL with detached keys over a list of keys in which key k of anchor i stands `times[i][k]` times."""
    s = similarities(z, z.detach(), temperature)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(len(z)):
        keys = [k for k in range(len(z)) if contrast[i][k] for _ in range(times[i][k])]
        positives = [k for k in keys if positive[i][k]]
        denominator = sum(s[i][k].exp() for k in keys)
        for k in keys if positives else []:
            p = s[i][k].exp() / denominator
            total = total - (p.log() / len(positives) if k in positives else (1 - p).log())
    return total / len(z)
