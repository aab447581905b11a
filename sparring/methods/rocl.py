"""RoCL: an adversarial copy of one view is a third view, found by climbing the contrastive loss against the other view.

views: t(x), t'(x), x^ = attack on a copy of t(x), maximising NT-Xent between x^ and t'(x)
pairs: same image, in the attack and in the loss (A-RoCL: a selector without suspected false negatives, in both)
loss:  (1/3B) sum over the six ordered pairs of views (u, v) of -log( exp(z_u.z_v / T) / sum_{k != u} exp(z_u.z_k / T) )
       + regularizer NT-Xent(x^, t'(x));   keys z_v, z_k carry no gradient
norm:  clean (one for all three views)

Paper: Kim et al. 2020, "Adversarial Self-Supervised Contrastive Learning". A-RoCL: Gupta et al. 2022, "On Higher Adversarial
       Susceptibility of Contrastive Self-Supervised Learning", eq. 6 and Algorithm 1 (lambda: `regularizer`).
Code:  Kim-Minseon/RoCL, rocl_train.py, attack_lib.py and loss.py: 2 times SupCon over the 3B rows with three views an image.
Differs from:
- the paper writes the anchor t(x) alone, with both positives in one log (`positives="inside"`), and holds no key
  constant (`detach_keys=False`); the defaults are the published code's;
- the published code embeds x^ and t'(x) a second time for the regularizer, in a batch of their own and among one process's
  images only; here it reads the forward of the main term, on all three views and all processes' images. That saves two
  of five forwards. The embeddings of a term that weighs 1/256 are then normalised by statistics of 3B rows and not of
  2B, and running statistics are updated once a step and not twice, the second time without t(x);
- the published attack too is over one process's rows; here it climbs the loss over all processes' images;
- the published code adds 1e-8 to the arguments of its logarithms and to its denominators; its warm-up starts at a fifteenth
  of the rate, here at a thousandth, where the cosine ends too (there below it, its period being as long as the whole run);
- the published LARS adapts and decays all parameters as one group, here biases and batch norms are left alone;
- the pairs of A-RoCL are chosen once a mini-batch from t(x) and t'(x) in evaluation mode, and x^ takes those of t(x).
  The paper does not say when or from what.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.attacks import PGD, Linf
from sparring.losses import info_nce
from sparring.methods.attacked_views import choose, constant, embed_together
from sparring.methods.settings import Settings
from sparring.methods.supervised import AttackMode, evaluating
from sparring.pairs import check_whole_images, fixed, same_image, select
from sparring.types import Attack, Batch, Encoder, Images, Selector, Terms


@dataclass(frozen=True)
class RoCL:
    """`RoCL(attack, pairs, ...)(encoder, batch) -> {"rocl": L, "regularizer": weighted NT-Xent(x^, t'(x))}`."""

    attack: Attack = field(default_factory=lambda: PGD(Linf(0.0314), steps=7, step_size=0.007))
    pairs: Selector = same_image
    temperature: float = 0.5
    regularizer: float = 1 / 256
    detach_keys: bool = True
    positives: Literal["outside", "inside"] = "outside"

    needs_labels: ClassVar[bool] = False
    attack_mode: ClassVar[AttackMode] = "eval"
    settings: ClassVar[Settings] = Settings(
        views="rocl",
        head="mlp",
        hidden=2048,
        dim=128,
        optimizer="lars",
        lr=1.5,
        weight_decay=1e-6,
        schedule="cosine",
        warmup_epochs=10,
        batch_size=512,
        epochs=1000,
    )

    def __post_init__(self) -> None:
        """Refuses pairs without single views: x^ stands for t(x)."""
        check_whole_images(self.pairs, "RoCL")

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """The terms, in nats."""
        t, other = batch.views[:2]
        z_other = constant(encoder, other)
        pairs = choose(self.pairs, batch, lambda: torch.cat([constant(encoder, t), z_other]))
        x_adv = self.perturb(encoder, t, z_other, pairs, batch)
        z, z_2, z_adv = embed_together(encoder, torch.stack([t, other, x_adv]))
        terms: Terms = {"rocl": self.three_views(torch.cat([z, z_2, z_adv]), pairs, batch)}
        if self.regularizer:
            terms["regularizer"] = self.regularizer * self.contrast(z_adv, z_2, pairs, batch)
        return terms

    def perturb(self, encoder: Encoder, t: Images, z_other: Tensor, pairs: Selector, batch: Batch) -> Images:
        """x^: it moves away from t'(x), whose embeddings `z_other` are constant, as all running statistics are."""

        def nt_xent(x_adv: Tensor) -> Tensor:
            return self.contrast(encoder(x_adv), z_other, pairs, batch)

        with evaluating(encoder, True):
            return self.attack(nt_xent, t, std=encoder.std, generator=batch.generator)

    def three_views(self, z: Float[Tensor, "N D"], pairs: Selector, batch: Batch) -> Float[Tensor, ""]:
        """The main term over the rows [t; t'; x^]."""
        images, keys = len(z) // 3, z.detach() if self.detach_keys else z
        of_two = select(pairs, batch, z[: 2 * images], views=2)
        row = torch.arange(3 * images, device=z.device)
        of_rows = fixed(of_two, row % (2 * images))(batch.rows(z, views=3))  # x^ takes the place of t
        batch.counts["anchors_without_positive"] = of_rows.without_positive
        if self.positives == "inside":
            return info_nce(z[:images], keys, of_rows[:images, :], self.temperature, positives="inside")
        return 2 * info_nce(z, keys, of_rows, self.temperature)

    def contrast(self, z_a: Tensor, z_b: Tensor, pairs: Selector, batch: Batch) -> Float[Tensor, ""]:
        """NT-Xent between two views."""
        z = torch.cat([z_a, z_b])
        keys = z.detach() if self.detach_keys else z
        return info_nce(z, keys, pairs(batch.rows(z, views=2)), self.temperature)

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """What the attack climbs between two views, in nats."""
        return self.contrast(z_a, z_b, self.pairs, batch)
