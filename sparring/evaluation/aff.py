"""Finetuning of the whole encoder: AFF (adversarial full finetuning, by TRADES), ACL's own form of it, and the clean one.

The given encoder is not touched: a copy is trained together with a linear classifier on h that starts at zero. Images
are padded by 4 pixels, cropped and mirrored at random; SGD 0.1 with momentum 0.9 and weight decay 2e-4, batch 128,
25 epochs, a tenth of the rate after 15 and again after 20 of them; the last epoch counts.

Paper: Luo et al. 2023 (DynACL), section 4, and Jiang et al. 2020 (ACL), whose finetuning it is, with two batch norms.
Code:  PKU-ML/DYNACL, test_AFF.py and utils.trades_loss_dual; VITA-Group/Adversarial-Contrastive-Learning, train_trades.py.
Differs from: ACL takes the epochs of best clean and of best robust accuracy on 5,000 held-out images; here all training
       images are trained on and the last epoch counts. ACL's schedule steps before the epoch, which moves its milestones by
       one epoch. ACL finetunes one norm, into which the adversarial one is converted: `AFFSingle`.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Generator, Tensor, nn

from sparring.attacks import PGD, Linf
from sparring.data.views import seeded
from sparring.evaluation.classifier import OnFeatures, branch
from sparring.evaluation.features import evaluation_mode, features
from sparring.evaluation.finetuning import AfterEpoch, Finetuning
from sparring.evaluation.linear import new_head
from sparring.evaluation.robust import Progress, device_of, drawing_from, full_precision
from sparring.losses import divergence, trades
from sparring.norms import extract, robust_domain
from sparring.types import Domain, Encoder


@dataclass(frozen=True, kw_only=True)
class FullFinetuning(Finetuning):
    """A copy of the encoder and a classifier, trained together."""

    epochs: int = 25
    lr: float = 0.1
    batch_size: int = 128
    milestones: tuple[int, ...] = (15, 20)

    def check(self, encoder: Encoder, labels: Int[Tensor, " n"], classes: int) -> None:
        """Also refuses what is no nn.Module, and a single image (batch norms need two)."""
        kind = type(self).__name__
        super().check(encoder, labels, classes)
        if not isinstance(encoder, nn.Module):
            raise ValueError(f"{kind} trains the encoder, which must be an nn.Module, not a {type(encoder).__name__}")
        if min(len(labels), self.batch_size) < 2:
            raise ValueError(f"{kind}: batch norms need 2 images a batch, not {min(len(labels), self.batch_size)}")

    def fit(
        self,
        encoder: Encoder,
        images: UInt8[Tensor, "n C H W"],
        labels: Int[Tensor, " n"],
        *,
        classes: int | None = None,
        after_epoch: AfterEpoch | None = None,
        progress: Progress | None = None,
    ) -> OnFeatures:
        """The classifier after the last epoch, on a trained copy of `encoder`: a module from images to logits."""
        labels, classes = self.checked(encoder, images, labels, classes)
        return self.fit_targets(encoder, images, labels, classes, after_epoch=after_epoch, progress=progress)

    def fit_targets(
        self,
        encoder: Encoder,
        images: UInt8[Tensor, "n C H W"],
        targets: Shaped[Tensor, "n *K"],
        classes: int,
        *,
        after_epoch: AfterEpoch | None = None,
        progress: Progress | None = None,
    ) -> OnFeatures:
        """The same with targets that may be class probabilities [n, K] instead of labels [n]."""
        place = device_of(encoder, images)
        with drawing_from(self.seed, place), full_precision(place):
            model = self.untrained(encoder, images[:1], classes)
            model.encoder.train()
            self.descend(
                model.parameters(),
                images,
                targets,
                lambda x, y, starts: self.loss(model, x, y, starts),
                place,
                smallest=2,
                after_epoch=None if after_epoch is None else lambda epoch: after_epoch(epoch, model),
                progress=progress,
            )
        return model.eval().requires_grad_(False)

    def untrained(self, encoder: Encoder, image: UInt8[Tensor, "1 C H W"], classes: int) -> OnFeatures:
        """A copy of the encoder with all parameters free, and the classifier before the first step."""
        copied, domain = self.copied(cast(nn.Module, encoder))
        copied.requires_grad_(True).zero_grad(set_to_none=True)
        width = features(cast(Encoder, copied), image, layer=self.layer, domain=domain).shape[1]
        head = new_head(width, classes, self.init, seeded(self.seed, self.name)).to(device_of(copied, image))
        return OnFeatures(copied, head, self.layer, domain)

    def copied(self, encoder: nn.Module) -> tuple[nn.Module, Domain]:
        """What is trained, and the domain of it that is kept."""
        return copy.deepcopy(encoder), self.domain

    @abstractmethod
    def loss(self, model: OnFeatures, x: Tensor, y: Tensor, starts: Generator) -> Float[Tensor, ""]:
        """What a step lowers."""


@dataclass(frozen=True, kw_only=True)
class CleanFinetuning(FullFinetuning):
    """Cross-entropy on clean images, through the batch norms of `domain`.

    Differs from: ACL's and DynACL's clean finetuning is not written out; the settings are AFF's without its adversary.
    """

    attack: None = field(default=None, init=False)
    name: ClassVar[str] = "finetune"

    def loss(self, model: OnFeatures, x: Tensor, y: Tensor, starts: Generator) -> Float[Tensor, ""]:
        """CE(h(x), y)."""
        return F.cross_entropy(scores(model, x, self.domain), y)


@dataclass(frozen=True, kw_only=True)
class AFF(FullFinetuning):
    """TRADES: CE(h(x), y) + beta KL( h(x) || h(x^a) ), beta 6; x^a = PGD-10 on that KL, steps of 2/255 within 8/255.

    An encoder with two batch norms sees x through "clean" and x^a through "adv", which is the one that is kept: `domain`
    is "adv". Its attack starts at x. An encoder with one norm sees both through it: `domain` is "clean", and the
    attack starts at x + 0.001 N(0, 1), projected, as in ACL: at x the KL of one norm is zero and has no gradient.
    The attack runs in evaluation mode, h(x) held constant; in the loss gradients go through both, batch norms in training mode.

    Differs from: h(x) is computed once in the attack and not again in every step (same value).
    """

    attack: PGD | None = None
    beta: float = 6.0
    name: ClassVar[str] = "aff"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta >= 0:
            raise ValueError(f"{type(self).__name__}: beta is {self.beta}; it must be 0 or more")
        if self.attack is None:
            attack = PGD(Linf(8 / 255), steps=10, step_size=2 / 255)
            start = {"random_start": False} if self.domain == "adv" else {"start_std": 0.001}
            object.__setattr__(self, "attack", replace(attack, **start))

    @staticmethod
    def domain_of(encoder: object) -> Domain:
        """The norm that is kept of an encoder: the adversarial examples' where it has one."""
        return robust_domain(encoder) if isinstance(encoder, nn.Module) else "clean"

    def check(self, encoder: Encoder, labels: Int[Tensor, " n"], classes: int) -> None:
        """Also refuses an encoder with two batch norms of which the clean one is to be kept."""
        super().check(encoder, labels, classes)
        if self.domain != self.domain_of(encoder):
            kind = type(encoder).__name__
            raise ValueError(f"{type(self).__name__}: domain is clean, but {kind} has two batch norms; adv is kept")

    def loss(self, model: OnFeatures, x: Tensor, y: Tensor, starts: Generator) -> Float[Tensor, ""]:
        """CE(h(x), y) + beta KL( h(x) || h(x^a) )."""
        x_adv = self.perturb(model, x, starts)
        logits, logits_adv = scores(model, x, "clean"), scores(model, x_adv, model.domain)
        return F.cross_entropy(logits, y) + self.beta * trades(logits, logits_adv)

    def perturb(self, model: OnFeatures, x: Tensor, starts: Generator) -> Float[Tensor, "B C H W"]:
        """x^a."""
        assert self.attack is not None
        with evaluation_mode(model):
            with torch.no_grad():
                target = scores(model, x, "clean")
            return self.attack(
                lambda x_adv: divergence(target, scores(model, x_adv, model.domain)),
                x,
                std=getattr(model.encoder, "std", None),
                generator=starts,
            )


@dataclass(frozen=True, kw_only=True)
class AFFSingle(AFF):
    """ACL's own finetuning: AFF of an encoder of which only one batch norm is left, the adversarial one where it has two.

    The copy is a plain encoder whose norms start as those of `domain` and see x and x^a alike; its classifier's domain is
    therefore "clean". The attack starts at x + 0.001 N(0, 1), projected. On an encoder with one norm it is AFF.

    Differs from: ACL's README finetunes for 100 epochs with a tenth of the rate after 40 and 60 on CIFAR-10,
    `replace(protocol, epochs=100, milestones=(40, 60))`; here its script's own 25, 15 and 20.
    """

    name: ClassVar[str] = "aff-single"

    def __post_init__(self) -> None:
        if self.attack is None:
            object.__setattr__(self, "attack", AFF("clean").attack)
        super().__post_init__()

    def copied(self, encoder: nn.Module) -> tuple[nn.Module, Domain]:
        """A plain copy with the norms of `domain`."""
        return extract(encoder, self.domain), "clean"


def scores(model: OnFeatures, x: Float[Tensor, "B C H W"], domain: Domain) -> Float[Tensor, "B K"]:
    """Logits through the norms of `domain`, in whatever mode the modules are."""
    head = cast(nn.Linear, model.classifier)
    return head(branch(model.encoder, x, model.layer, domain).to(head.weight))
