"""ASCL: adversarial training whose latent space is made compact by supervised contrastive learning.

views: x, x^a = attack on CE(h(x^a), y)
pairs: among the rows [x; x^a]: same label ("global"), or selected by the classifier's predictions: hard, soft, leaked
loss:  L_AT + lambda_scl L_SCL + lambda_vat KL(h(x) || h(x^a)),
       L_SCL = (1/B) sum_i -(1/|P(i)|) sum_{p in P(i)} log( exp(s_ip) / sum_{k in A(i)} exp(s_ik) ) over all 2B rows i
norm:  clean

Paper: Bui et al. 2021, "Understanding and Achieving Efficient Robustness with Adversarial Supervised Contrastive
       Learning", eq. 1-6, Table 1. s is the cosine over T, or minus an Lp distance over T.
Code:  tuananhbui89/ASCL, contrastive_losses_v2.py and ascl.py.
Differs from:
- with `preset="official"`, as in the published code, L_SCL is a mean over the 2B rows, half of eq. 3, the KL is divided by
  the number of classes, `leaked` is `leaked_official`, and running statistics are updated at every step of the attack;
  the code's eps 0.031 in steps of 0.007 are not 8/255 in steps of 2/255, and are not part of the preset;
- Lp distances are of rows of unit length, the code's `hidden_norm`; its scripts train p1's 128 dimensions (`linear` head)
  of two augmentations with Linf at T 0.2 and no clean cross-entropy, which one view cannot repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparring.losses import info_nce, vat
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
from sparring.pairs import leaked, leaked_official
from sparring.types import Attack, Batch, Classifying, Outputs, Selector, Terms


@dataclass(frozen=True)
class ASCL:
    """`ASCL(attack, pairs, ...)(encoder, batch) -> {"clean", "adversarial", "scl", "vat"}`, eq. 6."""

    attack: Attack = field(default_factory=training_attack)
    pairs: Selector = leaked
    temperature: float = 0.07
    similarity: Literal["cosine", "l1", "l2", "linf"] = "cosine"
    clean_weight: float = 1.0
    lambda_scl: float = 1.0
    lambda_vat: float = 2.0
    attack_mode: AttackMode = "train"
    preset: Literal["paper", "official"] = "paper"

    needs_labels: ClassVar[bool] = True
    needs_views: ClassVar[int] = 1
    classifies: ClassVar[bool] = True
    settings: ClassVar[Settings] = SETTINGS

    def __post_init__(self) -> None:
        """The published code's selector and attack under its preset."""
        if self.preset == "official":
            attack: Any = self.attack
            object.__setattr__(self, "attack", replace(attack, update_statistics=True))
            object.__setattr__(self, "pairs", leaked_official if self.pairs is leaked else self.pairs)

    def __call__(self, encoder: Classifying, batch: Batch) -> Terms:
        """The terms of eq. 6, in nats."""
        x, y = batch.views[0], labels_of(batch)
        x_adv = perturb(encoder, self.attack, x, batch, cross_entropy_of(y), self.attack_mode)
        clean, adv = encoder.outputs(x), encoder.outputs(x_adv)
        count_accuracy(batch, clean=clean.logits, adversarial=adv.logits)
        terms: Terms = {}
        if self.clean_weight:
            terms["clean"] = self.clean_weight * functional.cross_entropy(clean.logits, y)
        terms["adversarial"] = functional.cross_entropy(adv.logits, y)
        if self.lambda_scl:
            terms["scl"] = self.lambda_scl * self.scl(clean, adv, batch)
        if self.lambda_vat:
            scale = clean.logits.shape[1] if self.preset == "official" else 1
            terms["vat"] = self.lambda_vat * vat(clean.logits, adv.logits) / scale
        return terms

    def scl(self, clean: Outputs, adv: Outputs, batch: Batch) -> Float[Tensor, ""]:
        """L_SCL of eq. 3 over the rows [clean; adversarial]; each row is judged by its own prediction."""
        z = torch.cat([clean.z, adv.z])
        pairs = self.pairs(batch.rows(z, views=2, logits=torch.cat([clean.logits, adv.logits])))
        images, negative = len(clean.z), pairs.contrast & ~pairs.positive
        for name, mask in (("positives", pairs.positive), ("negatives", negative)):
            batch.counts[f"clean_{name}"] = mask[:, :images].sum() / len(z)
            batch.counts[f"adversarial_{name}"] = mask[:, images:].sum() / len(z)
        batch.counts["anchors_without_positive"] = pairs.without_positive
        rows_per_image = 1 if self.preset == "official" else 2
        return rows_per_image * info_nce(z, z, pairs, self.temperature, similarity=self.similarity)
