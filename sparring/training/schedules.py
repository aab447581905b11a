"""Learning rate as a pure function of the (fractional) epoch: constant, step, and cosine with a linear warm-up."""

from __future__ import annotations

import math
from collections.abc import Sequence

WARMUP_START = 1e-3
"""Warm-up begins, and the cosine ends, at this fraction of the base rate."""


def constant(epoch: float, lr: float) -> float:
    """lr(t) = lr."""
    return lr


def step(epoch: float, lr: float, milestones: Sequence[int], factors: Sequence[float]) -> float:
    """lr(t) = lr * factors[j] from epoch milestones[j] on: factors are of the base rate, not of the previous one."""
    factor = 1.0
    for milestone, after in zip(milestones, factors, strict=True):
        if epoch >= milestone:
            factor = after
    return lr * factor


def cosine(epoch: float, lr: float, epochs: int) -> float:
    """lr(t) = floor + (lr - floor) (1 + cos(pi t / epochs)) / 2 with floor = lr / 1000 (SGDR, 2017, eq. 5)."""
    floor = WARMUP_START * lr
    return floor + (lr - floor) * (1 + math.cos(math.pi * min(epoch / epochs, 1.0))) / 2


def learning_rate(
    epoch: float,
    *,
    schedule: str,
    lr: float,
    epochs: int,
    milestones: Sequence[int] = (),
    factors: Sequence[float] = (),
    warmup_epochs: int = 0,
) -> float:
    """The rate at `epoch` (fractional: epoch 2.5 is the middle of the third epoch).

    With warm-up the rate rises linearly from lr / 1000 to lr within `warmup_epochs`; the cosine then covers the rest,
    while constant and step count epochs from the start of the run.
    Differs from HobbitLong/SupContrast: its cosine covers the warm-up too, so that it warms up to a little below lr; it
    warms up from a rate of 0.01, whatever lr is; and it sets the cosine once an epoch, counted from 1.
    """
    if epoch < warmup_epochs:
        return lr * (WARMUP_START + (1 - WARMUP_START) * epoch / warmup_epochs)
    if schedule == "step":
        return step(epoch, lr, milestones, factors)
    if schedule == "cosine":
        return cosine(epoch - warmup_epochs, lr, epochs - warmup_epochs)
    return constant(epoch, lr)
