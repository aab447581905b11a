"""Losses of class scores: what adversarial training adds to torch's cross-entropy.

Class scores are logits `[B, K]`, of images and of their adversarial examples in the same order. Computed in float32 or
better, from log-probabilities, so that confident classifiers make neither infinities nor NaNs.
Raise ValueError if the two shapes differ or there are no images.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

Logits = Float[Tensor, "B K"]


def vat(logits: Logits, logits_adv: Logits) -> Float[Tensor, ""]:
    """Smoothness of the classifier (ASCL's VAT term), the mean over images in nats; gradients through both.

        L_VAT = (1/B) sum_i KL( h(x_i) || h(x^a_i) ),  KL(p || q) = sum_k p_k (log p_k - log q_k)

    Paper: Bui et al. 2021 (ASCL), eq. 5. Code: tuananhbui89/ASCL, ascl.py.
    Differs from: Miyato et al. 2019, after whom it is named, hold h(x) constant; the published code divides by the
    number of classes as well (`KLDivLoss(reduction="mean")`): its value is this one / K.
    """
    _check(logits, logits_adv)
    return divergence(logits, logits_adv).mean()


def divergence(logits: Logits, logits_adv: Logits) -> Float[Tensor, " B"]:
    """KL( h(x) || h(x^a) ) of each image in nats, gradients through both: what TRADES' attack climbs."""
    _check(logits, logits_adv)
    log_p, log_q = _log_probabilities(logits), _log_probabilities(logits_adv)
    return (log_p.exp() * (log_p - log_q)).sum(dim=1)


def trades(logits: Logits, logits_adv: Logits) -> Float[Tensor, ""]:
    """The regulariser of TRADES, the mean over images in nats; gradients through both. The same formula as `vat`.

        R = (1/B) sum_i KL( f(x_i) || f(x^a_i) ),  to be weighted by beta and added to the clean cross-entropy

    Paper: Zhang et al. 2019, "Theoretically Principled Trade-off between Robustness and Accuracy", eq. 5 (beta = 1 /
    lambda) with KL as in its experiments. Code: yaodongyu/TRADES, trades.py. Differs from: nothing.
    """
    return vat(logits, logits_adv)


def _log_probabilities(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=1)


def _check(logits: Tensor, logits_adv: Tensor) -> None:
    if logits.ndim != 2 or logits.shape != logits_adv.shape or not logits.numel():
        raise ValueError(
            f"logits {list(logits.shape)} and logits_adv {list(logits_adv.shape)} must both be [B, K] with at least one "
            "image and one class"
        )
