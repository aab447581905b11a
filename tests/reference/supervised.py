"""Adversarial training, TRADES, ADR and ASCL put together as their papers write them: loops over float64 numbers."""

from __future__ import annotations

import torch

from tests.reference import adversarial


def cross_entropy(logits, labels):
    """The mean over images of -log p_y."""
    rows = zip(logits, labels, strict=True)
    return -sum(adversarial.softmax(row)[y].log() for row, y in rows) / len(logits)


def pgd(value, x, start, eps: float, step: float, steps: int):
    """Madry et al.: signed steps, clipped to the Linf ball and to [0, 1]; `value` is any sum over images."""
    x_adv = (x + start).clamp(x - eps, x + eps).clamp(0, 1)
    for _ in range(steps):
        x_adv = x_adv.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(x_adv), x_adv)
        x_adv = (x_adv + step * gradient.sign()).clamp(x - eps, x + eps).clamp(0, 1)
    return x_adv.detach()


def table_1(labels, predictions, strategy: str):
    """Z+ and Z- of each row of [clean; adversarial], ASCL's Table 1; `labels` are the images'."""
    images = len(labels)
    rows = range(2 * images)
    positives, negatives = [], []
    for i in rows:
        others = [j for j in rows if j % images != i % images]
        alike = {j for j in others if predictions[j] == predictions[i]}
        as_label = {j for j in others if predictions[j] == labels[i % images]}
        same = {j for j in others if labels[j % images] == labels[i % images]}
        rest = set(others) - same
        positives.append(same & alike if strategy == "leaked" else same)
        negatives.append(rest & {"global": rest, "hard": as_label, "soft": alike, "leaked": alike}[strategy])
    return positives, negatives
