"""SupCon: all rows with the anchor's label attract it, every other row of the batch competes.

views: a, b
pairs: same label
loss:  (1/2B) sum_i -(1/|P(i)|) sum_{p in P(i)} log( exp(z_i.z_p / T) / sum_{k != i} exp(z_i.z_k / T) )
norm:  clean

Paper: Khosla et al. 2020, L_out (the sum over positives stands outside the log).
Code:  HobbitLong/SupContrast, losses.py: the same value up to the factor below.
Differs from: the published loss is multiplied by T / 0.07 (`preset="official"` does so, by 1.43 at T 0.1); the published
       rate 0.5 belongs to that scale, so without it the same steps need a rate of 0.71.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.losses import info_nce
from sparring.methods.settings import Settings
from sparring.pairs import same_label, select
from sparring.types import Batch, Encoder, Selector, Terms


@dataclass(frozen=True)
class SupCon:
    """`SupCon(temperature, pairs, preset)(encoder, batch) -> {"supcon": loss}`."""

    temperature: float = 0.1
    pairs: Selector = same_label
    preset: Literal["paper", "official"] = "paper"

    needs_labels: ClassVar[bool] = True
    settings: ClassVar[Settings] = Settings(
        views="supcon",
        head="mlp",
        dim=128,
        optimizer="sgd",
        lr=0.5,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_epochs=10,
        batch_size=1024,
        epochs=1000,
        encoder="resnet50",
    )

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """L_out over the batch."""
        z_a, z_b = encoder(batch.views[0]), encoder(batch.views[1])
        return {"supcon": self.loss(z_a, z_b, batch)}

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """L_out over the 2B rows of two views, in nats; with `preset="official"` times T / 0.07."""
        z = torch.cat([z_a, z_b])
        pairs = select(self.pairs, batch, z, views=2)
        scale = self.temperature / 0.07 if self.preset == "official" else 1.0
        return scale * info_nce(z, z, pairs, self.temperature)
