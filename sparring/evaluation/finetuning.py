"""What all protocols that fit a classifier on images share: a versioned value with every setting, one check, one loop.

Some fit a linear layer on the frozen encoder (slf.py, linear_evaluation.py), others train a copy of the whole encoder
(aff.py, semi_supervised.py). Each is a frozen dataclass whose `fit(encoder, images, labels)` gives the classifier
as a module from images in [0, 1] to logits; the given encoder, its modes and the global random state stay as they were.
The last epoch counts: no image but the training images is looked at, unless a protocol says "best test epoch".
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

import torch
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor, nn

from sparring.attacks import PGD, describe
from sparring.data.views import seeded
from sparring.evaluation.augment import Augment, augmented
from sparring.evaluation.classifier import OnFeatures, check_branch
from sparring.evaluation.features import Layer
from sparring.evaluation.robust import Progress, stream
from sparring.types import Domain, Encoder

Some = TypeVar("Some", bound="Finetuning")

AfterEpoch = Callable[[int, OnFeatures], None]
"""Told an epoch's number, from 1 on, and the classifier that it left."""

StepLoss = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""From images in [0, 1], their targets and a source of random starts to the scalar that a step lowers."""


@dataclass(frozen=True, kw_only=True)
class Finetuning(ABC):
    """Everything that a figure depends on, besides the encoder, the images and the attack that measures it.

    `domain` has no default: which batch norm a robust figure went through must be said. The rate is
    lr * factor^(milestones passed), milestones counted in epochs that are over. Raises ValueError for a setting that is none.
    """

    domain: Domain = field(kw_only=False)
    layer: Layer = "h"
    augment: Augment = "crop-flip"
    epochs: int = 25
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 2e-4
    batch_size: int = 512
    milestones: tuple[int, ...] = (10, 20)
    factor: float = 0.1
    attack: PGD | None = None
    """What makes the images on which is trained; None trains on clean ones."""
    seed: int = 0
    init: Literal["zero", "uniform"] = field(default="zero", init=False)
    """First weights of the classifier: zero, or uniform in +-1/sqrt(D) as nn.Linear's."""
    selection: Literal["last epoch", "best test epoch"] = field(default="last epoch", init=False)
    version: int = field(default=1, init=False)
    name: ClassVar[str]

    def __post_init__(self) -> None:
        kind = type(self).__name__
        for name, allowed in (("domain", Domain), ("layer", Layer), ("augment", Augment)):
            if (value := getattr(self, name)) not in get_args(allowed):
                raise ValueError(f"{kind}: {name} is {value!r}; it must be one of {', '.join(get_args(allowed))}")
        for name, low in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            if (value := getattr(self, name)) < low:
                raise ValueError(f"{kind}: {name} is {value}; it must be at least {low}")
        for name in ("lr", "factor"):
            if not (value := getattr(self, name)) > 0:
                raise ValueError(f"{kind}: {name} is {value}; it must be above 0")
        for name in ("momentum", "weight_decay"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"{kind}: {name} is {value}; it must be 0 or more")
        if any(milestone < 1 for milestone in self.milestones):
            raise ValueError(f"{kind}: milestones are {self.milestones}; the rate falls after 1 epoch or later")

    @classmethod
    def own(cls, name: str) -> Any:
        """The protocol's own value of a field: that of its paper."""
        return next(part.default for part in fields(cls) if part.name == name)

    @property
    def label(self) -> str:
        """Name and version, as figures carry it, and in what the settings are not the protocol's own."""
        own = self.own("epochs")
        shorter = "" if self.epochs == own else f", {self.epochs} of {own} epochs"
        paper = "" if self.selection == "last epoch" else f", paper ({self.selection})"
        return f"{self.name} v{self.version}{shorter}{paper}"

    @property
    def settings(self) -> dict[str, Any]:
        """All of it as plain values, for results files; the attack in words."""
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {"name": self.name, **plain, "attack": "none" if self.attack is None else describe(self.attack)}

    def shortened(self: Some, epochs: int) -> Some:
        """The same with so many epochs; the rate falls after the same fractions of them."""
        factor = epochs / self.own("epochs")
        milestones = tuple(max(1, round(factor * milestone)) for milestone in self.own("milestones"))
        return replace(self, epochs=epochs, milestones=milestones)

    def check(self, encoder: Encoder, labels: Int[Tensor, " n"], classes: int) -> None:
        """A ValueError, before any work, unless this encoder can be finetuned on images with these labels."""
        kind = type(self).__name__
        check_branch(encoder, self.layer, self.domain)
        if not len(labels):
            raise ValueError(f"{kind}: there are no training images")
        if int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise ValueError(f"{kind}: training labels must lie in 0..{classes - 1}")

    @abstractmethod
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
        """The classifier after the last epoch, where the encoder is. `classes` None is the highest label plus 1.

        The encoder stays as it was, and so does the global random state. Raises ValueError as `check` does.
        """

    def checked(
        self, encoder: Encoder, images: Tensor, labels: Int[Tensor, " n"], classes: int | None
    ) -> tuple[Int[Tensor, " n"], int]:
        """Labels on the CPU and how many classes; ValueError for what cannot be fitted."""
        if len(images) != len(labels):
            raise ValueError(
                f"{type(self).__name__}: {len(images)} training images need as many labels, not {len(labels)}"
            )
        labels = labels.cpu().long()
        count = int(labels.max()) + 1 if classes is None and len(labels) else classes or 0
        self.check(encoder, labels, count)
        return labels, count

    def descend(
        self,
        parameters: Iterable[nn.Parameter],
        images: UInt8[Tensor, "n C H W"],
        targets: Shaped[Tensor, "n *K"],
        loss: StepLoss,
        place: torch.device,
        *,
        smallest: int = 1,
        after_epoch: Callable[[int], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """SGD on `loss`: every image once an epoch, in a new order and augmented anew.

        Order and views come from generators on the CPU, random starts of attacks from one on `place`, all from the seed.
        A last batch of less than `smallest` images is left out. Raises ValueError if the parameters are not finite afterwards.
        """
        began, trained = time.perf_counter(), list(parameters)
        order, views = seeded(self.seed, f"{self.name} order"), seeded(self.seed, f"{self.name} views")
        starts = torch.Generator(place).manual_seed(stream(self.seed, 1))
        optimizer = torch.optim.SGD(
            trained, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, foreach=True
        )
        scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(self.milestones), gamma=self.factor)
        with torch.enable_grad():
            for epoch in range(1, self.epochs + 1):
                for rows in torch.randperm(len(images), generator=order).split(self.batch_size):
                    if len(rows) < smallest:
                        continue
                    x = augmented(self.augment, images[rows.to(images.device)], views).to(place).float() / 255
                    optimizer.zero_grad()
                    loss(x, targets[rows.to(targets.device)].to(place), starts).backward()
                    optimizer.step()
                scheduler.step()
                if after_epoch is not None:
                    after_epoch(epoch)
                if progress is not None:
                    left = (time.perf_counter() - began) / epoch * (self.epochs - epoch)
                    progress(f"{self.label}, epochs", epoch, self.epochs, left)
        if not all(parameter.isfinite().all() for parameter in trained):
            raise ValueError(f"{self.label}: the weights became infinite or NaN; lr is {self.lr}")
