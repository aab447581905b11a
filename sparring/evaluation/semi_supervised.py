"""Semi-supervised finetuning: 1 % or 10 % of the training images have labels, a teacher speaks for the others.

1. Labels: a seeded draw, of each class as many as of any other (CIFAR's 45,000 images: 450 or 4,500).
2. Teacher: a copy of the encoder, finetuned clean on the labelled images (aff.CleanFinetuning, the clean batch norm).
3. Student: another copy, by TRADES as in AFF on all images, whose targets are the labels where there are, and the
   teacher's class probabilities of the clean image where there are none (distillation). 15 epochs.

True labels outside the draw are never looked at.

Paper: Jiang et al. 2020 (ACL), "adversarial contrastive pretraining for label efficiency"; DynACL repeats the table.
Code:  VITA-Group/Adversarial-Contrastive-Learning: split files of 450 and 4,500 images, pseudo-labels, 15 epochs.
Differs from: the sources that we follow name these steps and the 15 epochs only. Ours are: the draw; the teacher (of the same
       encoder, with the settings of clean finetuning); soft pseudo-labels at temperature 1, computed once on images that
       are not augmented; labels as one-hot targets; the rate's fall after 9 and 12 epochs (AFF's fractions); the last
       epoch, where ACL picks one on 5,000 held-out images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from sparring.data.images import balanced
from sparring.evaluation.aff import AFF, CleanFinetuning
from sparring.evaluation.classifier import OnFeatures
from sparring.evaluation.finetuning import AfterEpoch
from sparring.evaluation.robust import Progress, device_of, full_precision
from sparring.types import Encoder


@dataclass(frozen=True, kw_only=True)
class SemiSupervised(AFF):
    """What `AFF` is, with `fraction` of the labels."""

    fraction: float
    epochs: int = 15
    milestones: tuple[int, ...] = (9, 12)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fraction < 1:
            raise ValueError(f"{type(self).__name__}: fraction is {self.fraction}; it must lie between 0 and 1")

    @property
    def teacher(self) -> CleanFinetuning:
        """What labels the unlabelled; as much shorter as the student is."""
        own = CleanFinetuning("clean", layer=self.layer, seed=self.seed)
        if self.epochs == self.own("epochs"):
            return own
        return own.shortened(max(1, round(own.epochs * self.epochs / self.own("epochs"))))

    @property
    def settings(self) -> dict[str, Any]:
        """With the teacher's, and what its targets are."""
        pseudo = "the teacher's probabilities, temperature 1, of images that are not augmented"
        return super().settings | {"teacher": self.teacher.settings, "pseudo_labels": pseudo}

    def check(self, encoder: Encoder, labels: Int[Tensor, " n"], classes: int) -> None:
        """Also refuses training images of which a class would get no label."""
        super().check(encoder, labels, classes)
        self.labelled(labels, classes)

    def labelled(self, labels: Int[Tensor, " n"], classes: int) -> Int[Tensor, " m"]:
        """Ascending indices of the images that keep their label. ValueError unless every class has one."""
        share, n = f"{100 * self.fraction:g} %", len(labels)
        count = round(self.fraction * n)
        if count < classes:
            kept = f"{count} label{'s' * (count != 1)}"
            raise ValueError(
                f"{self.name}: {share} of {n:,} training images are {kept}, fewer than the {classes} classes; at least "
                f"{math.ceil(classes / self.fraction):,} training images are needed"
            )
        chosen = balanced(labels.cpu(), count, self.seed, "labels")
        missing = (torch.bincount(labels.cpu()[chosen], minlength=classes) == 0).nonzero().flatten().tolist()
        if missing:
            raise ValueError(f"{self.name}: class {missing[0]} has no training image; every class needs a label")
        return chosen

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
        """The student after the last epoch."""
        labels, classes = self.checked(encoder, images, labels, classes)
        chosen = self.labelled(labels, classes)
        teacher = self.teacher.fit(
            encoder, images[chosen.to(images.device)], labels[chosen], classes=classes, progress=progress
        )
        targets = self.targets(teacher, images, labels, chosen, classes)
        return self.fit_targets(encoder, images, targets, classes, after_epoch=after_epoch, progress=progress)

    @torch.no_grad()
    def targets(
        self, teacher: OnFeatures, images: Tensor, labels: Tensor, chosen: Int[Tensor, " m"], classes: int
    ) -> Float[Tensor, "n K"]:
        """Class probabilities of every image: one-hot where it has a label, else the teacher's."""
        place = device_of(teacher, images)
        with full_precision(place):
            rows = [teacher(batch.to(place).float() / 255).softmax(dim=1).cpu() for batch in images.split(512)]
        targets = torch.cat(rows)
        targets[chosen] = F.one_hot(labels[chosen], classes).to(targets.dtype)
        return targets


@dataclass(frozen=True, kw_only=True)
class Semi1(SemiSupervised):
    """1 % of the labels."""

    fraction: float = 0.01
    name: ClassVar[str] = "semi-1"


@dataclass(frozen=True, kw_only=True)
class Semi10(SemiSupervised):
    """10 % of the labels."""

    fraction: float = 0.1
    name: ClassVar[str] = "semi-10"
