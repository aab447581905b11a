"""Exact Euclidean projections onto a ball AND a box, never one after the other.

Given v, radius r and a box [low, high] that contains 0, find argmin_d ||d - v||_2 subject to ||d||_p <= r and
low <= d <= high, for each row of a batch. No coordinate changes its sign or grows, so with a = |v| and c = how far a
coordinate may go in the direction of v (at most a), what remains is one multiplier a row (the KKT conditions):

    p = inf:  d = clip(v, max(low, -r), min(high, r))
    p = 2:    |d|_i = min(s a_i, c_i),               s in [0, 1] largest such that ||d||_2 <= r
    p = 1:    |d|_i = min(max(a_i - t, 0), c_i),     t >= 0 smallest such that ||d||_1 <= r

Both multipliers are found on their sorted breakpoints and then solved in closed form on their segment, in float64.
Simplex case without a box: Duchi et al. 2008; with a box, L1: Croce & Hein 2021 (arXiv 2103.01208).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Box = tuple[Tensor, Tensor]
"""Lowest and highest allowed value per coordinate; both of the shape of what is projected; contains 0."""

TINY = torch.finfo(torch.float64).tiny


def onto_linf(v: Float[Tensor, "B *image"], radius: float, box: Box | None) -> Float[Tensor, "B *image"]:
    """Both sets are boxes, so clipping twice is exact."""
    d = v.clamp(-radius, radius)
    return d if box is None else d.clamp(*box)


def onto_l2(v: Float[Tensor, "B *image"], radius: float, box: Box | None) -> Float[Tensor, "B *image"]:
    """Shrink by a factor s, coordinates stopping at the box: ||min(s a, c)||_2 rises with s."""
    a, c = lengths(v, box)
    stops_at = torch.where(a > 0, c / a, 1.0)
    order = stops_at.argsort(dim=1)
    s = stops_at.gather(1, order)
    a2, c2 = a.gather(1, order).square(), c.gather(1, order).square()
    norm2 = c2.cumsum(1) + s.square() * (a2.sum(1, keepdim=True) - a2.cumsum(1))
    inside = (norm2 < radius**2).sum(1, keepdim=True)
    last = s.gather(1, (inside - 1).clamp(min=0))
    stopped = (stops_at <= last) & (inside > 0)
    room = (radius**2 - c.square().where(stopped, 0).sum(1, keepdim=True)).clamp(min=0)
    s = (room / a.square().where(~stopped, 0).sum(1, keepdim=True).clamp(min=TINY)).sqrt().clamp(max=1)
    # A row of norm r but for rounding may count as stopped everywhere, and then has no room that would give s.
    return as_before(v, torch.where(stopped, c, torch.minimum(s * a, c)))


def onto_l1(v: Float[Tensor, "B *image"], radius: float, box: Box | None) -> Float[Tensor, "B *image"]:
    """Soft-threshold by t, coordinates held by the box until t exceeds a - c: ||.||_1 falls with t."""
    a, c = lengths(v, box)
    moves_from, zero_from = a - c, a
    t, order = torch.cat([moves_from, zero_from], dim=1).sort(dim=1)
    joins = torch.cat([torch.ones_like(a), -torch.ones_like(a)], dim=1).gather(1, order)
    falls = joins.cumsum(1)[:, :-1] * t.diff(dim=1)
    norm = c.sum(1, keepdim=True) - torch.cat([torch.zeros_like(t[:, :1]), falls.cumsum(1)], dim=1)
    outside = (norm > radius).sum(1, keepdim=True)
    last = t.gather(1, (outside - 1).clamp(min=0))
    moving, held = (moves_from <= last) & (zero_from > last), moves_from > last
    excess = a.where(moving, 0).sum(1, keepdim=True) + c.where(held, 0).sum(1, keepdim=True) - radius
    threshold = (excess / moving.sum(1, keepdim=True).clamp(min=1)).where(outside > 0, 0)
    return as_before(v, torch.minimum((a - threshold).clamp(min=0), c))


def lengths(v: Tensor, box: Box | None) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
    """a = |v| and c = min(a, distance from 0 to the box in the direction of v), in float64, one row an image."""
    a = v.abs().flatten(1).double()
    if box is None:
        return a, a
    low, high = box
    return a, torch.minimum(a, torch.where(v > 0, high, -low).flatten(1).double())


def as_before(v: Tensor, length: Float[Tensor, "B D"]) -> Tensor:
    """The given lengths with the signs, shape and dtype of v. Rounding does not leave the box."""
    return length.view(v.shape).to(v.dtype).copysign(v)
