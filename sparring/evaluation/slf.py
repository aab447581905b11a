"""SLF, standard linear finetuning: a linear classifier on frozen features, the first of the three protocols by which
robust representations are compared (the others, ALF and AFF, also train on adversarial images).

One linear layer that starts at zero, cross-entropy on clean images cropped and mirrored at random; SGD 0.01 with
momentum 0.9 and weight decay 2e-4, batch 512, 25 epochs, a tenth of the rate after 10 and again after 20 of them; the
encoder in evaluation mode; the last epoch counts. Clean and robust accuracy are then those of the whole, encoder and classifier,
under attacks that see both.

Paper: Luo et al. 2023 (DynACL), section 4; the settings are those of its code. Code: PKU-ML/DYNACL, test_LF.py, which
       keeps only the batch norm of the adversarial images ('pgd'): domain "adv" here, for encoders that have two.
Differs from: features are computed once an epoch for all images and not batch by batch (same values, since the encoder
       does not change); the published figure can be that of another epoch, chosen on its robust TEST accuracy, if the
       script is asked to test while it trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from sparring.data.views import seeded
from sparring.evaluation.classifier import OnFeatures, check_branch
from sparring.evaluation.features import Layer, features
from sparring.evaluation.linear import fit_linear
from sparring.evaluation.robust import device_of
from sparring.types import Domain, Encoder

Augment = Literal["none", "crop-flip"]
PADDING = 4
"""Black pixels around an image before a crop of its own size is drawn."""


@dataclass(frozen=True)
class SLF:
    """Everything that a figure of standard linear finetuning depends on, besides the encoder, the images and the attack.

    `domain` has no default: which batch norm a robust figure went through must be said. With `augment="none"` features
    are computed once for all epochs. Raises ValueError for a setting that is none.
    """

    domain: Domain
    layer: Layer = "h"
    augment: Augment = "crop-flip"
    epochs: int = 25
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 2e-4
    batch_size: int = 512
    milestones: tuple[int, ...] = (10, 20)
    seed: int = 0
    init: Literal["zero"] = field(default="zero", init=False)
    selection: Literal["last epoch"] = field(default="last epoch", init=False)
    version: int = field(default=1, init=False)
    name: ClassVar[str] = "slf"

    def __post_init__(self) -> None:
        for name, allowed in (("domain", Domain), ("layer", Layer), ("augment", Augment)):
            if (value := getattr(self, name)) not in get_args(allowed):
                raise ValueError(f"SLF: {name} is {value!r}; it must be one of {', '.join(get_args(allowed))}")
        for name, low in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            if (value := getattr(self, name)) < low:
                raise ValueError(f"SLF: {name} is {value}; it must be at least {low}")
        if not self.lr > 0:
            raise ValueError(f"SLF: lr is {self.lr}; it must be above 0")
        for name in ("momentum", "weight_decay"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"SLF: {name} is {value}; it must be 0 or more")

    @property
    def label(self) -> str:
        """Name and version, as figures carry it."""
        return f"{self.name} v{self.version}"

    @property
    def settings(self) -> dict[str, Any]:
        """All of it as plain values, for results files."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {"name": self.name, **plain}

    def fit(
        self,
        encoder: Encoder,
        images: UInt8[Tensor, "n C H W"],
        labels: Int[Tensor, " n"],
        *,
        classes: int | None = None,
        encode_batch_size: int = 512,
    ) -> OnFeatures:
        """The classifier after the last epoch, on `encoder`, where the encoder is: a module from images to logits.

        `classes` None is the highest label plus 1. The encoder stays as it was, and so does the global random state.
        Raises ValueError for an encoder without this layer or domain, and for images and labels that cannot be fitted.
        """
        check_branch(encoder, self.layer, self.domain)
        if len(images) != len(labels):
            raise ValueError(f"SLF: {len(images)} training images need as many labels, not {len(labels)}")

        def encoded(epoch: int) -> Float[Tensor, "n D"]:
            batches = images.split(encode_batch_size)
            return features(
                encoder,
                iter(batches) if self.augment == "none" else self._augmented(batches, epoch),
                layer=self.layer,
                domain=self.domain,
            ).to(place)

        place = device_of(encoder, images)
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
            init="zero",
            renew=None if self.augment == "none" else encoded,
        )
        return OnFeatures(encoder, linear.requires_grad_(False), self.layer, self.domain)

    def _augmented(self, batches: tuple[Tensor, ...], epoch: int) -> Iterator[UInt8[Tensor, "_ C H W"]]:
        """Every image cropped and mirrored as this epoch draws it, whatever the size of the batches."""
        generator = seeded(self.seed, "slf", epoch)
        for batch in batches:
            yield crop_and_flip(batch, generator)


def crop_and_flip(images: UInt8[Tensor, "n C H W"], generator: torch.Generator) -> UInt8[Tensor, "n C H W"]:
    """Each image padded by 4 black pixels, cropped at random to its size, and mirrored with probability 1/2.

    Three uniform draws an image from a generator on the CPU: an image's view depends on how many came before it only.
    """
    n, _, height, width = images.shape
    u = torch.rand(n, 3, generator=generator)
    shift = (u[:, :2] * (2 * PADDING + 1)).long()
    row = shift[:, :1] + torch.arange(height)
    column = shift[:, 1:] + torch.where(u[:, 2:] < 0.5, torch.arange(width - 1, -1, -1), torch.arange(width))
    padded = F.pad(images, (PADDING,) * 4)
    where = (torch.arange(n)[:, None, None], row[:, :, None], column[:, None, :])
    return padded.permute(0, 2, 3, 1)[tuple(index.to(images.device) for index in where)].permute(0, 3, 1, 2)
