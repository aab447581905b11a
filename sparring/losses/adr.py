"""The regularisers of ADR: adversarial examples stay near their images, near their class, and confident.

Representations h `[B, D]` and class scores (logits) `[B, K]`, of images and, with `_adv`, of their adversarial examples
in the same order. Clean ones are targets: no gradient flows through them (sg below). All are means over the batch,
computed in float32 or better. ADR adds them to adversarial training (cross-entropy or TRADES), each with a weight.
Raise ValueError if shapes do not fit each other or there are no images.

Paper: Bui et al. 2020, "Improving Adversarial Robustness by Enforcing Local and Global Compactness".
Code: tuananhbui89/ASCL, compact_loss_pt.py; the weights of its run_baseline.py are 1 for these four.
Differs from: that code has a fifth term, smoothness over all pairs, whose published weight is 0.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparring.losses.distance import distances

Representations = Float[Tensor, "B D"]
Logits = Float[Tensor, "B K"]
SCALE = 0.99
"""Published label scale; it makes the weight of a pair of different classes 1 - 1/0.99, about -0.01."""


def local_compactness(h: Representations, h_adv: Representations) -> Float[Tensor, ""]:
    """LC: an adversarial example's representation is pulled to its image's.

    LC = (1/B) sum_i (1/D) ||sg[h_i] - h^a_i||_1. Differs from: nothing.
    """
    _check("h", h, h_adv)
    h, h_adv = _precise(h.detach(), h_adv)
    return (h - h_adv).abs().mean()


def local_smoothness(logits: Logits, logits_adv: Logits) -> Float[Tensor, ""]:
    """LS: an adversarial example is predicted as its image is. In nats.

    LS = -(1/B) sum_i sum_k sg[p_ik] log p^a_ik, p and p^a the softmax of the logits. Differs from: nothing.
    """
    _check("logits", logits, logits_adv)
    logits, logits_adv = _precise(logits.detach(), logits_adv)
    return -(logits.softmax(dim=1) * logits_adv.log_softmax(dim=1)).sum(dim=1).mean()


def global_compactness(h: Representations, h_adv: Representations, labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """GC: an adversarial example is pulled to all images of its class and pushed, weakly, from all others.

        GC = (1/B^2) sum_ij w_ij (1/D) ||sg[h_j] - h^a_i||_1,  w_ij = 1 if y_i = y_j, else 1 - 1/0.99

    The sum has i = j in it. Memory is that of B x B, not of B x B x D.
    Differs from: the published weights are NaN for a batch of one class; here they are 1.
    """
    _check("h", h, h_adv)
    if labels.shape != h.shape[:1]:
        raise ValueError(f"labels is {list(labels.shape)} for {len(h)} images: one label an image is needed")
    h, h_adv = _precise(h.detach(), h_adv)
    distance = distances(h_adv, h, "l1") / h.shape[1]
    return distance.where(labels[:, None] == labels, (1 - 1 / SCALE) * distance).mean()


def confidence(logits_adv: Logits) -> Float[Tensor, ""]:
    """CF: adversarial examples are predicted with confidence. The mean entropy of their predictions, in nats.

    CF = -(1/B) sum_i sum_k p^a_ik log p^a_ik, with gradients through both factors. Differs from: nothing.
    """
    if logits_adv.ndim != 2 or not logits_adv.numel():
        raise ValueError(
            f"logits_adv is {list(logits_adv.shape)}, but it must be [B, K] with at least one image and one class"
        )
    log_p = _precise(logits_adv)[0].log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1).mean()


def _precise(*inputs: Tensor) -> tuple[Tensor, ...]:
    """All in float32, or in float64 if one of them is."""
    dtype = torch.float32
    for x in inputs:
        dtype = torch.promote_types(dtype, x.dtype)
    return tuple(x.to(dtype) for x in inputs)


def _check(name: str, clean: Tensor, adv: Tensor) -> None:
    if clean.ndim != 2 or clean.shape != adv.shape or not clean.numel():
        raise ValueError(
            f"{name} {list(clean.shape)} and {name}_adv {list(adv.shape)} must be of one two-dimensional shape with at "
            "least one image"
        )
