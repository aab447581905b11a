"""What an attack on a classifier maximises: one value per image [B], from logits z [B K], labels y [B], targets t [B].

| name | untargeted | targeted | paper |
|---|---|---|---|
| cross_entropy | log sum_k exp z_k - z_y | z_t - log sum_k exp z_k | Madry et al. 2018, eq. 2.1 |
| margin | max_{k != y} z_k - z_y | z_t - z_y | Carlini & Wagner 2017, f_6 without its clamp |
| dlr | (max_{k != y} z_k - z_y) / (z_(1) - z_(3)) | (z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2) | Croce & Hein 2020, DLR loss |

z_(1) >= z_(2) >= ... are the logits in descending order. An image is misclassified exactly where margin and dlr are
positive. dlr does not change when the logits are multiplied, so a classifier of huge logits does not flatten it as it
flattens cross-entropy; its denominator has 1e-12 added, as published (fra31/auto-attack), and is differentiated too.

Without labels, on representations h [B D] or [B ...]: `feature_distance` and `cosine_distance` of an image's
representation from the one it had. Both have a zero gradient where the two are equal: start at random.

All are computed in float32 or better, whatever the dtype of the logits (16-bit logits tie). Labels are not looked at:
`Untargeted` and `MultiTargeted` (classifier.py) do that once, not at every step.
Raises ValueError for fewer classes than the formula needs: 2 for margin, 3 for dlr, 4 for targeted dlr.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

Logits = Float[Tensor, "B K"]
Classes = Int[Tensor, " B"]
Values = Float[Tensor, " B"]

NEVER_ZERO = 1e-12
"""Added to dlr's denominator, as published: all leading logits may tie."""


def cross_entropy(logits: Logits, y: Classes) -> Values:
    """-log p_y, in nats."""
    return F.cross_entropy(precise(logits), y.long(), reduction="none")


def margin(logits: Logits, y: Classes) -> Values:
    """The highest wrong logit minus the true one."""
    enough(logits, 2, "margin")
    z = precise(logits)
    return z.scatter(1, y.long()[:, None], -torch.inf).amax(dim=1) - of(z, y)


def dlr(logits: Logits, y: Classes) -> Values:
    """The margin over the distance from the first to the third logit; in [-1, 0] while the image is right."""
    enough(logits, 3, "dlr")
    first, _, third = precise(logits).topk(3, dim=1).values.unbind(1)
    return margin(logits, y) / (first - third + NEVER_ZERO)


def targeted_cross_entropy(logits: Logits, y: Classes, target: Classes) -> Values:
    """log p_t, in nats; y is not used."""
    return -cross_entropy(logits, target)


def targeted_margin(logits: Logits, y: Classes, target: Classes) -> Values:
    """The target's logit minus the true one."""
    z = precise(logits)
    return of(z, target) - of(z, y)


def targeted_dlr(logits: Logits, y: Classes, target: Classes) -> Values:
    """The targeted margin over the distance from the first logit to the mean of the third and the fourth."""
    enough(logits, 4, "targeted dlr")
    first, _, third, fourth = precise(logits).topk(4, dim=1).values.unbind(1)
    return targeted_margin(logits, y, target) / (first - (third + fourth) / 2 + NEVER_ZERO)


def feature_distance(h_adv: Float[Tensor, "B *D"], h: Float[Tensor, "B *D"]) -> Values:
    """||h_adv - h||_2^2, image by image."""
    return (precise(h_adv) - precise(h)).flatten(1).square().sum(dim=1)


def cosine_distance(h_adv: Float[Tensor, "B *D"], h: Float[Tensor, "B *D"]) -> Values:
    """1 - cos(h_adv, h), image by image: 0 for the same direction, 2 for opposite ones; 1 if one is zero."""
    return 1 - F.cosine_similarity(precise(h_adv).flatten(1), precise(h).flatten(1), dim=1)


UNTARGETED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "margin": margin,
    "dlr": dlr,
}
TARGETED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross_entropy": targeted_cross_entropy,
    "margin": targeted_margin,
    "dlr": targeted_dlr,
}


def precise(values: Tensor) -> Tensor:
    """In float32 or better."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def of(z: Tensor, classes: Tensor) -> Tensor:
    """Each image's value at its class."""
    return z.gather(1, classes.long()[:, None]).squeeze(1)


def enough(logits: Tensor, classes: int, name: str) -> None:
    """Raise ValueError unless the logits are of that many classes."""
    if logits.shape[1] < classes:
        way_out = "" if name == "margin" else ": use margin, which needs 2"
        raise ValueError(
            f"objective is {name}, but the model has {logits.shape[1]} classes; it needs {classes}{way_out}."
        )
