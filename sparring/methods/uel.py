"""UEL: every row is recognised as its own image and as no other.

views: a, b
pairs: same image; every other row is pushed away by log(1 - P)
loss:  -(1/2B) sum_i [ log P(i+ | i) + sum_{k not in {i, i+}} log(1 - P(k | i)) ],
       P(k | i) = exp(z_i . sg[z_k] / T) / sum_{m != i} exp(z_i . sg[z_m] / T), keys detached
norm:  clean

Paper: Ye et al. 2019, "Invariant and Spreading Instance Feature"; baseline UEL of CLAE, section 3.6.
Code:  chihhuiho/CLAE, UEL/BatchAverage.py: the same value and, with detached keys, the same gradient.
Differs from: the published weight m of the second sum is 1 here (its only use there; other values also change P).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.losses import instance_discrimination
from sparring.methods.settings import PLAIN_AND_UEL, Settings
from sparring.pairs import same_image, select
from sparring.types import Batch, Encoder, Selector, Terms


@dataclass(frozen=True)
class UEL:
    """`UEL(temperature, detach_keys, pairs)(encoder, batch) -> {"instance_discrimination": loss}`."""

    temperature: float = 0.1
    detach_keys: bool = True
    pairs: Selector = same_image

    needs_labels: ClassVar[bool] = False
    settings: ClassVar[Settings] = PLAIN_AND_UEL

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """The closed form above over the batch."""
        z_a, z_b = encoder(batch.views[0]), encoder(batch.views[1])
        return {"instance_discrimination": self.loss(z_a, z_b, batch)}

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """The closed form above over the 2B rows of two views, in nats."""
        z = torch.cat([z_a, z_b])
        pairs = select(self.pairs, batch, z, views=2)
        return instance_discrimination(z, pairs, self.temperature, detach_keys=self.detach_keys)
