"""What perturbed images do to a loss, against the radius (CLAE, Fig. 3: adversarial against random perturbations)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

Perturbation = Callable[[int, Tensor], Tensor]
"""From a batch's number and its images to perturbed images."""
Measure = Callable[[int, Tensor, Tensor], float]
"""From a batch's number, its images and the perturbed images to one number, such as a mean loss in nats."""


def against_eps(
    batches: Sequence[Tensor],
    eps: Sequence[float | int],
    perturbations: Mapping[str, Callable[[float], Perturbation]],
    measures: Mapping[str, Measure],
) -> dict[str, dict[str, Float[np.ndarray, "E B"]]]:
    """`{perturbation: {measure: [radius, batch]}}`, every measure on the same perturbed images.

    `perturbations[name](radius)` makes the perturbation of that radius; at radius 0 the images stay as they are.
    Raises ValueError for no batches, no radii, or a negative radius.
    """
    if not batches or not len(eps):
        raise ValueError("a curve against eps needs at least one batch and one radius")
    if min(eps) < 0:
        raise ValueError(f"eps must not be negative: {min(eps)}")
    curves = {name: {measure: np.zeros((len(eps), len(batches))) for measure in measures} for name in perturbations}
    for row, radius in enumerate(eps):
        for name, make in perturbations.items():
            perturb = make(radius) if radius > 0 else _nothing
            for column, images in enumerate(batches):
                perturbed = perturb(column, images)
                for measure, of in measures.items():
                    curves[name][measure][row, column] = of(column, images, perturbed)
    return curves


def _nothing(number: int, images: Tensor) -> Tensor:
    return images
