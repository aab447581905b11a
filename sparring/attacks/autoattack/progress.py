"""How far an AutoAttack is, and how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

ROBUST, CLEAN = -1, -2
"""Codes of an image that no member broke so far and of one that was wrong before; others count the members from 0."""


@dataclass(frozen=True)
class Progress:
    """What is known after a batch."""

    done: int
    """Images with a final verdict."""
    total: int
    member: str
    """What ran last: "clean" (the predictions before any attack) or a member's name."""
    robust: int
    """Images that nothing broke so far, out of the `begun` ones."""
    begun: int
    """Images of the chunks attacked so far, this one included."""
    elapsed: float
    """Seconds since `run` was called."""
    eta: float | None
    """Seconds left, from the batches measured in this call; None before the first."""


class Pace:
    """Measures batches and tells how long the rest takes.

    A member costs an image what it did so far; one that has not run yet costs what its number of forward passes says,
    at the speed of those that have. Of images still to come, as many survive each member as have so far; a member that
    has seen none is taken to break none.
    """

    def __init__(self, costs: Sequence[float]) -> None:
        self.costs = costs
        self.seconds, self.images = [0.0] * len(costs), [0] * len(costs)
        self.faced, self.broke = [0] * len(costs), [0] * len(costs)
        self.begun, self.right = 0, 0

    def begin(self, codes: Int[Tensor, " m"]) -> None:
        """A chunk of these verdicts is under way, or was done in an earlier call."""
        self.begun += len(codes)
        self.right += int((codes != CLEAN).sum())

    def attacked(self, member: int, images: int, broke: int, seconds: float | None) -> None:
        """`member` met so many images and broke some; None seconds if that was in an earlier call."""
        self.faced[member] += images
        self.broke[member] += broke
        if seconds is not None:
            self.images[member] += images
            self.seconds[member] += seconds

    def eta(self, member: int, waiting: int, robust: int, ahead: int) -> float | None:
        """Seconds left, when `waiting` of the `robust` images of this chunk still have to face `member`, and `ahead`
        images lie in later chunks."""
        spent = sum(self.seconds)
        if not spent:
            return None
        unit = spent / sum(cost * n for cost, n in zip(self.costs, self.images, strict=True))
        each = [s / n if n else c * unit for s, n, c in zip(self.seconds, self.images, self.costs, strict=True)]
        lost = [b / f if f else 0.0 for b, f in zip(self.broke, self.faced, strict=True)]
        left = waiting * each[member]
        alive = robust - waiting * lost[member]
        for k in range(member + 1, len(each)):
            left += alive * each[k]
            alive *= 1 - lost[k]
        alive = ahead * self.right / self.begun
        for k in range(len(each)):
            left += alive * each[k]
            alive *= 1 - lost[k]
        return left


def no_verdicts(images: int) -> Int[Tensor, " m"]:
    """The codes before anything is known."""
    return torch.full((images,), ROBUST, dtype=torch.int64)
