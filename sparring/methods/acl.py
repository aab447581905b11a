"""ACL: SimCLR on attacked views; in its dual-stream form, on clean and on attacked views, each with a batch norm.

views: a, b, a', b' = attack on both together, maximising NT-Xent(a', b')
pairs: same image, in the attack and in the loss (A-ACL: a selector without suspected false negatives, in both)
loss:  ds:  (NT-Xent(a, b) + alpha NT-Xent(a', b')) / (1 + alpha)
       a2a: NT-Xent(a', b')    a2s: NT-Xent(a', b)    s2s: NT-Xent(a, b)
norm:  a, b clean; a', b' adv (a2a: one norm)

Paper: Jiang et al. 2020, "Robust Pre-Training by Adversarial Contrastive Learning", section 3. A-ACL: Gupta et al. 2022,
       "On Higher Adversarial Susceptibility of Contrastive Self-Supervised Learning", Algorithm 2.
Code:  VITA-Group/Adversarial-Contrastive-Learning, train_simCLR.py (ds and s2s; there is none for a2a and a2s).
Differs from:
- the paper sums the two streams where the mean is taken here, as in the published code;
- in the published code the random start may leave [0, 1] until the first step (`preset="official"`);
- the published LARS adapts and decays biases and batch norms too, which are left alone here; its warm-up starts at 0, here
  at a thousandth of the rate, and its cosine ends at 1e-6, here at that thousandth (0.005);
- the head's third layer and norm are applied: the published constructor makes both, its forward (commit 137f7cd) stops after
  the second norm (the importer of published files leaves them out, `sparring.encoders.published.layouts`);
- Algorithm 2 writes its false-negative replacement around the images, which would remove anchors and positives; here it
  acts on each anchor's negatives, and those of the clean stream are used in the adversarial one too. In a2a and a2s, which
  have no clean stream, the pairs are chosen from both clean views in evaluation mode.

The views of a stream are embedded in one forward, so batch norms see 2B images: s2s is SimCLR with that difference.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.attacks import PGD, Linf
from sparring.losses import info_nce
from sparring.methods.attacked_views import choose, constant, embed_together
from sparring.methods.settings import Settings
from sparring.methods.supervised import AttackMode, evaluating
from sparring.pairs import same_image, select
from sparring.types import Attack, Batch, Encoder, Selector, Terms, Views

Attacked = Float[Tensor, "A B C H W"]
"""The views that the attack moves: both, or (a2s) one."""


@dataclass(frozen=True)
class ACL:
    """`ACL(attack, mode, pairs, ...)(encoder, batch) -> {"clean": L, "adversarial": L}`, one of them but for "ds"."""

    attack: Attack = field(default_factory=lambda: PGD(Linf(8 / 255), steps=5, step_size=2 / 255))
    mode: Literal["ds", "a2a", "a2s", "s2s"] = "ds"
    pairs: Selector = same_image
    temperature: float = 0.5
    alpha: float = 1.0
    preset: Literal["paper", "official"] = "paper"

    needs_labels: ClassVar[bool] = False
    attack_mode: ClassVar[AttackMode] = "eval"
    settings: ClassVar[Settings] = Settings(
        views="acl",
        head="mlp3-bn",
        dim=512,
        optimizer="lars",
        lr=5.0,
        weight_decay=1e-6,
        schedule="cosine",
        warmup_epochs=10,
        batch_size=512,
        epochs=1000,
        adv_momentum=0.1,
        domain="adv",
    )

    def __post_init__(self) -> None:
        """The published code's start of the attack under its preset."""
        if self.preset == "official":
            attack: Any = self.attack
            object.__setattr__(self, "attack", replace(attack, clip_start=False))

    @property
    def dual(self) -> bool:
        """Whether attacked views have a batch norm of their own."""
        return self.mode in ("ds", "a2s")

    @property
    def adversarial(self) -> bool:
        """Whether anything is attacked."""
        return self.mode != "s2s"

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """The terms of the mode, in nats."""
        views = batch.views[:2]
        clean = embed_together(encoder, views) if self.mode in ("ds", "s2s") else None
        pairs = choose(
            self.pairs, batch, lambda: torch.cat([constant(encoder, x) for x in views] if clean is None else [*clean])
        )
        terms: Terms = {}
        if clean is not None:
            terms["clean"] = self.contrast(clean, pairs, batch)
        if self.adversarial:
            z = self.embed(encoder, self.perturb(encoder, views, pairs, batch), views)
            terms["adversarial"] = self.contrast(z, pairs, batch)
        if self.mode == "ds":
            terms["clean"] = terms["clean"] / (1 + self.alpha)
            terms["adversarial"] = self.alpha * terms["adversarial"] / (1 + self.alpha)
        return terms

    def embed(self, encoder: Encoder, views_adv: Attacked, views: Views) -> Float[Tensor, "V G D"]:
        """Embeddings of the adversarial stream: both views attacked, or (a2s) a attacked and b clean."""
        z_adv = embed_together(encoder, views_adv, "adv" if self.dual else "clean")
        return torch.cat([z_adv, encoder(views[1])[None]]) if self.mode == "a2s" else z_adv

    def perturb(self, encoder: Encoder, views: Views, pairs: Selector, batch: Batch) -> Attacked:
        """Both views, attacked together (a2s: view a alone, against the constant b), with running statistics."""
        moved = views[:1] if self.mode == "a2s" else views
        still = [constant(encoder, view)[None] for view in views[len(moved) :]]

        def nt_xent(x_adv: Tensor) -> Tensor:
            z_adv = embed_together(encoder, x_adv.unflatten(0, moved.shape[:2]), "adv" if self.dual else "clean")
            return self.contrast(torch.cat([z_adv, *still]), pairs, batch)

        with evaluating(encoder, True):
            x_adv = self.attack(nt_xent, moved.flatten(0, 1), std=encoder.std, generator=batch.generator)
        return x_adv.unflatten(0, moved.shape[:2])

    def contrast(self, z: Float[Tensor, "V B D"], pairs: Selector, batch: Batch) -> Float[Tensor, ""]:
        """NT-Xent of two views."""
        rows = z.flatten(0, 1)
        of_rows = select(pairs, batch, rows, views=2)
        return info_nce(rows, rows, of_rows, self.temperature)

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """NT-Xent of two views, in nats."""
        return self.contrast(torch.stack([z_a, z_b]), self.pairs, batch)
