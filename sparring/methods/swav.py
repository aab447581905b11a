"""SwAV: which of K prototypes one view belongs to is predicted from the other view; a batch shares the prototypes equally.

views: a, b, and optionally further crops of half the side
pairs: none: images are compared with prototypes C, not with each other
loss:  (1/2) sum over a, b of the mean over the other views v of -(1/B) sum_n sum_k q_nk log p^v_nk,
       p^v_n = softmax(z^v_n C^T / T);  q = sg[ argmax_Q Tr(Q^T C^T Z) + eps H(Q) ],  Q 1 = 1/K,  Q^T 1 = 1/B
norm:  clean

Paper: Caron et al. 2020, "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments"; eq. 7-8 (section H)
       of Gupta et al. 2022, "On Higher Adversarial Susceptibility of Contrastive Self-Supervised Learning" (003), which takes
       its published ImageNet weights.
Code:  facebookresearch/swav, main_swav.py: ResNet-50, batch 4096, SGD 4.8 with LARC 0.001, weight decay 1e-6, cosine after 10
       epochs of warm-up, hidden 2048, 128 dimensions, prototypes frozen for 313 steps (one epoch), no queue, crops of area 0.14-1
       and 6 smaller ones of 0.05-0.14, blur. At batch 256: rate 0.6, queue 3840 from epoch 15, frozen for one epoch.
       The defaults are CIFAR's of vturrisi/solo-learn, scripts/pretrain/cifar/swav.yaml.
Differs from:
- solo-learn's LARS takes at most a rate of 0.6 (trust 0.02, clipped), ours 0.6 times a trust of 0.001, as main_swav.py at
  this batch size; its cosine ends at 0, ours at 0.0006; crops have an area of 0.14-1 as in main_swav.py (solo-learn: 0.08-1)
  and no blur, and pixels are normalised by 0.5;
- prototypes are frozen for whole epochs, and the queue takes part while it fills, not only once it is full;
- Sinkhorn sees the batch of all processes on each of them, and logarithms (see `sparring.losses.sinkhorn`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.losses import sinkhorn, swapped_prediction
from sparring.methods.settings import Settings
from sparring.types import Batch, Clustering, Terms


@dataclass(frozen=True)
class SwAV:
    """`SwAV(temperature, ...)(encoder, batch) -> {"swapped_prediction": loss}`.

    `encoder` needs `prototypes` (so many, with room for `queue` embeddings of each view, none is 0), kept at unit length
    after each step, and without a gradient in the first `freeze_prototypes` epochs: both are the training loop's. The queue
    is filled and used from epoch `queue_from` on. `crops` further views are in `batch.crops`.
    """

    temperature: float = 0.1
    prototypes: int = 3000
    sinkhorn_eps: float = 0.05
    sinkhorn_steps: int = 3
    queue: int = 3840
    queue_from: int = 50
    freeze_prototypes: int = 2
    crops: int = 0

    needs_labels: ClassVar[bool] = False
    settings: ClassVar[Settings] = Settings(
        views="swav",
        head="mlp-bn",
        hidden=2048,
        dim=128,
        optimizer="lars",
        lr=0.6,
        weight_decay=1e-6,
        schedule="cosine",
        warmup_epochs=10,
        batch_size=256,
        epochs=1000,
    )

    def __call__(self, encoder: Clustering, batch: Batch) -> Terms:
        """Swapped prediction over the batch."""
        z, scores = encoder.scored(batch.views)
        used = torch.zeros_like(scores[0, 0]).index_fill(0, scores.argmax(dim=-1).flatten(), 1)
        batch.counts["prototypes_used"] = used.sum()
        queued = batch.epoch >= self.queue_from
        codes = self.codes(encoder.prototypes, scores, queued)
        if queued:
            encoder.prototypes.remember(z)
        if batch.crops is not None:
            scores = torch.cat([scores, encoder.scored(batch.crops).scores])
        return {"swapped_prediction": swapped_prediction(scores, codes, self.temperature)}

    def codes(self, prototypes: Any, scores: Float[Tensor, "2 B K"], queued: bool) -> Float[Tensor, "2 B K"]:
        """The codes of two views, each with its queue's embeddings beside it if `queued`."""
        codes = []
        for view, queue, present in zip(scores.detach(), prototypes.queue, prototypes.present, strict=True):
            rows = torch.cat([prototypes(queue).detach(), view]) if queued else view
            among = torch.cat([present, present.new_ones(len(view))]) if queued else None
            codes.append(sinkhorn(rows, self.sinkhorn_eps, self.sinkhorn_steps, among)[-len(view) :])
        return torch.stack(codes)

    def loss_on(self, encoder: Any) -> Callable[[Tensor, Tensor, Batch], Tensor]:
        """The loss between embeddings of two views, given an encoder's prototypes: what a look at the encoder attacks."""

        def loss(z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
            scores = encoder.prototypes(torch.stack([z_a, z_b]))
            return swapped_prediction(scores, self.codes(encoder.prototypes, scores, queued=False), self.temperature)

        return loss
