"""SimCLR: two views of an image attract each other, every other row of the batch competes.

views: a, b
pairs: same image; or any selector, such as one without suspected false negatives ("SimCLR + Precision" and so on)
loss:  NT-Xent = (1/2B) sum over both views' rows i of -log( exp(z_i.z_i+ / T) / sum_{k != i} exp(z_i.z_k / T) )
norm:  clean

Paper: Chen et al. 2020; the baseline of "Contrastive Learning with Adversarial Examples" (CLAE), section 3.6. With false
       negatives removed: Gupta et al. 2022, section 5 (see `sparring.pairs.false_negatives`).
Code:  chihhuiho/CLAE, SimCLR/modules/nt_xent.py: the same value (mean over 2B rows, gradient through both sides).
Differs from: nothing; the published mask needs a fixed batch size, this one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.losses import info_nce
from sparring.methods.settings import Settings
from sparring.pairs import same_image, select
from sparring.types import Batch, Encoder, Selector, Terms


@dataclass(frozen=True)
class SimCLR:
    """`SimCLR(temperature, pairs)(encoder, batch) -> {"nt_xent": loss}`."""

    temperature: float = 0.5
    pairs: Selector = same_image

    needs_labels: ClassVar[bool] = False
    settings: ClassVar[Settings] = Settings(
        views="simclr", head="mlp", dim=64, optimizer="adam", lr=3e-4, batch_size=256, epochs=100
    )

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """NT-Xent over the batch."""
        z_a, z_b = encoder(batch.views[0]), encoder(batch.views[1])
        return {"nt_xent": self.loss(z_a, z_b, batch)}

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """NT-Xent of two views, in nats."""
        z = torch.cat([z_a, z_b])
        pairs = select(self.pairs, batch, z, views=2)
        return info_nce(z, z, pairs, self.temperature)
