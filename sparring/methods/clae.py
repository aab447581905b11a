"""CLAE: an adversarial example of view a is a third view, with a batch norm of its own.

views: a, b, a' = attack on a copy of a, maximising the base's loss between a and the copy
pairs: the base's; if they are chosen by embeddings (without suspected false negatives), once a mini-batch from a and b, the
       same in attack and loss, where a' takes the place of a
loss:  base(a, b) + alpha base(a, a')
norm:  a, b clean; a' (and both copies inside the attack) adv

Paper: Ho & Vasconcelos 2020, "Contrastive Learning with Adversarial Examples", Algorithm 1, eq. 14-16.
Code:  chihhuiho/CLAE. Only the copy is differentiated, the clean side is a constant; so the copy acts as key in Plain,
       as anchor in UEL (keys are detached there) and as both in SimCLR. The key set of the second term is {a, a'}.
Differs from:
- batch norms use batch statistics inside the attack but do not update their running ones; the published code updates
  the adversarial ones twice on clean pixels, and `preset="official"` does so too;
- with `preset="official"` over Plain the anchors are forwarded a second time for the adversarial term, as published
  (same embeddings, a third update of the clean statistics);
- an attack that starts at a itself takes the constant side from its first forward: the same value, one
  forward less (with dropout the two sides then share their mask, while the published code draws two).

Eq. 13 bounds the L2 norm but steps by the sign: the ball is Linf, and eps is in units of the normalised input, unclipped.
One FGSM step from a itself carries no gradient of the positive pair (the cosine of a vector with itself is maximal);
an attack with a random start does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sparring.attacks import FGSM, Linf
from sparring.methods.plain import Plain
from sparring.methods.settings import Settings
from sparring.methods.simclr import SimCLR
from sparring.pairs import check_whole_images, fixed, looks_at_embeddings
from sparring.types import Attack, Batch, Encoder, Images, Method, Objective, Terms


class Base(Method, Protocol):
    """A method over two views whose loss is a function of their embeddings."""

    needs_labels: ClassVar[bool]
    settings: ClassVar[Settings]

    def loss(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> Float[Tensor, ""]:
        """The base's loss between two views."""
        ...


@dataclass(frozen=True)
class CLAE:
    """`CLAE(base, attack, alpha)(encoder, batch) -> {"clean": L_aug, "adversarial": alpha L_adv}`, eq. 16."""

    base: Base = field(default_factory=SimCLR)
    attack: Attack = field(default_factory=lambda: FGSM(Linf(0.03, space="normalized", clip=False)))
    alpha: float = 1.0
    preset: Literal["paper", "official"] = "paper"

    dual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuses pairs without single views: a' stands for a."""
        check_whole_images(getattr(self.base, "pairs", None), "CLAE")

    @property
    def needs_labels(self) -> bool:
        """Whether the base needs labels."""
        return self.base.needs_labels

    @property
    def settings(self) -> Settings:
        """The base's training settings."""
        return self.base.settings

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """L_aug and alpha L_adv of eq. 16."""
        a, b = batch.views
        z_a, z_b = encoder(a), encoder(b)
        clean_base, adversarial_base = self.bases(z_a, z_b, batch)
        a_adv = replace(self, base=adversarial_base).perturb(encoder, a, batch)
        z_adv = encoder(a_adv, domain="adv")
        reforward = self.preset == "official" and isinstance(self.base, Plain)
        adversarial = adversarial_base.loss(encoder(a) if reforward else z_a, z_adv, batch)
        clean = clean_base.loss(z_a, z_b, batch)  # last, so that batch.counts tells of the clean term
        return {"clean": clean, "adversarial": self.alpha * adversarial}

    def bases(self, z_a: Float[Tensor, "B D"], z_b: Float[Tensor, "B D"], batch: Batch) -> tuple[Base, Base]:
        """The base of the clean and of the adversarial term: with pairs chosen once if embeddings decide them."""
        base: Any = self.base
        if not looks_at_embeddings(getattr(base, "pairs", None)):
            return base, base
        pairs = base.pairs(batch.rows(torch.cat([z_a, z_b]), views=2))
        place_of_a = torch.arange(len(z_a), device=z_a.device).repeat(2)
        return replace(base, pairs=fixed(pairs)), replace(base, pairs=fixed(pairs, stands_for=place_of_a))

    def perturb(self, encoder: Encoder, a: Images, batch: Batch) -> Images:
        """The adversarial view of `a`, eq. 15."""
        attack: Any = self.attack
        if self.preset == "official":
            attack = replace(attack, update_statistics=True)
        return attack(self.objective(encoder, a, batch), a, std=encoder.std, generator=batch.generator)

    def objective(self, encoder: Encoder, a: Images, batch: Batch) -> Objective:
        """What the attack maximises: the base's loss between a, held constant, and its copy (eq. 12)."""
        share_first_forward = self.attack.starts_at_x and self.preset == "paper"
        constant: list[Float[Tensor, "B D"]] = []

        def base_loss(a_adv: Tensor) -> Tensor:
            if not constant and not share_first_forward:
                with torch.no_grad():
                    constant.append(encoder(a, domain="adv"))
            z_adv = encoder(a_adv, domain="adv")
            if not constant:
                constant.append(z_adv.detach())
            return self.base.loss(constant[0], z_adv, batch)

        return base_loss
