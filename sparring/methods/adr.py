"""ADR: adversarial training whose representations are compact, locally and globally, and whose predictions are confident.

views: x, x^a = attack on CE(h(x^a), y)
pairs: same class (global compactness, with the images as constant targets)
loss:  clean_weight CE(h(x), y) + CE(h(x^a), y) + lc LC + ls LS + gc GC + cf CF   (`sparring.losses.adr`)
norm:  clean

Paper: Bui et al. 2020, "Improving Adversarial Robustness by Enforcing Local and Global Compactness"; a baseline of ASCL.
Code:  tuananhbui89/ASCL, adr.py and compact_loss_pt.py (`adr_pgd`): all four weights 1, clean_weight 0.
Differs from: running statistics are not updated inside the attack, unless it has `update_statistics`. The published
       variant over TRADES (`adr_trades`) is not here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch.nn import functional

from sparring.losses.adr import confidence, global_compactness, local_compactness, local_smoothness
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
class ADR:
    """`ADR(attack, lc, ls, gc, cf)(encoder, batch) -> terms by these names, with the cross-entropies`."""

    attack: Attack = field(default_factory=training_attack)
    clean_weight: float = 0.0
    lc: float = 1.0
    ls: float = 1.0
    gc: float = 1.0
    cf: float = 1.0
    attack_mode: AttackMode = "train"

    needs_labels: ClassVar[bool] = True
    needs_views: ClassVar[int] = 1
    classifies: ClassVar[bool] = True
    settings: ClassVar[Settings] = SETTINGS

    def __call__(self, encoder: Classifying, batch: Batch) -> Terms:
        """All terms, in nats but for the distances."""
        x, y = batch.views[0], labels_of(batch)
        x_adv = perturb(encoder, self.attack, x, batch, cross_entropy_of(y), self.attack_mode)
        clean, adv = encoder.outputs(x), encoder.outputs(x_adv)
        count_accuracy(batch, clean=clean.logits, adversarial=adv.logits)
        terms: Terms = {}
        if self.clean_weight:
            terms["clean"] = self.clean_weight * functional.cross_entropy(clean.logits, y)
        return terms | {
            "adversarial": functional.cross_entropy(adv.logits, y),
            "local_compactness": self.lc * local_compactness(clean.h, adv.h),
            "local_smoothness": self.ls * local_smoothness(clean.logits, adv.logits),
            "global_compactness": self.gc * global_compactness(clean.h, adv.h, y),
            "confidence": self.cf * confidence(adv.logits),
        }
