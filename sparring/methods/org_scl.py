"""orgSCL: supervised contrastive learning between two standard augmentations beside cross-entropy, without an adversary.

views: a, b, two standard augmentations
pairs: same label among the rows [a; b]
loss:  CE(h(a), y) + lambda_scl L_SCL(a, b),  L_SCL as in ASCL's eq. 3 with b in place of the adversarial copy
norm:  clean

Paper: Bui et al. 2021 (ASCL), Table 6, "the original SCL version with two standard data-augmentations" as a defence;
       Khosla et al. 2020 for the loss.
Code:  none was published.
Differs from: nothing that is known; that cross-entropy, of one view, stands beside it as in ASCL's eq. 6 is our reading.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch.nn import functional

from sparring.losses import info_nce
from sparring.methods.settings import Settings
from sparring.methods.supervised import SETTINGS, count_accuracy, labels_of
from sparring.pairs import same_label
from sparring.types import Batch, Classifying, Selector, Terms


@dataclass(frozen=True)
class OrgSCL:
    """`OrgSCL(temperature, lambda_scl)(encoder, batch) -> {"clean": CE, "scl": lambda_scl L_SCL}`."""

    pairs: Selector = same_label
    temperature: float = 0.07
    lambda_scl: float = 1.0

    needs_labels: ClassVar[bool] = True
    classifies: ClassVar[bool] = True
    settings: ClassVar[Settings] = replace(SETTINGS, views="supcon")

    def __call__(self, encoder: Classifying, batch: Batch) -> Terms:
        """Both terms, in nats."""
        y = labels_of(batch)
        a, b = encoder.outputs(batch.views[0]), encoder.outputs(batch.views[1])
        z = torch.cat([a.z, b.z])
        pairs = self.pairs(batch.rows(z, views=2, logits=torch.cat([a.logits, b.logits])))
        batch.counts["anchors_without_positive"] = pairs.without_positive
        count_accuracy(batch, clean=a.logits)
        return {
            "clean": functional.cross_entropy(a.logits, y),
            "scl": 2 * self.lambda_scl * info_nce(z, z, pairs, self.temperature),
        }
