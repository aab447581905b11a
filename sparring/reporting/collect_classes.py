"""What latent.json says of classes and of the sphere: distances of class pairs, alignment, uniformity, effective rank."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from sparring.analysis import alignment, class_distances, effective_rank, uniformity


def classes(h: Float[Tensor, "n D"], h_adv: Float[Tensor, "n D"], y: Int[Tensor, " n"]) -> dict[str, Any]:
    """Mean distances between the clean images' classes with inter upon intra (003, Fig. 3), and how `h` lies on the sphere.

    Alignment is here between an image and its adversarial copy. Where a class has too few images the map is left out, and
    why is said.
    """
    sphere = {"alignment_adv": alignment(h, h_adv), "uniformity": uniformity(h), "effective_rank": effective_rank(h)}
    try:
        found = class_distances(h, y)
    except ValueError as error:
        return sphere | {"left_out": str(error)}
    return sphere | {
        "distance": found.distance,
        "mean": found.mean.tolist(),
        "intra": found.intra,
        "inter": found.inter,
        "ratio": found.ratio,
        "ratio_of_means": found.ratio_of_means,
    }
