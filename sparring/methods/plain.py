"""Plain: the first view names its image among the second views of the batch, in one direction.

views: a, b
pairs: same image, a -> b only (B keys: no keys of the anchor's own view)
loss:  (1/B) sum_i -log( exp(z_a,i . z_b,i / T) / sum_k exp(z_a,i . z_b,k / T) )
norm:  clean

Paper: "Contrastive Learning with Adversarial Examples" (CLAE), eq. 5 = eq. 10 with w_k = z_b,k / T.
Code:  chihhuiho/CLAE, Plain/main.py: the same value.
Differs from: eq. 16 sums over the batch; here, as in the published code, the mean is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.losses import info_nce
from sparring.methods.settings import PLAIN_AND_UEL, Settings
from sparring.pairs import same_image, select
from sparring.types import Batch, Encoder, Selector, Terms


@dataclass(frozen=True)
class Plain:
    """`Plain(temperature, pairs)(encoder, batch) -> {"info_nce": loss}`."""

    temperature: float = 0.1
    pairs: Selector = same_image

    needs_labels: ClassVar[bool] = False
    settings: ClassVar[Settings] = PLAIN_AND_UEL

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """Eq. 10 over the batch."""
        z_a, z_b = encoder(batch.views[0]), encoder(batch.views[1])
        return {"info_nce": self.loss(z_a, z_b, batch)}

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """InfoNCE with anchors `z_a` and keys `z_b`, in nats (eq. 10)."""
        images = len(z_a)
        pairs = select(self.pairs, batch, torch.cat([z_a, z_b]), views=2)[:images, images:]
        batch.counts["anchors_without_positive"] = pairs.without_positive
        return info_nce(z_a, z_b, pairs, self.temperature)
