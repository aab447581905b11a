"""SLF and ALF: a linear classifier on frozen features, fitted on clean images (standard linear finetuning) or on
adversarial ones (adversarial linear finetuning); two of the three protocols by which robust representations are compared
(the third, AFF, trains the encoder too: aff.py).

One linear layer that starts at zero, cross-entropy on images cropped and mirrored at random; SGD 0.01 with
momentum 0.9 and weight decay 2e-4, batch 512, 25 epochs, a tenth of the rate after 10 and again after 20 of them; the
encoder in evaluation mode; the last epoch counts. Clean and robust accuracy are then those of the whole, encoder and classifier,
under attacks that see both.

Paper: Luo et al. 2023 (DynACL), section 4; the settings are those of its code. Code: PKU-ML/DYNACL, test_LF.py, which
       keeps only the batch norm of the adversarial images ('pgd'): domain "adv" here, for encoders that have two.
Differs from: SLF's features are computed once an epoch for all images and not batch by batch (same values, since the encoder
       does not change); the published figure can be that of another epoch, chosen on its robust TEST accuracy, if the
       script is asked to test while it trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from sparring.attacks import PGD, Linf
from sparring.data.views import seeded
from sparring.evaluation.augment import augmented
from sparring.evaluation.classifier import OnFeatures, branch
from sparring.evaluation.features import evaluation_mode, features
from sparring.evaluation.finetuning import AfterEpoch, Finetuning
from sparring.evaluation.linear import fit_linear, new_head
from sparring.evaluation.robust import Progress, device_of, drawing_from, full_precision
from sparring.types import Encoder

ENCODED = 512
"""Images that go through the frozen encoder together."""


@dataclass(frozen=True, kw_only=True)
class LinearFinetuning(Finetuning):
    """A linear layer on the frozen encoder, on clean images or, with `attack`, on adversarial examples of the whole.

    With `augment="none"` and without an attack features are computed once for all epochs. Adversarial examples maximise
    the cross-entropy of encoder and classifier as they are at this step, from augmented images, and every image is attacked,
    also one that is wrong already.
    """

    def fit(
        self,
        encoder: Encoder,
        images: UInt8[Tensor, "n C H W"],
        labels: Int[Tensor, " n"],
        *,
        classes: int | None = None,
        after_epoch: AfterEpoch | None = None,
        progress: Progress | None = None,
        encode_batch_size: int = ENCODED,
    ) -> OnFeatures:
        """The classifier after the last epoch, on `encoder`, where the encoder is: a module from images to logits."""
        labels, classes = self.checked(encoder, images, labels, classes)
        place = device_of(encoder, images)
        with drawing_from(self.seed, place), full_precision(place):
            if self.attack is not None:
                return self._fit_adversarial(encoder, images, labels, classes, after_epoch, progress)
            return self._fit_clean(encoder, images, labels, classes, after_epoch, progress, encode_batch_size)

    def _fit_clean(
        self,
        encoder: Encoder,
        images: Tensor,
        labels: Tensor,
        classes: int,
        after_epoch: AfterEpoch | None,
        progress: Progress | None,
        encode_batch_size: int,
    ) -> OnFeatures:
        place = device_of(encoder, images)

        def encoded(epoch: int) -> Float[Tensor, "n D"]:
            batches = self._views(images.split(encode_batch_size), epoch)
            return features(encoder, batches, layer=self.layer, domain=self.domain).to(place)

        def ended(epoch: int, layer: nn.Linear) -> None:
            if after_epoch is not None:
                after_epoch(epoch, OnFeatures(encoder, layer, self.layer, self.domain))
            if progress is not None:
                progress(f"{self.label}, epochs", epoch, self.epochs, None)

        linear = fit_linear(
            encoded(1),
            labels,
            epochs=self.epochs,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            milestones=self.milestones,
            classes=classes,
            seed=self.seed,
            factor=self.factor,
            init=self.init,
            renew=None if self.augment == "none" else encoded,
            after_epoch=ended,
        )
        return OnFeatures(encoder, linear.requires_grad_(False), self.layer, self.domain)

    def _views(self, batches: tuple[Tensor, ...], epoch: int) -> Iterator[UInt8[Tensor, "_ C H W"]]:
        """Every image as this epoch draws it; crop-flip draws the same whatever the size of the batches."""
        generator = seeded(self.seed, self.name, epoch)
        for batch in batches:
            yield augmented(self.augment, batch, generator)

    def _fit_adversarial(
        self,
        encoder: Encoder,
        images: Tensor,
        labels: Tensor,
        classes: int,
        after_epoch: AfterEpoch | None,
        progress: Progress | None,
    ) -> OnFeatures:
        assert self.attack is not None
        attack, place, std = self.attack, device_of(encoder, images), getattr(encoder, "std", None)
        width = features(encoder, images[:1], layer=self.layer, domain=self.domain).shape[1]
        head = new_head(width, classes, self.init, seeded(self.seed, self.name)).to(place)
        model = OnFeatures(encoder, head, self.layer, self.domain)

        def loss(x: Tensor, y: Tensor, starts: torch.Generator) -> Tensor:
            with evaluation_mode(encoder):
                x_adv = attack(
                    lambda images: F.cross_entropy(model(images), y, reduction="none"), x, std=std, generator=starts
                )
                with torch.no_grad():
                    h = branch(encoder, x_adv, self.layer, self.domain).to(head.weight)
            return F.cross_entropy(head(h), y)

        self.descend(
            head.parameters(),
            images,
            labels,
            loss,
            place,
            after_epoch=None if after_epoch is None else lambda epoch: after_epoch(epoch, model),
            progress=progress,
        )
        head.requires_grad_(False)
        return model


@dataclass(frozen=True, kw_only=True)
class SLF(LinearFinetuning):
    """Standard linear finetuning: clean images."""

    attack: None = field(default=None, init=False)
    name: ClassVar[str] = "slf"


@dataclass(frozen=True, kw_only=True)
class ALF(LinearFinetuning):
    """Adversarial linear finetuning: SLF on PGD-10 examples, steps of 2/255 within 8/255.

    Differs from: nothing known; that the attack starts at a random point of the ball is ours where the source is silent.
    While the classifier is still zero (the first batch) no image has a gradient, and the random starts are the examples.
    """

    attack: PGD = field(default=PGD(Linf(8 / 255), steps=10, step_size=2 / 255))
    name: ClassVar[str] = "alf"
