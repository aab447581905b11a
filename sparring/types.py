"""The words that every room shares: axis letters, array shapes, and what is known of a batch.

Axis letters: V views, B images, N rows (anchors; N = V B when views are stacked), M keys, C channels, H height, W width,
D features, K classes, X further views and their side S. Views are stacked view-major ([view a; view b]), never interleaved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Domain = Literal["clean", "adv"]
"""Which batch norm a forward uses: the clean examples' or the adversarial examples'."""

Images = Float[Tensor, "B C H W"]
"""Pixels in [0, 1]; normalisation is the encoder's first layer."""
Views = Float[Tensor, "V B C H W"]
Embeddings = Float[Tensor, "N D"]
Labels = Int[Tensor, " B"]

Terms = dict[str, Tensor]
"""Named scalars whose sum is minimised."""


@dataclass(frozen=True)
class Pairs:
    """Which keys attract an anchor and which compete for it: P(i) and A(i) of the SupCon paper, as masks.

    `positive[i, k]`: key k is a positive of anchor i. `contrast[i, k]`: key k stands in the denominator of anchor i.
    Positives stand in the denominator too; the anchor itself never does.
    """

    positive: Bool[Tensor, "N M"]
    contrast: Bool[Tensor, "N M"]
    weight: Float[Tensor, "N M"] | None = None
    """How often a key of A(i) stands in the denominator of anchor i: 0, or at least 1; positives once. None is once each."""

    def __getitem__(self, block: tuple[slice, slice]) -> Pairs:
        """Only some anchors against only some keys, `pairs[anchors, keys]`."""
        weight = None if self.weight is None else self.weight[block]
        return Pairs(self.positive[block], self.contrast[block], weight)

    @property
    def negative(self) -> Bool[Tensor, "N M"]:
        """The keys that compete for an anchor without attracting it."""
        return self.contrast & ~self.positive

    @property
    def without_positive(self) -> Int[Tensor, ""]:
        """How many anchors have no positive; they contribute zero to a loss."""
        return (~self.positive.any(dim=1)).sum()


@dataclass(frozen=True)
class Rows:
    """What is known of the rows of a loss when their pairs are chosen. Nothing here carries a gradient."""

    image: Int[Tensor, " N"]
    """Which image of the batch a row shows."""
    labels: Int[Tensor, " N"] | None = None
    z: Float[Tensor, "N D"] | None = None
    """Embeddings, detached."""
    epoch: int = 0
    prediction: Int[Tensor, " N"] | None = None
    """Each row's own predicted class: an adversarial row's is that of the adversarial image."""
    index: Int[Tensor, " N"] | None = None
    """Where in the training set a row's image stands."""
    pseudo: Int[Tensor, " N"] | None = None
    """Pseudo-labels: the cluster of each row's image."""
    images: int | None = None
    """How many images the rows show; None: as many as there are different ones in `image`."""
    generator: torch.Generator | None = None
    """Randomness of the choice, on the device of the rows: the same stream in every data-parallel process."""


Selector = Callable[[Rows], Pairs]
"""A pair selector: from what is known of the rows to two N x N masks."""

Objective = Callable[[Tensor], Tensor]
"""What an attack maximises: from images to a scalar, or to one value per image."""


@dataclass
class Batch:
    """One training batch as a method sees it. Under data parallelism `labels` are those of all processes' images,
    in the order in which the encoder returns their embeddings."""

    views: Views
    labels: Int[Tensor, " G"] | None = None
    epoch: int = 0
    generator: torch.Generator | None = None
    """Source of an attack's random start, on the device of the views."""
    first: int = 0
    """Under data parallelism, where this process's images begin among all processes'."""
    crops: Float[Tensor, "X B C S S"] | None = None
    """Further views of the same images, of another size."""
    index: Int[Tensor, " G"] | None = None
    """Where in the training set the images stand; of all processes, as `labels`."""
    pseudo_labels: Int[Tensor, " G"] | None = None
    """The cluster of each image, found without labels; of all processes, as `labels`."""
    shared_generator: torch.Generator | None = None
    """Randomness of what concerns all processes' images, such as their pairs: the same stream in every process."""
    counts: dict[str, Tensor] = field(default_factory=dict)
    """What a method wants logged beside its terms, such as anchors without a positive."""

    def rows(self, z: Float[Tensor, "N D"], views: int, logits: Float[Tensor, "N K"] | None = None) -> Rows:
        """What is known of the rows of `z`, the stacked embeddings of `views` views of the same images; with their
        class scores `logits` also what each row is predicted to be."""

        def of_each_row(known: Tensor | None) -> Tensor | None:
            return None if known is None else known.repeat(views)

        return Rows(
            image=torch.arange(len(z) // views, device=z.device).repeat(views),
            labels=of_each_row(self.labels),
            z=z.detach(),
            epoch=self.epoch,
            prediction=None if logits is None else logits.detach().argmax(dim=1),
            index=of_each_row(self.index),
            pseudo=of_each_row(self.pseudo_labels),
            images=len(z) // views,
            generator=self.shared_generator,
        )


class Outputs(NamedTuple):
    """All that one forward pass of a classifying encoder gives."""

    h: Float[Tensor, "N D"]
    """Representation."""
    z: Float[Tensor, "N E"]
    """Embedding, the head of h, of unit length."""
    logits: Float[Tensor, "N K"]
    """Class scores of h."""


class Scored(NamedTuple):
    """What an encoder with prototypes gives."""

    z: Float[Tensor, "*N E"]
    """Embedding, of unit length."""
    scores: Float[Tensor, "*N K"]
    """Cosines of z with K prototypes."""


@runtime_checkable
class Encoder(Protocol):
    """A backbone with its normalisation in front and its head behind."""

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel standard deviation of the normalisation layer, in pixel units."""
        ...

    def __call__(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """Embeddings z, of unit length."""
        ...

    def represent(self, x: Tensor, domain: Domain = "clean") -> Tensor:
        """Representations h, before the head."""
        ...


@runtime_checkable
class Classifying(Encoder, Protocol):
    """An encoder with a classifier on its representation."""

    def outputs(self, x: Tensor, domain: Domain = "clean") -> Outputs:
        """Representation, embedding and class scores of one forward pass."""
        ...


@runtime_checkable
class Clustering(Encoder, Protocol):
    """An encoder with prototypes beside its head."""

    @property
    def prototypes(self) -> Any:
        """An `encoders.Prototypes`."""
        ...

    def scored(self, x: Tensor, domain: Domain = "clean") -> Scored:
        """Embeddings and their scores, of one forward pass."""
        ...


@runtime_checkable
class Attack(Protocol):
    """From an objective and images to images that raise the objective within a threat model."""

    @property
    def starts_at_x(self) -> bool:
        """Whether the first point at which the objective is evaluated is x itself."""
        ...

    def __call__(
        self,
        objective: Objective,
        x: Tensor,
        *,
        std: tuple[float, ...] | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The adversarial images, detached."""
        ...


@runtime_checkable
class Method(Protocol):
    """One equation of a paper: from an encoder and a batch to named terms whose sum is minimised."""

    def __call__(self, encoder: Encoder, batch: Batch) -> Terms:
        """The terms of one batch, in nats."""
        ...
