"""Divergence in the latent space: how far apart a class lies against how far apart classes lie (002, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

BLOCK_ROWS = 2048
COLLAPSED = 1e-12
"""Cosine distances below this are rounding: a ratio of two of them says nothing."""

CLEAN, ADV = 0, 1


@dataclass(frozen=True)
class Divergence:
    """Mean cosine distances of representations, in [0, 2]; lower ratios go with higher robustness (002, O1)."""

    intra: float
    """d+_a among clean examples alone."""
    inter: float
    """d-_a among clean examples alone."""
    intra_adv: float
    """d+_a with adversarial examples among the members."""
    inter_adv: float
    """d-_a with adversarial examples among the members."""
    r_div: float
    """The adversarial R-DIV, intra_adv / inter_adv; nan where classes have collapsed onto one direction."""
    r_div_clean: float
    """R-DIV among clean examples alone, intra / inter; nan likewise."""
    intra_adv_std: float
    """Standard deviation of the anchors' distances behind intra_adv (the bars of Figs. 2a and 6)."""
    inter_adv_std: float
    anchors: int
    """How many anchors there are, n."""
    without_positive: int
    """Anchors alone with their label in their mini-batch: left out of intra, and of intra_adv unless include_own."""
    without_negative: int
    """Anchors whose mini-batch has no other label: left out of inter and inter_adv."""


def divergence(
    features: Float[Tensor, "n D"],
    features_adv: Float[Tensor, "n D"],
    labels: Int[Tensor, " n"],
    *,
    batch_size: int | None = 128,
    pairs: Literal["definition", "clean_to_adv"] = "definition",
    include_own: bool = False,
) -> Divergence:
    """Absolute intra- and inter-class divergence and their ratio R-DIV.

        d+_a = mean_i mean_{x in X+_i} d(z_i, z(x)),  X+_i = {x_j, x_j^a : j != i, y_j = y_i}
        d-_a = mean_i mean_{x in X-_i} d(z_i, z(x)),  X-_i = {x_j, x_j^a : j != i, y_j != y_i}
        R-DIV = d+_a / d-_a,                          d = 1 - cosine similarity

    Anchors i are clean; `features` are their penultimate representations, `features_adv` those of their adversarial
    examples, row by row. With `pairs="clean_to_adv"` the sets hold the x_j^a alone (the paper's introduction speaks of
    the divergence of "benign images and their adversarial examples"). `include_own` adds x_i^a to X+_i.

    Members are looked for within consecutive mini-batches of `batch_size` rows (the paper's 128), or in the whole set
    with None; then the order of rows does not matter. Cosines are summed as z_i / |z_i| times the sum of a class's
    z_j / |z_j|: exact, in float64, O(n D), with no n x n matrix. A row of zeros has cosine 0 to everything.

    An anchor without same-class (other-class) members in its mini-batch has no d+ (no d-): it is left out of that
    mean and counted.

    Raises ValueError for shapes that do not fit, features that are not finite, a batch size below 2, an unknown
    `pairs`, and data in which no anchor has a same-class, or an other-class, member.

    Paper: Bui et al. 2021 (ASCL), section 2 (i) and (ii), section 7; Figs. 2, 5, 6. No published code.
    Differs from section 7: the mean is over anchors, so a shorter last mini-batch weighs as many anchors as it has,
    not as much as a full one; and the ratio is that of the two means, not a mean of ratios (the paper does not say).
    """
    _check(features, features_adv, labels, batch_size, pairs)
    n = len(features)
    size = n if batch_size is None else batch_size
    with torch.no_grad():
        batches = [
            _of_anchors(features[s], features_adv[s], labels[s].to(features.device), pairs, include_own)
            for s in _slices(n, size)
        ]
    intra, inter, intra_adv, inter_adv = torch.cat(batches, dim=1)
    where = "the whole set" if size >= n else f"its mini-batch of {size} consecutive rows"
    if intra.isnan().all():
        raise ValueError(f"labels: no image has another of its class in {where}, so there is no intra-class divergence")
    if inter.isnan().all():
        raise ValueError(
            f"labels: no image has one of another class in {where}, so there is no inter-class divergence "
            "(rows sorted by class need shuffling or batch_size=None)"
        )
    means = [values.nanmean().item() for values in (intra, inter, intra_adv, inter_adv)]
    return Divergence(
        *means,
        r_div=_ratio(means[2], means[3]),
        r_div_clean=_ratio(means[0], means[1]),
        intra_adv_std=_std(intra_adv),
        inter_adv_std=_std(inter_adv),
        anchors=n,
        without_positive=int(intra.isnan().sum()),
        without_negative=int(inter.isnan().sum()),
    )


def _of_anchors(
    h: Float[Tensor, "n D"], h_adv: Float[Tensor, "n D"], labels: Int[Tensor, " n"], pairs: str, include_own: bool
) -> Float[Tensor, "4 n"]:
    """Every anchor's clean d+ and d-, then d+ and d- with adversarial members; nan without members."""
    _, classes, sizes = labels.unique(return_inverse=True, return_counts=True)
    same, every, own = _cosine_sums(h, h_adv, classes, len(sizes))
    positives, negatives = sizes[classes] - 1, len(h) - sizes[classes]
    copies = [CLEAN, ADV] if pairs == "definition" else [ADV]
    similarity = (same - own)[copies].sum(dim=0)
    members = len(copies) * positives
    if include_own:
        similarity, members = similarity + own[ADV], members + 1
    return torch.stack(
        [
            _distance((same - own)[CLEAN], positives),
            _distance((every - same)[CLEAN], negatives),
            _distance(similarity, members),
            _distance((every - same)[copies].sum(dim=0), len(copies) * negatives),
        ]
    )


def _cosine_sums(
    h: Float[Tensor, "n D"], h_adv: Float[Tensor, "n D"], classes: Int[Tensor, " n"], number: int
) -> tuple[Float[Tensor, "2 n"], Float[Tensor, "2 n"], Float[Tensor, "2 n"]]:
    """Sums of an anchor's cosines to the clean and to the adversarial copies of its class, of all images, of itself."""
    sums = torch.zeros(2, number, h.shape[1], dtype=torch.float64, device=h.device)
    for rows in _slices(len(h), BLOCK_ROWS):
        for copy, keys in enumerate((h, h_adv)):
            sums[copy].index_add_(0, classes[rows], _unit(keys[rows]))
    every = sums.sum(dim=1, keepdim=True)
    same_class, all_images, itself = [], [], []
    for rows in _slices(len(h), BLOCK_ROWS):
        anchors = _unit(h[rows])
        same_class.append((sums[:, classes[rows]] * anchors).sum(dim=2))
        all_images.append((every * anchors).sum(dim=2))
        itself.append((torch.stack([anchors, _unit(h_adv[rows])]) * anchors).sum(dim=2))
    return torch.cat(same_class, dim=1), torch.cat(all_images, dim=1), torch.cat(itself, dim=1)


def _unit(rows: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
    # the largest entry first, so that features of any scale are squared without under- or overflow
    rows = rows.double()
    largest = rows.abs().amax(dim=1, keepdim=True)
    return functional.normalize(rows / largest.where(largest > 0, 1.0), dim=1)


def _distance(similarity: Float[Tensor, " n"], members: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    # 0 / 0 = nan marks an anchor without members
    return (1 - similarity / members).clamp(min=0)


def _ratio(intra: float, inter: float) -> float:
    return intra / inter if inter > COLLAPSED else float("nan")


def _std(values: Float[Tensor, " n"]) -> float:
    return values[~values.isnan()].std(correction=0).item()


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))


def _check(features: Tensor, features_adv: Tensor, labels: Tensor, batch_size: int | None, pairs: str) -> None:
    if features.ndim != 2:
        raise ValueError(
            f"features is {tuple(features.shape)}, but must be one row an image, [n D]: flatten maps first"
        )
    if features.shape != features_adv.shape:
        raise ValueError(
            f"features_adv is {tuple(features_adv.shape)}, features {tuple(features.shape)}: "
            "one adversarial example a row is needed"
        )
    if len(labels) != len(features):
        raise ValueError(f"labels has {len(labels)} entries for {len(features)} rows: one label a row is needed")
    if len(features) < 2:
        raise ValueError(f"features has {len(features)} rows: a divergence needs at least 2 images")
    if batch_size is not None and batch_size < 2:
        raise ValueError(f"batch_size is {batch_size}, but must be at least 2, or None for the whole set")
    if pairs not in ("definition", "clean_to_adv"):
        raise ValueError(f'pairs is "{pairs}", but must be "definition" or "clean_to_adv"')
    for name, rows in (("features", features), ("features_adv", features_adv)):
        bad = (~rows.isfinite()).any(dim=1)
        if bad.any():
            raise ValueError(
                f"{name} has {int(bad.sum())} rows that are not finite, the first at {int(bad.int().argmax())}"
            )
