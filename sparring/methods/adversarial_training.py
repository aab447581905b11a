"""Adversarial training: cross-entropy on adversarial examples, and on the images themselves.

views: x, x^a = attack on CE(h(x^a), y)
pairs: none
loss:  clean_weight CE(h(x), y) + CE(h(x^a), y)
norm:  clean

Paper: Madry et al. 2018, eq. 2.1 (clean_weight 0); Bui et al. 2021 (ASCL), eq. 4 (clean_weight 1: "ADV" of its Tables 2
       and 7; Table 6 leaves the clean term out).
Code:  tuananhbui89/ASCL, whose attack runs in training mode and updates running statistics at every step.
Differs from: running statistics are not updated inside the attack, unless it has `update_statistics`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch.nn import functional

from sparring.methods.settings import Settings
from sparring.methods.supervised import (
    SETTINGS,
    AttackMode,
    count_accuracy,
    cross_entropy_of,
    labels_of,
    perturb,
    training_attack,
)
from sparring.types import Attack, Batch, Classifying, Terms


@dataclass(frozen=True)
class AdversarialTraining:
    """`AdversarialTraining(attack, clean_weight)(encoder, batch) -> {"clean": CE, "adversarial": CE}`."""

    attack: Attack = field(default_factory=training_attack)
    clean_weight: float = 1.0
    attack_mode: AttackMode = "train"

    needs_labels: ClassVar[bool] = True
    needs_views: ClassVar[int] = 1
    classifies: ClassVar[bool] = True
    settings: ClassVar[Settings] = SETTINGS

    def __call__(self, encoder: Classifying, batch: Batch) -> Terms:
        """L_AT of eq. 4, in nats."""
        x, y = batch.views[0], labels_of(batch)
        x_adv = perturb(encoder, self.attack, x, batch, cross_entropy_of(y), self.attack_mode)
        terms: Terms = {}
        if self.clean_weight:
            logits = encoder.outputs(x).logits
            terms["clean"] = self.clean_weight * functional.cross_entropy(logits, y)
            count_accuracy(batch, clean=logits)
        logits_adv = encoder.outputs(x_adv).logits
        terms["adversarial"] = functional.cross_entropy(logits_adv, y)
        count_accuracy(batch, adversarial=logits_adv)
        return terms
