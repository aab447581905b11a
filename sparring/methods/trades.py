"""TRADES: cross-entropy on the images, and predictions that an adversary cannot move.

views: x, x^a = attack on KL( h(x) || h(x^a) ), h(x) held constant, from x + 0.001 N(0, 1) (at x the KL has no gradient)
pairs: none
loss:  CE(h(x), y) + beta KL( h(x) || h(x^a) )
norm:  clean

Paper: Zhang et al. 2019, "Theoretically Principled Trade-off between Robustness and Accuracy", eq. 5, Algorithm 1.
Code:  yaodongyu/TRADES, trades.py; beta 6. ASCL's baseline (tuananhbui89/ASCL, trades.py) is the same with the attack in
       training mode; Zhang et al. attack in evaluation mode (`attack_mode="eval"`).
Differs from:
- h(x) is computed once and not again in every step (the same value; with `update_statistics` fewer updates).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparring.losses import divergence, trades
from sparring.methods.settings import Settings
from sparring.methods.supervised import (
    SETTINGS,
    AttackMode,
    count_accuracy,
    evaluating,
    labels_of,
    perturb,
    training_attack,
)
from sparring.types import Attack, Batch, Classifying, Images, Terms


@dataclass(frozen=True)
class Trades:
    """`Trades(attack, beta)(encoder, batch) -> {"clean": CE, "kl": beta KL}`."""

    attack: Attack = field(default_factory=lambda: replace(training_attack(), start_std=0.001))
    beta: float = 6.0
    attack_mode: AttackMode = "train"

    needs_labels: ClassVar[bool] = True
    needs_views: ClassVar[int] = 1
    classifies: ClassVar[bool] = True
    settings: ClassVar[Settings] = SETTINGS

    def __call__(self, encoder: Classifying, batch: Batch) -> Terms:
        """Both terms, in nats."""
        x, y = batch.views[0], labels_of(batch)
        shared = encoder.outputs(x).logits if self.attack_mode == "train" else None
        x_adv = self.perturb(encoder, batch, None if shared is None else shared.detach())
        logits = encoder.outputs(x).logits if shared is None else shared
        logits_adv = encoder.outputs(x_adv).logits
        count_accuracy(batch, clean=logits, adversarial=logits_adv)
        return {"clean": functional.cross_entropy(logits, y), "kl": self.beta * trades(logits, logits_adv)}

    def perturb(self, encoder: Classifying, batch: Batch, target: Float[Tensor, "G K"] | None) -> Images:
        """x^a; `target` are the class scores of x, None those in evaluation mode."""
        x = batch.views[0]
        if target is None:
            with torch.no_grad(), evaluating(encoder, True):
                target = encoder.outputs(x).logits
        return perturb(encoder, self.attack, x, batch, lambda scores: divergence(target, scores), self.attack_mode)
