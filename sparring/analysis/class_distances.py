"""How far classes lie apart, and from themselves: mean distances between pairs of classes (003, Fig. 3, section G)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

CHUNK_ROWS = 1024

Distance = Literal["chord", "cosine", "l2"]


@dataclass(frozen=True)
class ClassDistances:
    """The heat map and what it comes to."""

    mean: Float[Tensor, "K K"]
    """Mean distance between instances of two classes; on the diagonal between different instances of one class."""
    intra: float
    """Mean of the diagonal: every class counts alike, whatever its size."""
    inter: float
    """Mean beside the diagonal."""
    ratio: float
    """Mean over ordered pairs c != c' of mean[c, c'] / mean[c, c]: the paper's "avg ratio of inter upon intra"."""
    ratio_of_means: float
    """inter / intra, the other reading of it."""
    distance: Distance


def class_distances(
    rows: Float[Tensor, "N D"], labels: Int[Tensor, " _"], *, distance: Distance = "chord"
) -> ClassDistances:
    """Mean distances between instances of every two classes, in float64.

        mean[a, b] = mean over i in class a, j in class b, i != j of dist(rows_i, rows_j)

        chord:   |u - v| = sqrt(2 - 2 cos), u and v being rows divided by their length (0 to 2)
        cosine:  1 - cos (0 to 2), half the square of the chord
        l2:      |rows_i - rows_j|, lengths included

    The default is the Euclidean distance on the unit hypersphere, where the paper's features lie; the paper does not say
    which distance it draws, and the ratio depends on it: squaring (cosine instead of chord) roughly squares it. It reports
    a ratio of 1.98 for SupCon and 1.19 for SimCLR on CIFAR-10. Memory is a block of rows times N, never N x N x D.

    `labels` are classes 0..K-1. Raises ValueError for an unknown distance, labels that do not fit, fewer than 2 classes
    or a class with fewer than 2 instances, rows that are not finite or (but for l2) of length 0, and a class whose
    instances all coincide, whose inter/intra ratio is infinite.

    Paper: Gupta et al. 2022, section 4.3, Fig. 3, and supplement, section G.
    """
    _check(rows, labels, distance)
    rows, labels = rows.detach().double(), labels.long().to(rows.device)
    if distance != "l2":
        rows = functional.normalize(rows, dim=1)
    squares = rows.square().sum(dim=1)
    member = functional.one_hot(labels).double()
    sums = rows.new_zeros(member.shape[1], member.shape[1])
    for start in range(0, len(rows), CHUNK_ROWS):
        block = rows[start : start + CHUNK_ROWS]
        if distance == "cosine":
            apart = 1 - block @ rows.T
        else:
            apart = (squares[start : start + len(block), None] + squares - 2 * (block @ rows.T)).clamp(min=0).sqrt()
        # an instance's distance to itself is 0, which rounding under the root would miss
        apart[torch.arange(len(block)), torch.arange(start, start + len(block))] = 0
        sums += member[start : start + CHUNK_ROWS].T @ (apart @ member)
    counts = member.sum(dim=0)
    mean = (sums / (counts[:, None] * counts - counts.diag())).cpu()
    own, others = mean.diagonal(), ~torch.eye(len(mean), dtype=torch.bool)
    if (own <= 0).any():
        raise ValueError(f"all instances of class {int(own.argmin())} coincide: inter upon intra is infinite")
    inter = mean[others].mean().item()
    return ClassDistances(
        mean=mean,
        intra=own.mean().item(),
        inter=inter,
        ratio=(mean / own[:, None])[others].mean().item(),
        ratio_of_means=inter / own.mean().item(),
        distance=distance,
    )


def _check(rows: Tensor, labels: Tensor, distance: str) -> None:
    if distance not in ("chord", "cosine", "l2"):
        raise ValueError(f"distance must be chord, cosine or l2, not {distance!r}")
    if len(rows) != len(labels):
        raise ValueError(f"{len(rows)} rows need as many labels, not {len(labels)}")
    counts = torch.bincount(labels.cpu()) if len(labels) and int(labels.min()) >= 0 else torch.zeros(0)
    if len(counts) < 2 or int(counts.min()) < 2:
        raise ValueError(
            f"class distances need classes 0..K-1, at least 2 of them with at least 2 instances each, not {counts.tolist()}"
        )
    if not rows.isfinite().all():
        raise ValueError("rows hold values that are not finite")
    if distance != "l2" and not rows.any(dim=1).all():
        raise ValueError("a row has length 0, and with it no direction: use distance l2")
