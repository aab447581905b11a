"""The choice of pairs in a method: once a mini-batch where an attack needs it fixed, and what is logged of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparring.pairs.replacement import Replacement
from sparring.pairs.same_image import same_image
from sparring.types import Batch, Pairs, Rows, Selector


@runtime_checkable
class Removal(Protocol):
    """A selector that takes negatives away from `same_image`."""

    @property
    def replacement(self) -> Replacement:
        """Whether the removed are made up for."""
        ...

    def __call__(self, rows: Rows) -> Pairs:
        """The pairs without what was removed."""
        ...


@dataclass(frozen=True)
class Fixed:
    """What `fixed` returns."""

    pairs: Pairs

    def __call__(self, rows: Rows) -> Pairs:
        """The pairs that were chosen before."""
        if len(rows.image) != len(self.pairs.positive):
            raise ValueError(
                f"there are {len(rows.image)} rows, but the fixed pairs are of {len(self.pairs.positive)}: say with "
                "`stands_for` which row each of these stands for"
            )
        return self.pairs


def fixed(pairs: Pairs, stands_for: Int[Tensor, " M"] | None = None) -> Selector:
    """A selector that returns these pairs whatever the rows: chosen once a mini-batch, for the attack and for the loss.

    With `stands_for` the rows are others than those that `pairs` `[N, N]` were chosen for: row r takes the place of row
    `stands_for[r]`, as an adversarial view that of its clean view. Rows that stand for the same one are views of one
    image, hence each other's positives. `arange(B).repeat(2)`: two views that both stand for the first. The weights of an
    anchor's negatives keep their mean only if whole images were removed (`check_whole_images`).
    """
    if stands_for is not None:
        same = stands_for[:, None] == stands_for
        copies = same & ~torch.eye(len(stands_for), dtype=torch.bool, device=same.device)
        at = (stands_for[:, None], stands_for[None, :])
        weight = None if pairs.weight is None else torch.where(same, 1.0, pairs.weight[at])
        pairs = Pairs(pairs.positive[at] | copies, pairs.contrast[at] | copies, weight)
    return Fixed(pairs)


def check_whole_images(selector: object, method: str) -> None:
    """A ValueError if `selector` removes views by themselves: where views stand for others (`fixed`), only whole images can
    leave. Each view of a removed image stands for one that left; a view alone would leave once, twice or not at all."""
    if getattr(selector, "unit", "instance") == "view":
        raise ValueError(
            f"unit is 'view', but in {method} one view stands for another, so that only whole images can be removed: "
            "choose unit 'instance'"
        )


def looks_at_embeddings(selector: object) -> bool:
    """Whether the selector ranks embeddings, or draws: a method with an attack then chooses once a mini-batch (`fixed`)."""
    return isinstance(selector, Removal)


def select(selector: Selector, batch: Batch, z: Float[Tensor, "N D"], views: int) -> Pairs:
    """The pairs that `selector` chooses for the stacked embeddings of `views` views; `batch.counts` tells of them.

    Counted: anchors_without_positive, and if negatives are removed, `removed`, the mean over the anchors, and where
    labels exist removal_precision and removal_recall (see `removal_quality`).
    """
    rows = batch.rows(z, views)
    pairs = selector(rows)
    batch.counts["anchors_without_positive"] = pairs.without_positive
    if isinstance(selector, Removal | Fixed):
        count_removed(pairs, rows, batch)
    return pairs


def count_removed(pairs: Pairs, rows: Rows, batch: Batch) -> None:
    """Write what `pairs` removed of the negatives of `same_image` into `batch.counts`, as `select` says."""
    base = same_image(rows)
    batch.counts["removed"] = (base.negative & ~pairs.negative).sum() / len(rows.image)
    if rows.labels is not None:
        precision, recall = removal_quality(pairs, base, rows.labels)
        batch.counts["removal_precision"], batch.counts["removal_recall"] = precision, recall


def removal_quality(
    pairs: Pairs, base: Pairs, labels: Int[Tensor, " N"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Precision and recall of what `pairs` removed of the negatives of `base`, by the true labels of the rows.

    Precision: the part of the removed that has the anchor's label; 1 if nothing is removed. Recall: the part of the
    negatives with the anchor's label that is removed; 1 if there are none.
    """
    negative = base.negative
    removed, false = negative & ~pairs.negative, negative & (labels[:, None] == labels)
    found = (removed & false).sum()

    def part(whole: Tensor) -> Tensor:
        return torch.where(whole > 0, found / whole.clamp(min=1), 1.0)

    return part(removed.sum()), part(false.sum())
