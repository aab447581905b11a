"""Natural training: a classifier on the representation, cross-entropy on the images as they are.

views: x
pairs: none
loss:  CE(h(x), y)
norm:  clean

Paper: Bui et al. 2021 (ASCL), Fig. 7a: "NAT", the baseline without an adversary.
Code:  none is needed; tuananhbui89/ASCL trains every model against an adversary.
Differs from: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch.nn import functional

from sparring.methods.settings import Settings
from sparring.methods.supervised import SETTINGS, count_accuracy, labels_of
from sparring.types import Batch, Classifying, Terms


@dataclass(frozen=True)
class Natural:
    """`Natural()(encoder, batch) -> {"clean": CE}`."""

    needs_labels: ClassVar[bool] = True
    needs_views: ClassVar[int] = 1
    classifies: ClassVar[bool] = True
    settings: ClassVar[Settings] = SETTINGS

    def __call__(self, encoder: Classifying, batch: Batch) -> Terms:
        """Cross-entropy, in nats."""
        logits = encoder.outputs(batch.views[0]).logits
        count_accuracy(batch, clean=logits)
        return {"clean": functional.cross_entropy(logits, labels_of(batch))}
