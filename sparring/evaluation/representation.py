"""Attacks on representations, without labels: how far they move, relative to the distances between images.

    x_adv = argmax over the threat of  ||f(x_adv) - f(x)||^2,  or 1 - cos(f(x_adv), f(x)),  or InfoNCE of the two
    ratio = mean_i ||f(x_adv_i) - f(x_i)|| / mean_{i != j} ||f(x_i) - f(x_j)||

f is a frozen encoder's h or z, in evaluation mode, through the batch norms of one domain. A ratio of 1 means that an
adversary moves an image as far as another image is; the scale of the features does not matter. Random noise within the
same threat is the control.

Papers: InfoNCE is the objective of RoCL's instance-wise attack (Kim et al. 2020); the feature distance that of Naseer et
al. 2020, "A Self-supervised Approach for Adversarial Robustness". Differs from: RoCL attacks one view of an image against
another; here the target is the image itself, so figures depend on no augmentation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sparring.attacks import PGD, RandomNoise, Threat, describe
from sparring.attacks.gradient import GradientAttack
from sparring.attacks.objectives import cosine_distance, feature_distance
from sparring.evaluation.classifier import OnFeatures, check_images
from sparring.evaluation.features import Layer
from sparring.evaluation.robust import device_of
from sparring.types import Domain, Encoder

Objective = Literal["feature_distance", "cosine_distance", "contrastive"]
Encode = Callable[[Tensor], Tensor]
"""From images to features [B, D]."""
CHUNK = 1024
"""Rows of a block of distances."""
NEARER = 1e-6
"""Relative difference below which two distances are the same: features are float32."""


@dataclass(frozen=True)
class RepresentationAttack:
    """A gradient attack that moves features away from the image's own, or towards those of other images.

    `feature_distance`: squared L2; `cosine_distance`: 1 - cos; `contrastive`: InfoNCE (in nats, at `temperature`) with the
    adversarial image as anchor, its clean features as positive and those of the batch's other images as negatives, all
    held constant, so that an image's perturbation depends on the batch but not on the others' perturbations.

    Both distances have no gradient at x itself: ValueError for an attack that starts there (FGSM, PGD without a random
    start), for an unknown objective, and for a temperature that is no positive number.
    """

    attack: GradientAttack
    objective: Objective = "feature_distance"
    temperature: float = 0.5

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            raise ValueError(f"objective is {self.objective!r}; it must be one of {', '.join(get_args(Objective))}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature is {self.temperature}; it must be positive and finite")
        if self.attack.starts_at_x and self.objective != "contrastive":
            raise ValueError(
                f"{type(self.attack).__name__} starts at x, where the {self.words} from x has no gradient; use PGD with "
                "random_start, RFGSM or FFGSM"
            )

    @property
    def threat(self) -> Threat:
        """Where the images may go."""
        return self.attack.threat

    @property
    def words(self) -> str:
        """The objective, as in "cosine distance"."""
        at = f" loss at T {self.temperature:g}" if self.objective == "contrastive" else ""
        return self.objective.replace("_", " ") + at

    def __call__(
        self,
        encode: Encode,
        x: Float[Tensor, "B C H W"],
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "B C H W"]:
        """The adversarial images, detached, in ball and box. ValueError for a contrastive attack on a single image."""
        if self.objective == "contrastive" and len(x) < 2:
            raise ValueError(
                f"the contrastive attack has {len(x)} image; it needs at least 2, the others are negatives"
            )
        with torch.no_grad():
            h = encode(x)
        return self.attack(lambda x_adv: self.value(encode(x_adv), h), x, std=std, generator=generator)

    def value(self, h_adv: Float[Tensor, "B D"], h: Float[Tensor, "B D"]) -> Float[Tensor, " B"]:
        """What is maximised, one value an image, in float32 at least."""
        if self.objective == "contrastive":
            return contrastive(h_adv, h, self.temperature)
        return {"feature_distance": feature_distance, "cosine_distance": cosine_distance}[self.objective](h_adv, h)


def contrastive(h_adv: Float[Tensor, "B D"], h: Float[Tensor, "B D"], temperature: float) -> Float[Tensor, " B"]:
    """log sum_k exp(cos(h_adv_i, h_k) / T) - cos(h_adv_i, h_i) / T: each image's part of the mean that is
    `sparring.losses.info_nce`, which restarts need (they keep the best of each image)."""
    dtype = torch.promote_types(h_adv.dtype, torch.float32)
    with torch.autocast(h_adv.device.type, enabled=False):
        similarity = F.normalize(h_adv.to(dtype), dim=1) @ F.normalize(h.to(dtype), dim=1).T / temperature
        return F.cross_entropy(similarity, torch.arange(len(h), device=h.device), reduction="none")


def representation_attacks(threat: Threat, steps: int = 20) -> dict[str, RepresentationAttack]:
    """PGD from a random start on each of the three objectives."""
    made = [RepresentationAttack(PGD(threat, steps), objective) for objective in get_args(Objective)]
    return {attack.objective.replace("_", " "): attack for attack in made}


def movement(
    encoder: Encoder,
    images: Float[Tensor, "n C H W"],
    attacks: Threat | Mapping[str, RepresentationAttack],
    *,
    layer: Layer = "h",
    domain: Domain,
    batch_size: int = 250,
    seed: int = 0,
) -> dict[str, Any]:
    """How far attacks without labels move representations: the "representation" entry of robustness.json.

    Every attack's entry has, in L2 and under "cosine" in cosine distance: `moved`, the mean distance from an image's
    features to its adversarial copy's; `between`, the mean over all pairs of different images; their `ratio` (None if all
    images have the same features); `retrieval_error`, the share of images whose copy is nearer to another image than to
    its own; and under "noise" the same for random noise within the same threat. A `Threat` stands for
    `representation_attacks(threat)`.

    Images are taken in batches of equal size, about `batch_size` at most; those of a batch are each other's negatives. Random
    starts come from generators seeded `seed` + the batch's number.

    Raises ValueError for images outside [0, 1], fewer than two, no attack, and as `OnFeatures` does.
    """
    check_images(images)
    if len(images) < 2:
        raise ValueError("there is 1 image; distances between images need at least 2")
    if batch_size < 2:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 2, as the images of a batch are negatives")
    named = representation_attacks(attacks) if isinstance(attacks, Threat) else dict(attacks)
    if not named:
        raise ValueError("attacks: there is none; name one at least")
    encode = OnFeatures(encoder, nn.Identity(), layer, domain)
    place = device_of(encode, images)
    count = min(math.ceil(len(images) / batch_size), len(images) // 2)
    parts = [part.to(place) for part in images.tensor_split(count)]
    std = getattr(encoder, "std", None)
    with torch.no_grad():
        clean = torch.cat([encode(part) for part in parts])

    def measured(attack: Callable[..., Tensor]) -> dict[str, Any]:
        moved = []
        for number, part in enumerate(parts):
            generator = torch.Generator(place).manual_seed(seed + number)
            x_adv = attack(encode, part, std=std, generator=generator)
            with torch.no_grad():
                moved.append(encode(x_adv))
        return displacement(clean, torch.cat(moved))

    control = {
        threat: measured(RepresentationAttack(RandomNoise(threat))) for threat in {a.threat for a in named.values()}
    }
    entries = {
        name: {
            "words": f"{describe(attack.attack, std)}, on the {attack.words} of {layer}",
            **measured(attack),
            "noise": control[attack.threat],
        }
        for name, attack in named.items()
    }
    words = f"{layer} of {len(images):,} images through the {domain} batch norm, attacked without labels"
    settings = {"layer": layer, "domain": domain, "n": len(images), "batch_size": batch_size, "seed": seed}
    return {"words": words} | settings | {"attacks": entries}


def displacement(h: Float[Tensor, "n D"], h_adv: Float[Tensor, "n D"]) -> dict[str, Any]:
    """`moved`, `between`, `ratio` and `retrieval_error` of n images, in L2 and under "cosine" in cosine distance."""
    euclidean = _compare(h, h_adv, lambda a, b: torch.cdist(a, b, compute_mode="use_mm_for_euclid_dist"))
    unit, unit_adv = F.normalize(h.double(), dim=1), F.normalize(h_adv.double(), dim=1)
    return euclidean | {"cosine": _compare(unit, unit_adv, lambda a, b: 1 - a @ b.T)}


def _compare(h: Tensor, h_adv: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> dict[str, float | None]:
    """The four figures in float64, in blocks of rows."""
    h, h_adv = h.double(), h_adv.double()
    n, moved, between, confused = len(h), 0.0, 0.0, 0
    for start in range(0, n, CHUNK):
        rows = torch.arange(start, min(start + CHUNK, n), device=h.device)
        own = (rows - start, rows)
        away = distance(h_adv[rows], h)
        among = distance(h[rows], h)
        among[own] = 0
        moved += away[own].sum().item()
        between += among.sum().item()
        nearest_other = away.index_put(own, away.new_tensor(math.inf)).amin(dim=1)
        confused += int((nearest_other < away[own] * (1 - NEARER)).sum())
    moved, between = moved / n, between / (n * (n - 1))
    ratio = moved / between if between > 0 else None
    return {"moved": moved, "between": between, "ratio": ratio, "retrieval_error": confused / n}
