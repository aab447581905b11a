"""A map of the latent space: clean and adversarial examples in the plane, with how sure the classifier is (002, Fig. 7)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LatentMap:
    """Positions in the plane and the third axis; the axes of the plane have no unit and no meaning of their own."""

    position: Float[np.ndarray, "n 2"]
    position_adv: Float[np.ndarray, "m 2"]
    entropy: Float[np.ndarray, " n"]
    entropy_adv: Float[np.ndarray, " m"]
    kl_divergence: float
    """What t-SNE minimised, in nats: of two maps of the same features, the lower is the better fit."""


def prediction_entropy(logits: Float[Tensor, "n K"]) -> Float[np.ndarray, " n"]:
    """H(softmax(logits)) / log K, in [0, 1]: 0 a certain prediction, 1 all classes alike.

    Raises ValueError for fewer than 2 classes and for logits that are not finite.
    """
    if logits.shape[1] < 2:
        raise ValueError(f"logits has {logits.shape[1]} classes: an entropy needs at least 2")
    if not logits.isfinite().all():
        raise ValueError("logits has values that are not finite")
    shares = logits.detach().double().softmax(dim=1)
    return (torch.special.entr(shares).sum(dim=1) / math.log(logits.shape[1])).clamp(0, 1).cpu().numpy()


def latent_map(
    features: Float[Tensor, "n D"],
    features_adv: Float[Tensor, "m D"],
    logits: Float[Tensor, "n K"],
    logits_adv: Float[Tensor, "m K"],
    *,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    perplexity: float | int = 30.0,
    seed: int | None = None,
) -> LatentMap:
    """t-SNE of clean and adversarial representations in one map, with the normalised entropy of every prediction.

    The paper maps n = 1000 natural and m = 100 adversarial images: n and m need not agree. Both go through one t-SNE
    (scikit-learn), because positions of two runs cannot be compared. Without a `seed` it starts from the first two
    principal components; a `seed` starts it at random points, so that several seeds show what is an accident of the
    start. The same arguments give the same map on one machine; the global random state is left alone.

    Raises ValueError for shapes that do not fit, values that are not finite, a perplexity outside
    [1, number of points), an unknown metric, and points that all coincide.

    Paper: Bui et al. 2021 (ASCL), section 7, Fig. 7 (van der Maaten & Hinton 2008 for t-SNE). Differs from: the paper
    states neither metric nor perplexity; here Euclidean and 30, the method's usual ones. Its third axis is the entropy
    in unknown units; here it is divided by log K.
    """
    if features.ndim != 2 or features_adv.ndim != 2 or features.shape[1] != features_adv.shape[1]:
        raise ValueError(
            f"features is {tuple(features.shape)}, features_adv {tuple(features_adv.shape)}: "
            "rows of one length are needed, [n D] and [m D]"
        )
    for end, h, scores in (("", features, logits), ("_adv", features_adv, logits_adv)):
        if len(h) != len(scores):
            raise ValueError(f"logits{end} has {len(scores)} rows for {len(h)} rows of features{end}")
        if not h.isfinite().all():
            raise ValueError(f"features{end} has values that are not finite")
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f'metric is "{metric}", but must be "euclidean" or "cosine"')
    points = torch.cat([rows.detach().double().cpu() for rows in (features, features_adv)]).numpy()
    if not 1 <= perplexity < len(points):
        raise ValueError(f"perplexity is {perplexity:g}, but must be at least 1 and below the {len(points)} points")
    if not np.ptp(points, axis=0).any():
        raise ValueError(f"features: all {len(points)} points coincide, so there is nothing to map")
    entropy, entropy_adv = prediction_entropy(logits), prediction_entropy(logits_adv)
    from sklearn.manifold import TSNE

    tsne = TSNE(
        2,
        metric=metric,
        perplexity=float(perplexity),
        init="pca" if seed is None else "random",
        random_state=seed or 0,  # never None, which would draw from the global state
    )
    position = tsne.fit_transform(points)
    return LatentMap(
        position=position[: len(features)],
        position_adv=position[len(features) :],
        entropy=entropy,
        entropy_adv=entropy_adv,
        kl_divergence=float(tsne.kl_divergence_),
    )
